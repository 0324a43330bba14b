"""A file of another exporter without `adopt`: it is described, and measured on random inputs of its shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support import foreign

from hrnet_deploy.bench.measured_model import MeasuredModel, MeasureSpec
from hrnet_deploy.bench.rows import Subject, row_of
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.foreign.bare import precision_of, random_inputs
from hrnet_deploy.tasks.base import InputFormat


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A network that takes pixels and the size of an image, and gives integers."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["y", "factor"], ["z"]),
        helper.make_node("ArgMax", ["z"], ["labels"], axis=1),
    ]
    kinds = {"pixels": TensorProto.UINT8, "labels": TensorProto.INT64}
    shapes: dict[str, list[int | str | None]] = {"pixels": ["N", 3, 8, 8], "factor": [1]}
    weights = {"w": np.random.default_rng(0).standard_normal((5, 3, 1, 1)).astype(np.float32)}
    model = foreign.graph(nodes, shapes, ["labels"], weights, kinds=kinds)  # type: ignore[arg-type]
    path = tmp_path / "bare.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_a_bare_file_is_measured_on_random_inputs(bare: Path) -> None:
    inputs = random_inputs(bare, 2, seed=0)
    assert {n: (v.shape, v.dtype.name) for n, v in inputs.items()} == {
        "pixels": ((2, 3, 8, 8), "uint8"),
        "factor": ((1,), "float32"),
    }
    assert precision_of(bare) == "fp32"
    model = MeasuredModel(MeasureSpec("ort", Source(None, bare), InputFormat(), 2, 1))
    assert model.regions == ("compute", "end_to_end")  # nothing is known to decode
    assert "no model card" in model.describe().remark
    assert len(model.measure("compute", 0.0, 3)) == 3


def test_its_rows_are_named_after_the_file_and_pytorch_has_none(bare: Path) -> None:
    subject = Subject(bare.name, Source(None, bare), InputFormat(), "fp32")
    row, spec = row_of(subject, "ort", 1, 1)
    assert (row.card, row.model, row.status) == ("bare.onnx", "bare.onnx", "ok") and spec is not None
    row, spec = row_of(subject, "torch", 1, 1)
    assert row.status == "failed" and spec is None and "no model card" in row.reason
    with pytest.raises(BadInput, match="hrnet-deploy adopt"):
        _ = subject.source.card


def test_open_axes_have_no_size(bare: Path, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h"

    path = foreign.changed(bare, tmp_path / "open.onnx", change)
    with pytest.raises(BadInput, match="open axes have no size"):
        random_inputs(path, 1, seed=0)


def test_inputs_that_need_more_memory_than_there_is_are_refused(bare: Path, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        for axis in (2, 3):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 10**6

    with pytest.raises(BadInput, match="more than 2 GiB"):
        random_inputs(foreign.changed(bare, tmp_path / "large.onnx", change), 1, seed=0)


def test_inspect_describes_it_and_says_how_to_adopt_it(bare: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run("inspect", bare)
    assert code == 0
    words = " ".join(out.split())
    assert "without a model card" in words and "takes pixels uint8 Nx3x8x8, factor float 1" in words
    assert f"hrnet-deploy adopt {bare} --card NAME" in words
    code, _, err = run("eval", bare, "--data", bare.parent)
    assert code == 2 and "give it one with `hrnet-deploy adopt`" in err
