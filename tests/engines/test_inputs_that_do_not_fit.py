"""What engines say to inputs, options and files that do not fit them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from support.tiny import DETECTOR, TINY

from hrnet_deploy import architecture as arch
from hrnet_deploy.cards import card_for
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source
from hrnet_deploy.engines.by_shape import ByShape
from hrnet_deploy.engines.ort import OrtEngine
from hrnet_deploy.engines.torch_ import TorchEngine
from hrnet_deploy.errors import BadInput, Unavailable
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
        ("torch:precision=fp16", "torch takes precision, graph, streams and fused only on a GPU"),
        ("openvino:streams=2", "openvino works on one inference at a time in latency mode"),
    ],
)
def test_options_that_need_another_device_or_mode(
    engine: str, sentence: str, tiny_onnx: Path, tiny_checkpoint: Path
) -> None:
    source = Source(read_description(tiny_onnx).card, tiny_onnx, tiny_checkpoint)
    with pytest.raises(BadInput, match=sentence):
        open_engine(engine, source, 1)


@pytest.mark.parametrize("engine", ["ort", "openvino"])
def test_weights_alone_are_no_graph(engine: str, tiny_onnx: Path, tiny_checkpoint: Path) -> None:
    source = Source(read_description(tiny_onnx).card, None, tiny_checkpoint)
    with pytest.raises(BadInput, match=f"the {engine} engine opens an ONNX file — export the checkpoint first"):
        open_engine(engine, source)


def test_pytorch_needs_the_card_that_a_bare_file_lacks(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="bare.onnx has no model card — give it one with `hrnet-deploy adopt`"):
        open_engine("torch", Source(None, tmp_path / "bare.onnx", weights="random"))


def test_a_graph_that_opens_and_cannot_run(tmp_path: Path) -> None:
    shape = onnx.numpy_helper.from_array(np.array([5, 5]), "shape")
    node = onnx.helper.make_node("Reshape", ["image", "shape"], ["out"])
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [None, None]) for n in ("image", "out")]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [shape])
    path = tmp_path / "reshape.onnx"
    onnx.save_model(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10), path
    )
    engine = open_engine("ort", Source(None, path), 1)
    assert engine.run({"image": np.zeros((5, 5), np.float32)})["out"].shape == (5, 5)
    with pytest.raises(BadInput, match=r"ONNX Runtime cannot run .*reshape.onnx \(.*\) — export it again"):
        engine.run({"image": np.zeros((2, 3), np.float32)})


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_onnxruntime_on_the_cpu_does_not_pass_for_a_gpu(tiny_onnx: Path) -> None:
    """It opens the model on the CPU without an error if a provider does not load."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build of ONNX Runtime has CUDA")
    source = Source(read_description(tiny_onnx).card, tiny_onnx)
    with pytest.raises(Unavailable, match="runs on CPUExecutionProvider instead of CUDAExecutionProvider"):
        OrtEngine(source, 1, provider="cuda")


def test_options_that_a_network_has_no_use_for_are_refused_before_the_gpu_is_used() -> None:
    pose = card_for(arch.SimpleBaseline(50, deconv=(8, 8, 8)))
    with pytest.raises(Unavailable, match="this network has no parallel branches to put on streams"):
        TorchEngine(Source(pose, weights="random"), 1, cuda=True, streams=True)
    with pytest.raises(Unavailable, match="fused is for networks of one input, and a detector takes two"):
        TorchEngine(Source(card_for(DETECTOR), weights="random"), 1, cuda=True, fused=True)


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
