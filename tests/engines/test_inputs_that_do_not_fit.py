"""What engines say to inputs, options and files that do not fit them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.tiny import TINY

from hrnet_deploy import architecture as arch
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source
from hrnet_deploy.engines.by_shape import ByShape
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import describe, load_model, read_description, save_model
from hrnet_deploy.parity import TensorComparison
from hrnet_deploy.tasks.pose.labels import Keypoints

Run = Callable[..., tuple[int, str, str]]


def test_inputs_of_another_name_or_size(tiny_onnx: Path) -> None:
    engine = open_engine("ort", Source(read_description(tiny_onnx).card, tiny_onnx), 1)
    with pytest.raises(BadInput, match="needs an input called image, got picture — name the inputs as it does"):
        engine.run({"picture": np.zeros((1, 3, 96, 64), np.float32)})
    with pytest.raises(BadInput, match=r"none of these files takes an input of \[3, 32, 32\]"):
        ByShape([engine]).run({"image": np.zeros((1, 3, 32, 32), np.float32)})


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        ("ort:graph", "ort captures a graph only on a GPU"),
        ("torch:precision=fp16", "torch takes precision, graph and streams only on a GPU"),
    ],
)
def test_options_of_a_gpu_on_a_cpu(engine: str, sentence: str, tiny_onnx: Path, tiny_checkpoint: Path) -> None:
    source = Source(read_description(tiny_onnx).card, tiny_onnx, tiny_checkpoint)
    with pytest.raises(BadInput, match=sentence):
        open_engine(engine, source, 1)


def test_a_graph_that_is_not_what_its_description_says(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    path, description = tmp_path / "other.onnx", read_description(tiny_onnx)
    model = load_model(tiny_onnx)
    labels = Keypoints(tuple("abcdefghijklmnop"))
    sixteen = dataclasses.replace(description.card, architecture=dataclasses.replace(TINY, keypoints=16), labels=labels)
    describe(model, dataclasses.replace(description, card=sixteen))
    save_model(model, path)
    code, _, error = run("predict", path, "models/demo/images", "-o", tmp_path / "out")
    assert code == 2
    assert "is not the network that its description says" in " ".join(error.split())
    assert "17 channels" in " ".join(error.split())


def test_two_models_are_not_compared_as_one() -> None:
    with pytest.raises(BadInput, match=r"outputs differ in shape: \[1, 2\] and \[2, 1\] — these are two models"):
        TensorComparison().add(np.zeros((1, 2)), np.zeros((2, 1)))
    with pytest.raises(BadInput, match="a is .*, b is .* — take one"):
        arch.require_same("a", TINY, "b", dataclasses.replace(TINY, keypoints=3), "take one")
