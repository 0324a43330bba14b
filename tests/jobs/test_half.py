"""float16: what is converted, what stays in float32, and how far it moves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.fp16 import to_fp16, too_large
from hrnet_deploy.graph.metadata import describe, description_of, load_model, read_description, save_model
from hrnet_deploy.graph.quantize import TARGETS, place, quantize
from hrnet_deploy.jobs.half import HalfRequest, half
from hrnet_deploy.tasks.base import InputFormat

Run = Callable[..., tuple[int, str, str]]


def outputs(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": x})[0])


def noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 3, 96, 64), dtype=np.float32)


def kinds(model: onnx.ModelProto) -> set[int]:
    return {i.data_type for i in model.graph.initializer}


def test_weights_and_activations_are_halved_and_the_ends_are_not(tiny_onnx: Path) -> None:
    model = load_model(tiny_onnx)
    made, kept = to_fp16(model)
    assert kept == []
    ends = [v.type.tensor_type.elem_type for v in (*made.graph.input, *made.graph.output)]
    assert ends == [TensorProto.FLOAT, TensorProto.FLOAT]
    assert [n.op_type for n in made.graph.node].count("Cast") == 2
    assert TensorProto.FLOAT not in {
        i.data_type for i in made.graph.initializer if i.name.removesuffix(".half").endswith(("weight", "bias"))
    }
    want, got = outputs(model, noise()), outputs(made, noise())
    assert got.dtype == np.float32
    assert 0 < np.abs(want - got).max() < 1e-2 * np.abs(want).max()


def test_what_is_kept_computes_in_float32_with_a_cast_at_each_border(tiny_onnx: Path) -> None:
    model = load_model(tiny_onnx)
    made, kept = to_fp16(model, ["layer1.0.add"])
    assert kept == ["layer1.0.add", "layer1.0.relu#2"]
    types = {n.name: n for n in made.graph.node}
    assert all(x.endswith(".float") for x in types["layer1.0.add"].input)
    assert np.abs(outputs(model, noise()) - outputs(made, noise())).max() < 1e-2 * np.abs(outputs(model, noise())).max()


def test_a_value_past_float16_is_found_and_survives(tiny_onnx: Path, tmp_path: Path) -> None:
    """One layer 1e6 times larger, the next smaller by as much: infinite in float16, the same network in float32.
    (ONNX Runtime on a CPU computes float16 in float32, so the infinity itself does not show here.)"""
    model = load_model(tiny_onnx)
    for name, factor in (("conv1.weight", 1e6), ("conv1.weight_bias", 1e6), ("conv2.weight", 1e-6)):
        tensor = next(i for i in model.graph.initializer if i.name == name)
        tensor.CopyFrom(numpy_helper.from_array((numpy_helper.to_array(tensor) * factor).astype(np.float32), name))
    path, out = tmp_path / "large.onnx", tmp_path / "half.onnx"
    path.write_bytes(model.SerializeToString())
    want = outputs(model, noise())
    done = half(HalfRequest(path, out))
    assert {"bn1", "relu"} <= {n for n, _ in done.large}
    assert {"conv1", "relu", "conv2"} <= set(done.kept)
    assert np.abs(outputs(onnx.load(str(out)), noise()) - want).max() < 1e-2 * np.abs(want).max()


def test_peaks_near_the_end_of_float16_leave_no_room() -> None:
    assert too_large({"a": 10.0, "b": 60_000.0, "c": 70_000.0, "d": float("nan")}) == ["b", "c", "d"]


def test_an_int8_graph_gets_float16_between_its_integers(tiny_onnx: Path) -> None:
    model = load_model(tiny_onnx)
    placement = place(model, TARGETS["trt"])
    eight = quantize(model, TARGETS["trt"], placement, dict.fromkeys(placement.ranged, (-4.0, 4.0)))
    made, _ = to_fp16(eight)
    scales = [i for i in made.graph.initializer if ".scale" in i.name]
    assert scales and {s.data_type for s in scales} == {TensorProto.FLOAT16}
    assert all(numpy_helper.to_array(s).min() > 0 for s in scales)
    assert TensorProto.INT8 in kinds(made)
    assert np.isfinite(outputs(made, noise())).all()
    eight.opset_import[0].CopyFrom(helper.make_opsetid("", 18))
    with pytest.raises(BadInput, match="opset 19"):
        to_fp16(eight)


def test_what_decodes_its_results_or_is_halved_already_is_refused(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    embedded, halved = tmp_path / "embedded.onnx", tmp_path / "half.onnx"
    model = load_model(tiny_onnx)
    describe(model, dataclasses.replace(description_of(model, tiny_onnx), input_format=InputFormat(embedded=True)))
    save_model(model, embedded)
    assert run("half", tiny_onnx, "-o", halved)[0] == 0
    for path, sentence in (
        (embedded, "decodes its own results (--embed) — convert the plain export"),
        (halved, "is float16 already — convert the file it was made from"),
    ):
        code, _, err = run("half", path, "-o", tmp_path / "a.onnx")
        assert (code, sentence in " ".join(err.split())) == (2, True), err
    assert not (tmp_path / "a.onnx").exists()


def test_the_command_writes_a_described_file_of_half_the_size(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "half.onnx"
    code, said, err = run("half", tiny_onnx, "-o", out)
    assert code == 0, said + err
    found = read_description(out)
    assert found.precision == "fp16"
    assert [s["step"] for s in found.history][-2:] == ["half", "verify"]
    assert "Passed: " in said
    assert run("half", out, "-o", tmp_path / "again.onnx")[0] == 2
    assert run("check", out, "--against", tiny_onnx)[0] == 0
