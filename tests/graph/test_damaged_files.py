"""Descriptions, manifests, statistics and tensors in other files that do not fit: each is refused by the name of what
is wrong in it."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hrnet_deploy.cards import card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.calibrate import BINS, Statistics, calibrate
from hrnet_deploy.graph.metadata import Description, from_values, load_model, read_description, to_values
from hrnet_deploy.graph.plan import BuildOptions, Manifest, manifest_path, read_manifest
from hrnet_deploy.graph.quantize import TARGETS, place

CARD = "pose_hrnet_w32_256x192"


def changed(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of JSON values with another one at a path such as a.b.0."""
    made = copy.deepcopy(values)
    *outer, last = path.split(".")
    at: Any = made
    for key in outer:
        at = at[int(key) if isinstance(at, list) else key]
    at[int(last) if isinstance(at, list) else last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("card", 5, "damaged model card: card is not a group of fields"),
        ("card", [["x"] * 3], "damaged model card: card is not a group of fields"),
        ("card.input.height", "x", "damaged model card: input.height is 'x'"),
        ("card.architecture.body", [1], "damaged model card: architecture.body"),
        ("card.name", "\ud800", "damaged model card: name has half a character"),
        ("contract", 5, "damaged description: contract is 5"),
        ("contract.embedded", 1, "damaged description: contract.embedded is 1"),
        ("precision", None, "damaged description: precision is None"),
        ("provenance", ["a"], "damaged description: provenance is a list — it is names with values"),
        ("provenance.checkpoint", 3, "damaged description: provenance.checkpoint is 3"),
        ("history", 7, "damaged description: history is 7"),
        ("history.0", "export", "damaged description: history.0. is 'export'"),
        ("history.0.step", None, "damaged description: history.0.*step is None"),
        ("schema", "x", "made by another version of hrnet-deploy .schema x, here 1"),
    ],
)
def test_a_description_that_does_not_fit(path: str, value: Any, sentence: str, tmp_path: Path) -> None:
    made = Description(card(CARD), provenance={"checkpoint": "ab"}).with_step("export", opset=18)
    values = json.loads(json.dumps(to_values(made)))
    assert from_values(values, tmp_path) == made
    with pytest.raises(BadInput, match=sentence):
        from_values(changed(values, path, value), tmp_path)


def test_a_description_that_is_nested_too_deeply(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(BadInput, match="damaged model card"):
        from_values({"schema": 1, "card": deep}, tmp_path)


MANIFEST = Manifest(
    onnx={"name": "int8.onnx", "sha256": "01"},
    plan=hashlib.sha256(b"a plan").hexdigest(),
    tensorrt="10.16.1",
    identity={"gpu": "NVIDIA H100"},
    options=dataclasses.asdict(BuildOptions(batch=(1, 4, 8))),
    profiles={"image": [[1, 3, 96, 64]]},
    description={},
    build_seconds=9.5,
)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("onnx", 5, "manifest of a plan: onnx is 5 — it is names with values"),
        ("onnx.name", 5, "onnx.name is 5"),
        ("onnx", {"name": "a.onnx"}, "onnx.sha256 is None"),
        ("options.batch", [1, 2], "options.batch has 2 entries — it has 3"),
        ("options.workspace", "x", "options.workspace is 'x'"),
        ("options.level", 1e400, "options.level is inf"),
        ("options.tf32", [], "options.tf32 is a list"),
        ("identity.gpu", None, "identity.gpu is None"),
        ("profiles.image", 3, "profiles.image is 3 — it is a list"),
        ("build_seconds", "9", "build_seconds is '9'"),
        ("kind", "plans", "is not the manifest of a plan that this version reads"),
    ],
)
def test_a_manifest_that_does_not_fit(path: str, value: Any, sentence: str, tmp_path: Path) -> None:
    plan = tmp_path / "a.plan"
    values = json.loads(json.dumps({"schema": 1, "kind": "plan", **dataclasses.asdict(MANIFEST)}))
    manifest_path(plan).write_text(json.dumps(values))
    assert read_manifest(plan).rebuild(plan).endswith("--batch 1:4:8")
    manifest_path(plan).write_text(json.dumps(changed(values, path, value)))
    with pytest.raises(BadInput, match=sentence):
        read_manifest(plan)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"meta": np.array("[")}, "holds no calibration statistics"),
        ({"meta": np.array('{"model": "m", "names": 3, "done": []}')}, "names is 3"),
        ({"meta": np.array('{"model": "m", "names": ["a"]}')}, "done is missing"),
        ({"meta": np.zeros((), "U4")[None]}, "meta is an array"),
        ({"counts": np.zeros((1, 5), np.int64)}, "counts is an array .1, 5. of int64, expected .1, "),
        ({"counts": np.zeros((1, BINS), np.float64)}, "counts is an array"),
        ({"low": np.zeros((), np.float32)}, r"low is an array \(\) of float32"),
        ({"counts": np.full((1, BINS), -1, np.int64)}, "its figures fit no activations"),
        ({"high": np.full((2, 1), np.nan, np.float32)}, "its figures fit no activations"),
    ],
)
def test_statistics_that_do_not_fit(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "statistics.npz"
    arrays = {
        "meta": np.array('{"model": "m", "names": ["a"], "done": ["x:1", "y:2"]}'),
        "counts": np.zeros((1, BINS), np.int64),
        "low": np.zeros((2, 1), np.float32),
        "high": np.ones((2, 1), np.float32),
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]
    assert Statistics.load(path).peaks.tolist() == [[1.0], [1.0]]
    np.savez(path, **{**arrays, **changes})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=sentence):
        Statistics.load(path)


def test_images_without_anything_give_no_statistics() -> None:
    with pytest.raises(BadInput, match="no calibration image has anything annotated"):
        calibrate(Statistics.empty("m", ("a",)), lambda _: [], lambda: [])


def model(**tensor: Any) -> onnx.ModelProto:
    """A graph that adds a tensor of four numbers, which is in another file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "w.bin", **tensor}.items():
        weight.external_data.add(key=key, value=str(value))
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [value], [out], [weight])
    return helper.make_model(graph)


@pytest.mark.parametrize(
    ("tensor", "sentence"),
    [
        ({"offset": 8}, "w.bin is cut off: .* has tensors up to byte 24 of it"),
        ({"offset": "x"}, "does not say where the tensor w is"),
        ({"length": 9}, "gives the tensor w 9 bytes in place of 16"),
        ({"location": "../w.bin"}, "which is not in its folder"),
    ],
)
def test_tensors_in_other_files_that_are_not_there(tensor: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    (tmp_path / "w.bin").write_bytes(np.ones(4, np.float32).tobytes())
    path.write_bytes(model().SerializeToString())
    assert load_model(path).graph.initializer[0].raw_data == np.ones(4, np.float32).tobytes()
    path.write_bytes(model(**tensor).SerializeToString())
    with pytest.raises(BadInput, match=sentence):
        load_model(path)


def test_a_graph_without_opset_or_card(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    (tmp_path / "w.bin").write_bytes(bytes(16))
    made = model()
    path.write_bytes(made.SerializeToString())
    with pytest.raises(BadInput, match="has no model card"):
        read_description(path)
    made.opset_import[0].domain = "mine"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(BadInput, match="does not say its opset"):
        load_model(path)


def test_something_has_to_be_left_to_quantize(tiny_onnx: Path) -> None:
    with pytest.raises(BadInput, match="no convolution is left to quantize — exclude less"):
        place(load_model(tiny_onnx), TARGETS["ort"], ("*",))
