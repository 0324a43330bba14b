"""Files of other exporters, of networks small enough for a test: what is recognised, what is refused and how."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from support import foreign
from support.tiny import DETECTOR, FRAME, SIZE, TINY
from torch import nn

from hrnet_deploy import architecture as arch
from hrnet_deploy.bench.run import Schedule
from hrnet_deploy.cards import folder
from hrnet_deploy.engines.trt.missing import rtx_build_obstacle
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph import simplify as simplifier
from hrnet_deploy.graph.foreign.rewriting import to_opset
from hrnet_deploy.graph.metadata import load_model, read_description
from hrnet_deploy.graph.quantize import TARGETS, place
from hrnet_deploy.jobs import candidates
from hrnet_deploy.jobs.adopt import AdoptRequest, adopt
from hrnet_deploy.jobs.build import BuildRequest, build
from hrnet_deploy.jobs.check import CheckRequest, check
from hrnet_deploy.jobs.half import HalfRequest, half
from hrnet_deploy.jobs.predict import PredictRequest, predict
from hrnet_deploy.jobs.tune import TuneRequest, tune
from hrnet_deploy.networks import build_network
from hrnet_deploy.precision.recipe import Recipe
from hrnet_deploy.results import codec
from hrnet_deploy.results.adoption import AdoptResult
from hrnet_deploy.workflow.open_model import ModelUse
from hrnet_deploy.workflow.split import Split

Run = Callable[..., tuple[int, str, str]]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(autouse=True)
def simplified_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run onnxsim without the process that protects users from its crashes, and which takes seconds to start."""

    def simplify(given: Path, result: Path) -> str:
        simplifier._main(str(given), str(result))
        return ""

    monkeypatch.setattr(simplifier, "_in_child", simplify)


def card(folder: Path, of: arch.Architecture, size: tuple[int, int], dataset: str, **spec: object) -> str:
    """A card of one of the tiny networks, as a file."""
    path = folder / f"{of.family}.yaml"
    values = {
        "architecture": arch.to_dict(of),
        "input": {"height": size[0], "width": size[1], **spec},
        "dataset": dataset,
    }
    path.write_text(yaml.safe_dump(yaml.safe_load(yaml.dump(_plain(values)))), encoding="utf-8")
    return str(path)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


@pytest.fixture(scope="module")
def pose_card(tmp_path_factory: pytest.TempPathFactory) -> str:
    return card(tmp_path_factory.mktemp("card"), TINY, SIZE, "coco-keypoints")


@pytest.fixture(scope="module")
def pose(tiny_network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pose network as a script exports it: other names, opset 11, a batch of one."""
    path = tmp_path_factory.mktemp("pose") / "end2end.onnx"
    return foreign.torchscript(tiny_network, path, (1, 3, *SIZE), opset=11)


@pytest.fixture(scope="module")
def adopted(pose: Path, pose_card: str, tiny_checkpoint: Path) -> tuple[Path, AdoptResult]:
    path = pose.with_name("adopted.onnx")
    return path, adopt(AdoptRequest(pose, path, card=pose_card, against=str(tiny_checkpoint)))


def refused(model: Path, given: str, **options: object) -> str:
    """The sentence with which a file is refused. Nothing is written then."""
    target = model.with_name("refused.onnx")
    with pytest.raises(BadInput) as caught:
        adopt(AdoptRequest(model, target, card=given, **options))  # type: ignore[arg-type]
    assert not target.exists()
    return str(caught.value)


def test_the_file_has_the_contract_and_says_where_it_is_from(adopted: tuple[Path, AdoptResult]) -> None:
    path, result = adopted
    assert result.passed and result.path == str(path) and result.size == path.stat().st_size
    model, found = load_model(path), read_description(path)
    shapes = [(v.name, [d.dim_value for d in v.type.tensor_type.shape.dim]) for v in _values(model)]
    assert shapes == [("image", [1, 3, 96, 64]), ("heatmaps", [1, 17, 24, 16])]
    assert model.opset_import[0].version == 20
    assert found.precision == "fp32" and found.card.architecture == TINY
    assert [s["step"] for s in found.history] == ["adopt", "simplify", "verify"]
    assert sorted(found.provenance) == ["checkpoint", "onnx"]
    assert "opset 11 is converted to 20" in result.changed
    assert any("normalised outside the graph" in text for text in result.assumed)


def _values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    return [*model.graph.input, *model.graph.output]


def test_layers_have_the_names_of_parameters_also_where_batch_norms_are_folded(
    adopted: tuple[Path, AdoptResult], tiny_onnx: Path
) -> None:
    path, result = adopted
    assert result.named == result.layers
    assert "have the weights of the checkpoint" in result.found[-1]
    layers = [{n.name for n in load_model(p).graph.node if n.op_type == "Conv"} for p in (path, tiny_onnx)]
    assert layers[0] == layers[1]
    tensors = [{n.output[0] for n in load_model(p).graph.node if n.op_type == "Conv"} for p in (path, tiny_onnx)]
    assert tensors[0] == tensors[1]


def test_layers_have_those_names_without_a_checkpoint_too(pose: Path, pose_card: str, tiny_onnx: Path) -> None:
    path = pose.with_name("alone.onnx")
    result = adopt(AdoptRequest(pose, path, card=pose_card))
    assert result.passed and result.task is None and len(result.checks) == 1
    names = [
        {(n.name, n.output[0]) for n in load_model(p).graph.node if n.op_type == "Conv"} for p in (path, tiny_onnx)
    ]
    assert names[0] == names[1]


def test_later_commands_take_the_file(adopted: tuple[Path, AdoptResult], tiny_checkpoint: Path, tmp_path: Path) -> None:
    path, _ = adopted
    assert check(CheckRequest(path, str(tiny_checkpoint))).passed
    assert half(HalfRequest(path, tmp_path / "half.onnx")).passed


def test_a_changed_weight_is_found_by_check(
    adopted: tuple[Path, AdoptResult], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(i for i in model.graph.initializer if i.name == "stage3.0.branches.1.0.conv2.weight")
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.5, tensor.name))

    path = foreign.changed(adopted[0], tmp_path / "changed.onnx", change)
    result = check(CheckRequest(path, str(tiny_checkpoint)))
    assert not result.passed
    assert result.first_difference.startswith("stage3.0.branches.1.0.bn2")


def test_another_checkpoint_fails_and_writes_nothing(pose: Path, tmp_path: Path, run: Run) -> None:
    network = build_network(TINY)
    torch.save(network.state_dict(), tmp_path / "other.pth")
    code, out, _ = run("adopt", pose, "--against", tmp_path / "other.pth", "-o", tmp_path / "a.onnx", "--json")
    assert code == 1
    result = codec.from_dict(json.loads(out), "stdout")
    assert isinstance(result, AdoptResult) and result.path is None and not result.passed
    assert "layers have other weights than those of the checkpoint" in result.found[-1]
    assert not (tmp_path / "a.onnx").exists()


def test_the_document_says_what_was_assumed(pose: Path, pose_card: str, tmp_path: Path, run: Run) -> None:
    report = tmp_path / "a.json"
    code, out, _ = run("adopt", pose, "--card", pose_card, "-o", tmp_path / "a.onnx", "--report", report)
    assert code == 0
    words = " ".join(out.split())
    assert "the adopted file agrees with" in words and "Assumed: its input is normalised outside the graph" in words
    assert "The assumptions are not proven" in words
    assert codec.read_as(report, AdoptResult).passed


# what stands between the input of the file and the network


def with_front(
    pose: Path, target: Path, shape: tuple[int | str, ...], kind: int, *nodes: onnx.NodeProto, **w: object
) -> Path:
    """The exported network with other operators before it; they read `x` and the last one gives `input`."""

    def change(model: onnx.ModelProto) -> None:
        graph = model.graph
        kept = [onnx.NodeProto.FromString(n.SerializeToString()) for n in graph.node]
        del graph.node[:], graph.input[:]
        graph.node.extend([*nodes, *kept])
        graph.input.append(helper.make_tensor_value_info("x", kind, list(shape)))
        graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in w.items())

    return foreign.changed(pose, target, change)


def chain(*steps: tuple[str, list[str], dict]) -> list[onnx.NodeProto]:
    """Operators one after the other, from `x` to `input`."""
    names = ["x", *(f"front{i}" for i in range(len(steps) - 1)), "input"]
    return [
        helper.make_node(op, [a, *more], [b], f"front {op}{i}", **attributes)
        for i, ((op, more, attributes), (a, b)) in enumerate(zip(steps, itertools.pairwise(names), strict=True))
    ]


NHWC = (1, *SIZE, 3)
NCHW = (1, 3, *SIZE)
FRONTS: dict[str, tuple[tuple[int, ...], int, list[tuple[str, list[str], dict]], dict[str, Any], str]] = {
    "transposed alone": (NHWC, TensorProto.FLOAT, [("Transpose", [], {"perm": [0, 3, 1, 2]})], {}, "NHWC"),
    "pixels": (
        NHWC,
        TensorProto.UINT8,
        [
            ("Cast", [], {"to": 1}),
            ("Sub", ["mean"], {}),
            ("Mul", ["scale"], {}),
            ("Transpose", [], {"perm": [0, 3, 1, 2]}),
        ],
        {"mean": (MEAN * 255).astype(np.float32), "scale": (1 / STD / 255).astype(np.float32)},
        "0..255",
    ),
    "values up to 1": (
        NCHW,
        TensorProto.FLOAT,
        [("Sub", ["mean"], {}), ("Div", ["std"], {})],
        {"mean": MEAN.reshape(3, 1, 1).astype(np.float32), "std": STD.reshape(1, 3, 1, 1).astype(np.float32)},
        "0..1",
    ),
    "one factor and one offset": (
        NCHW,
        TensorProto.FLOAT,
        [("Mul", ["scale"], {}), ("Add", ["offset"], {})],
        {
            "scale": (1 / STD / 255).reshape(1, 3, 1, 1).astype(np.float32),
            "offset": (-MEAN / STD).reshape(1, 3, 1, 1).astype(np.float32),
        },
        "0..255",
    ),
    "red and blue exchanged": (
        NCHW,
        TensorProto.FLOAT,
        [("Gather", ["order"], {"axis": 1}), ("Div", ["unit"], {}), ("Sub", ["mean"], {}), ("Div", ["std"], {})],
        {
            "order": np.array([2, 1, 0]),
            "unit": np.float32(255),
            "mean": MEAN.reshape(3, 1, 1).astype(np.float32),
            "std": STD.reshape(3, 1, 1).astype(np.float32),
        },
        "exchange of red and blue",
    ),
}


@pytest.mark.parametrize("name", FRONTS)
def test_the_preparation_of_images_is_recognised_and_left_to_the_task(
    name: str, pose: Path, pose_card: str, tiny_onnx: Path, tmp_path: Path
) -> None:
    shape, kind, steps, weights, said = FRONTS[name]
    path = with_front(pose, tmp_path / "front.onnx", shape, kind, *chain(*steps), **weights)
    result = adopt(AdoptRequest(path, tmp_path / "a.onnx", card=pose_card))
    assert result.passed
    assert any(said in text for text in (*result.found, *result.assumed)), (result.found, result.assumed)
    wanted, got = (_operators(p) for p in (tiny_onnx, tmp_path / "a.onnx"))
    assert wanted == got  # nothing of the preparation is left
    x = np.random.default_rng(0).standard_normal(NCHW, dtype=np.float32)
    assert np.abs(_run(tiny_onnx, x) - _run(tmp_path / "a.onnx", x)).max() < 1e-4 * np.abs(_run(tiny_onnx, x)).max()


def _operators(path: Path) -> dict[str, int]:
    kinds = [n.op_type for n in load_model(path).graph.node]
    return {k: kinds.count(k) for k in kinds}


def _run(path: Path, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def test_a_normalisation_that_is_not_the_card_s_is_refused_with_its_values(
    pose: Path, pose_card: str, tmp_path: Path
) -> None:
    nodes = chain(("Div", ["unit"], {}))
    path = with_front(pose, tmp_path / "front.onnx", NCHW, TensorProto.FLOAT, *nodes, unit=np.float32(255))
    said = refused(path, pose_card)
    assert "with mean 0, 0, 0 and standard deviation 1, 1, 1 (of values in 0..1), and the card says 0.485" in said
    plain = card(tmp_path, TINY, SIZE, "coco-keypoints", mean=[0.0] * 3, std=[1.0] * 3)
    assert adopt(AdoptRequest(path, tmp_path / "a.onnx", card=plain)).passed


def test_a_network_that_reads_the_size_of_an_image_whose_axes_are_turned_is_refused(
    pose: Path, pose_card: str, tmp_path: Path
) -> None:
    shape, kind, steps, weights, _ = FRONTS["transposed alone"]
    path = with_front(pose, tmp_path / "front.onnx", shape, kind, *chain(*steps), **weights)

    def change(model: onnx.ModelProto) -> None:
        nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node]
        at = next(i for i, n in enumerate(nodes) if n.op_type == "Conv")
        given, nodes[at].output[0] = nodes[at].output[0], "before"
        nodes[at + 1 : at + 1] = [
            helper.make_node("Shape", ["x"], ["axes"]),
            helper.make_node("ReduceMin", ["axes"], ["batch"], keepdims=1),
            helper.make_node("Cast", ["batch"], ["one"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["before", "one"], [given]),
        ]
        del model.graph.node[:]
        model.graph.node.extend(nodes)

    said = refused(foreign.changed(path, path, change), pose_card)
    assert "reads its input x in two ways, before and after preparing it" in said


def test_a_file_that_opens_and_cannot_run_is_refused(pose: Path, pose_card: str, tmp_path: Path) -> None:
    """It takes a row of its input whose number is computed, and that does not exist."""
    steps = [
        helper.make_node("Abs", ["x"], ["sizes"]),
        helper.make_node("ReduceMax", ["sizes"], ["largest"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Add", ["largest", "many"], ["more"]),
        helper.make_node("Cast", ["more"], ["row"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["row", "one"], ["rows"]),
        helper.make_node("Gather", ["x", "rows"], ["input"], axis=0),
    ]
    path = with_front(
        pose, tmp_path / "row.onnx", NCHW, TensorProto.FLOAT, *steps, many=np.float32(1000), one=np.array([1])
    )
    assert re.search("ONNX Runtime cannot run .*row.onnx .* — export it again", refused(path, pose_card))


def test_images_are_for_the_comparison_with_a_checkpoint(pose: Path, pose_card: str, tmp_path: Path) -> None:
    assert "--images are for the comparison with a checkpoint" in refused(pose, pose_card, images=tmp_path)


def test_an_old_file_with_an_operator_that_onnx_does_not_convert_is_refused() -> None:
    old = helper.make_node("Crop", ["x"], ["y"], border=[0] * 4)  # ONNX Runtime runs it, and onnx has it no more
    model = foreign.graph([old], {"x": (1, 3, *SIZE)}, ["y"], opset=7)
    with pytest.raises(BadInput, match="old.onnx uses opset 7, which onnx cannot convert to 20 .* opset 13 or newer"):
        to_opset(model, "old.onnx")


def test_a_detector_for_several_images_at_once_is_refused(tmp_path: Path) -> None:
    weights = {"w": np.ones((5, 3, 1, 1), np.float32), "all": np.array([0, 5, -1]), "few": np.array([0, -1])}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("Reshape", ["c", "all"], ["turned"]),
        helper.make_node("Transpose", ["turned"], ["dets"], perm=[0, 2, 1]),
        helper.make_node("ReduceMax", ["dets"], ["most"], axes=[2], keepdims=0),
        helper.make_node("Cast", ["most"], ["labels"], to=TensorProto.INT64),
    ]
    kinds = {"labels": TensorProto.INT64}
    path = tmp_path / "four.onnx"
    onnx.save_model(foreign.graph(nodes, {"x": (4, 3, *FRAME)}, ["dets", "labels"], weights, kinds=kinds), path)
    given = card(tmp_path, DETECTOR, FRAME, "drawn-things")
    assert "takes batches of 4, and detectors are run with one image" in refused(path, given)


def test_pixels_that_nothing_normalises_are_refused_unless_the_card_says_so(
    pose: Path, pose_card: str, tmp_path: Path
) -> None:
    nodes = chain(("Cast", [], {"to": 1}))
    path = with_front(pose, tmp_path / "front.onnx", NCHW, TensorProto.UINT8, *nodes)
    assert "with mean 0, 0, 0 and standard deviation 0.003922" in refused(path, pose_card)


def test_a_layout_that_nothing_shows_is_refused(pose: Path, pose_card: str, tmp_path: Path) -> None:
    nodes = chain(("Softmax", [], {"axis": 1}))
    path = with_front(pose, tmp_path / "front.onnx", (1, "a", "b", "c"), TensorProto.FLOAT, *nodes)
    assert "does not show which axis holds the colours" in refused(path, pose_card)


def test_inputs_that_nothing_needs_are_left_out_and_needed_ones_refused(
    pose: Path, pose_card: str, tmp_path: Path
) -> None:
    """PaddleDetection's exports take the size and the scale of an image, and some of them use these."""

    def unused(model: onnx.ModelProto) -> None:
        for name in ("im_shape", "scale_factor"):
            model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]))

    path = foreign.changed(pose, tmp_path / "paddle.onnx", unused)
    result = adopt(AdoptRequest(path, tmp_path / "a.onnx", card=pose_card))
    assert "its inputs im_shape, scale_factor are left out, because no output depends on them" in result.changed

    def used(model: onnx.ModelProto) -> None:
        unused(model)
        reshaped = helper.make_node("ReduceMean", ["scale_factor"], ["factor"], keepdims=0)
        scaled = helper.make_node("Mul", ["input", "factor"], ["scaled"])
        for node in model.graph.node:
            node.input[:] = ["scaled" if x == "input" else x for x in node.input]
        nodes = [reshaped, scaled, *(onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node)]
        del model.graph.node[:]
        model.graph.node.extend(nodes)

    path = foreign.changed(pose, tmp_path / "paddle2.onnx", used)
    assert "computes its results from scale_factor besides the image" in refused(path, pose_card)


# what stands behind the network


def with_end(path: Path, target: Path, *nodes: onnx.NodeProto, outputs: Mapping[str, int], **weights: object) -> Path:
    """The exported network with other operators behind its output, and other outputs."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node.extend(nodes)
        del model.graph.output[:]
        model.graph.output.extend(helper.make_tensor_value_info(n, kind, None) for n, kind in outputs.items())
        model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items())

    return foreign.changed(path, target, change)


def test_decoding_and_further_outputs_are_left_out(pose: Path, pose_card: str, tmp_path: Path) -> None:
    """PaddleDetection gives the places of the maxima beside the heatmaps, others give the coordinates alone."""
    flat = helper.make_node("Reshape", ["output", "rows"], ["flat"])
    best = helper.make_node("ArgMax", ["flat"], ["places"], axis=2, keepdims=0)
    path = with_end(
        pose, tmp_path / "p.onnx", flat, best, outputs={"places": TensorProto.INT64}, rows=np.array([1, 17, -1])
    )
    result = adopt(AdoptRequest(path, tmp_path / "a.onnx", card=pose_card))
    assert result.passed
    assert (
        "Reshape, ArgMax behind output are left out, because keypoints are decoded from the heatmaps" in result.changed
    )
    assert _operators(tmp_path / "a.onnx").keys() == {"Conv", "Relu", "Add", "Resize"}


def test_an_activation_that_bounds_heatmaps_stays(pose: Path, pose_card: str, tmp_path: Path) -> None:
    bounded = helper.make_node("Sigmoid", ["output"], ["bounded"])
    path = with_end(pose, tmp_path / "p.onnx", bounded, outputs={"bounded": TensorProto.FLOAT})
    result = adopt(AdoptRequest(path, tmp_path / "a.onnx", card=pose_card))
    assert result.passed and _operators(tmp_path / "a.onnx")["Sigmoid"] == 1


def test_a_second_head_is_left_out_and_said(pose: Path, pose_card: str, tmp_path: Path) -> None:
    """DeepLabCut's networks give a map of offsets beside the heatmaps."""
    source = next(n for n in onnx.load(str(pose)).graph.node if n.output[0] == "output").input[0]
    locref = helper.make_node("Conv", [source, "offsets"], ["locref"], kernel_shape=[1, 1])
    weights = np.random.default_rng(0).standard_normal((34, 8, 1, 1)).astype(np.float32)
    outputs = {"output": TensorProto.FLOAT, "locref": TensorProto.FLOAT}
    path = with_end(pose, tmp_path / "dlc.onnx", locref, outputs=outputs, offsets=weights)
    result = adopt(AdoptRequest(path, tmp_path / "a.onnx", card=pose_card))
    assert result.passed and "its outputs locref 1x34x24x16 are left out" in result.changed


def test_two_heads_that_both_fit_need_a_name(pose: Path, pose_card: str, tmp_path: Path) -> None:
    source = next(n for n in onnx.load(str(pose)).graph.node if n.output[0] == "output").input[0]
    second = helper.make_node("Conv", [source, "more"], ["auxiliary"], kernel_shape=[1, 1])
    weights = np.random.default_rng(0).standard_normal((17, 8, 1, 1)).astype(np.float32)
    outputs = {"output": TensorProto.FLOAT, "auxiliary": TensorProto.FLOAT}
    path = with_end(pose, tmp_path / "two.onnx", second, outputs=outputs, more=weights)
    assert "has 2 tensors that could be the maps of 17 keypoints" in refused(path, pose_card)
    assert adopt(AdoptRequest(path, tmp_path / "a.onnx", card=pose_card, tensor="output")).passed
    assert "no map of 17 keypoints" in refused(path, pose_card, tensor="input")
    assert "has no tensor nothing" in refused(path, pose_card, tensor="nothing")


def test_cards_of_other_networks_are_refused(pose: Path, tmp_path: Path) -> None:
    fewer = card(tmp_path, dataclasses.replace(TINY, keypoints=16), SIZE, "mpii")
    assert "ends in no map of 16 keypoints" in refused(pose, fewer)
    assert "is not HRNetV1-W32 pose, 17 keypoints" in refused(pose, "pose_hrnet_w32_256x192")
    assert "ends in no map of 19 classes" in refused(pose, "seg_hrnetv2_w48_cityscapes_512x1024")
    assert "in a form that is not known (output 1x17x24x16)" in refused(pose, "faster_rcnn_hrnetv2p_w32_800x1344")
    with pytest.raises(BadInput, match="name its model card with --card"):
        AdoptRequest(pose, tmp_path / "a.onnx")


def test_networks_with_several_kinds_of_maps_are_refused(pose: Path, tmp_path: Path) -> None:
    given = card(tmp_path, arch.HigherHRNet(TINY.body, keypoints=17), SIZE, "coco-keypoints")
    assert "gives stage0 and stage1 — export its checkpoint" in refused(pose, given)


def test_heatmaps_of_another_size_are_refused(pose: Path, pose_card: str, tmp_path: Path) -> None:
    """HigherHRNet and networks of one's own give heatmaps at half the size of the input."""
    up = helper.make_node("ConvTranspose", ["output", "up"], ["large"], kernel_shape=[2, 2], strides=[2, 2])
    weights = np.ones((17, 17, 2, 2), np.float32)
    path = with_end(pose, tmp_path / "up.onnx", up, outputs={"large": TensorProto.FLOAT}, up=weights)
    assert "gives large of 48x32 for an input of 96x64" in refused(path, pose_card)


def test_simcc_is_refused_by_name(pose: Path, pose_card: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["output"], ["flat"], axis=2),
        helper.make_node("MatMul", ["flat", "w"], ["simcc_x"]),
    ]
    weights = np.ones((384, 8), np.float32)
    path = with_end(pose, tmp_path / "simcc.onnx", *nodes, outputs={"simcc_x": TensorProto.FLOAT}, w=weights)
    assert "is SimCC (RTMPose)" in refused(path, pose_card)


# types, opsets and batches


def test_a_float16_file_becomes_float32_and_is_judged_as_float16(
    tiny_network: nn.Module, pose_card: str, tiny_checkpoint: Path, pose: Path, tmp_path: Path
) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    path = tmp_path / "half.onnx"
    onnx.save(convert_float_to_float16(onnx.load(str(pose)), keep_io_types=False), str(path))
    result = adopt(AdoptRequest(path, tmp_path / "a.onnx", card=pose_card, against=str(tiny_checkpoint)))
    assert result.passed, result.checks
    assert "its float16 weights are float32 now, with the values that they were rounded to" in result.changed
    assert result.named == result.layers
    assert {c.limit for c in result.checks if "on images" in c.name} == {1e-2}


def test_a_quantized_file_is_refused(exported: Callable[..., Path], pose: Path, pose_card: str, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("QuantizeLinear", ["output", "s", "z"], ["q"]))
        model.graph.initializer.append(numpy_helper.from_array(np.array(0.1, np.float32), "s"))
        model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.uint8), "z"))

    path = foreign.changed(pose, tmp_path / "q.onnx", change)
    assert "is quantized already (it has QuantizeLinear)" in refused(path, pose_card)
    assert "was made by hrnet-deploy and describes itself" in refused(exported(), pose_card)


def test_external_data_is_read_and_bounded(pose: Path, pose_card: str, tmp_path: Path) -> None:
    model = onnx.load(str(pose))
    path = tmp_path / "ext.onnx"
    onnx.save_model(model, str(path), save_as_external_data=True, location="ext.data", size_threshold=0)
    assert adopt(AdoptRequest(path, tmp_path / "a.onnx", card=pose_card)).passed
    data = (tmp_path / "ext.data").read_bytes()
    (tmp_path / "ext.data").write_bytes(data[: len(data) // 2])
    assert "ext.data is cut off" in refused(path, pose_card)
    (tmp_path / "ext.data").unlink()
    assert "has tensors in ext.data, which is not next to it" in refused(path, pose_card)

    def outside(changed: onnx.ModelProto) -> None:
        tensor = next(i for i in changed.graph.initializer if len(i.dims) == 4)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")

    model = onnx.load(str(pose))
    outside(model)
    (tmp_path / "out.onnx").write_bytes(model.SerializeToString())
    assert "which is not in its folder" in refused(tmp_path / "out.onnx", pose_card)


def test_an_open_batch_stays_open_if_the_graph_takes_it(
    tiny_network: nn.Module, pose_card: str, pose: Path, tmp_path: Path
) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
        del model.graph.output[0].type.tensor_type.shape.dim[:]

    path = foreign.changed(pose, tmp_path / "open.onnx", change)
    assert adopt(AdoptRequest(path, tmp_path / "a.onnx", card=pose_card)).passed
    shapes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in _values(load_model(tmp_path / "a.onnx"))
    ]
    assert shapes == [["batch", 3, 96, 64], ["batch", 17, 24, 16]]

    def fixed_inside(model: onnx.ModelProto) -> None:
        change(model)
        model.graph.node[0].input[0] = "one"
        nodes = [helper.make_node("Reshape", ["input", "shape"], ["one"])]
        nodes += [onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        model.graph.initializer.append(numpy_helper.from_array(np.array([1, 3, *SIZE]), "shape"))

    path = foreign.changed(pose, tmp_path / "declared.onnx", fixed_inside)
    result = adopt(AdoptRequest(path, tmp_path / "b.onnx", card=pose_card))
    assert result.passed and any("so the batch is fixed to 1" in text for text in result.changed)


def test_open_sizes_are_fixed_and_the_card_follows_the_file(pose: Path, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        for axis, name in ((2, "h"), (3, "w")):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
        del model.graph.output[0].type.tensor_type.shape.dim[:]

    larger = card(tmp_path, TINY, (128, 96), "coco-keypoints")
    path = foreign.changed(pose, tmp_path / "open.onnx", change)
    result = adopt(AdoptRequest(path, tmp_path / "a.onnx", card=larger, size=(64, 64)))
    assert result.input_size == "64x64" and "the open axes of its input are fixed to 64x64" in result.changed
    assert adopt(AdoptRequest(pose, tmp_path / "b.onnx", card=larger)).input_size == "96x64"
    assert "leave --size out" in refused(pose, larger, size=(64, 64))


# damaged and hostile files


def hostile() -> dict[str, tuple[onnx.ModelProto, str]]:
    """Graphs that no network is, each with the words that refuse it."""
    node, weights = helper.make_node, {"w": np.ones((17, 3, 1, 1), np.float32)}
    image = {"x": (1, 3, 96, 64)}
    conv = node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1])
    branch = helper.make_graph([node("Identity", ["y"], ["b"])], "b", [], [helper.make_tensor_value_info("b", 1, None)])
    choice = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Cast", ["sum"], ["yes"], to=TensorProto.BOOL),
        conv,
        node("If", ["yes"], ["chosen"], then_branch=branch, else_branch=branch),
        node("Conv", ["chosen", "v"], ["z"], kernel_shape=[1, 1]),
    ]
    more = {**weights, "v": np.ones((17, 17, 1, 1), np.float32)}
    whole = {"x": TensorProto.INT64, "y": TensorProto.INT64}
    loop = [node("Add", ["y", "z"], ["z"]), conv]
    round_trip = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Conv", ["b", "w"], ["y"])]
    plugin = [node("Conv", ["x", "w"], ["c"]), node("MMCVRoiAlign", ["c"], ["d"], domain="mmdeploy")]
    fused = [node("FusedConv", ["x", "w"], ["c"], domain="com.microsoft"), node("Conv", ["c", "v"], ["y"])]
    quarter: dict[str, Any] = {"kernel_shape": [1, 1], "strides": [4, 4]}
    unknown = [node("Conv", ["x", "w"], ["c"], **quarter), node("Relu", ["c"], ["y"], nonsense=1)]
    both = [node("Concat", ["x", "x2"], ["c"], axis=1), node("Conv", ["c", "w"], ["y"], **quarter)]
    six, five = ({"w": np.ones((17, n, 1, 1), np.float32)} for n in (6, 5))
    no_opset = foreign.graph([conv], image, ["y"], weights)
    del no_opset.opset_import[:]
    sparse = foreign.graph([conv], image, ["y"], weights)
    sparse.graph.sparse_initializer.add().values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "s"))
    typeless, open_axes = (foreign.graph([conv], image, ["y"], weights) for _ in range(2))
    typeless.graph.initializer[0].data_type = -65535
    for axis in open_axes.graph.input[0].type.tensor_type.shape.dim:
        axis.dim_value = -1  # as some exporters write an open axis
    return {
        "a weight of no type": (typeless, "its weight w has no known type of numbers"),
        "axes of -1": (open_axes, "of 96x64 for an input of 96x64"),
        "no opset": (no_opset, "does not say its opset"),
        "sparse": (sparse, "stores sparse weights"),
        "an unknown attribute": (foreign.graph(unknown, image, ["y"], weights), "ONNX Runtime cannot open"),
        "two images": (foreign.graph(both, {**image, "x2": (1, 3, 96, 64)}, ["y"], six), "no single input that is an"),
        "five channels": (
            foreign.graph([node("Conv", ["x", "w"], ["y"], **quarter)], {"x": (1, 5, 96, 64)}, ["y"], five),
            "neither axis of colours is 3",
        ),
        "no layer": (foreign.graph([node("Relu", ["x"], ["y"])], image, ["y"]), "has no layer with weights"),
        "no floats": (
            foreign.graph([node("Add", ["x", "x"], ["y"])], image, ["y"], kinds=whole),
            "has no layer with weights",
        ),
        "computed twice": (foreign.graph(loop, image, ["y"], weights), "waits for itself"),
        "two results of one name": (
            foreign.graph([conv, node("Relu", ["x"], ["y"])], image, ["y"], weights),
            "the tensor y is computed twice",
        ),
        "a cycle": (foreign.graph(round_trip, image, ["y"], weights), "waits for itself"),
        "nothing gives it": (foreign.graph([node("Conv", ["x", "u"], ["y"])], image, ["y"]), "comes from nowhere"),
        "no output": (foreign.graph([conv], image, ["q"], weights), "nothing computes its output q"),
        "a plug-in": (
            foreign.graph([*plugin, node("Conv", ["d", "v"], ["y"])], image, ["y"], more, domains=["mmdeploy"]),
            "needs the operator mmdeploy::MMCVRoiAlign",
        ),
        "optimised": (
            foreign.graph(fused, image, ["y"], more, domains=["com.microsoft"]),
            "optimised for ONNX Runtime",
        ),
        "a branch": (foreign.graph(choice, image, ["z"], more), "has control flow inside its network"),
        "no batch": (foreign.graph([conv], {"x": (3, 96, 64)}, ["y"], weights), "ends in no map of 17 keypoints"),
        "another network": (foreign.graph([conv], image, ["y"], weights), "of 96x64 for an input of 96x64"),
    }


@pytest.mark.parametrize("name", hostile())
def test_graphs_that_are_no_network_are_refused_in_a_sentence(name: str, pose_card: str, tmp_path: Path) -> None:
    model, words = hostile()[name]
    path = tmp_path / "hostile.onnx"
    path.write_bytes(model.SerializeToString())
    assert re.search(words, refused(path, pose_card))


def test_files_that_are_no_onnx_are_refused(pose_card: str, tmp_path: Path) -> None:
    for data in (b"", b"<html></html>", b"version https://git-lfs.github.com/spec/v1\n", bytes(1000)):
        (tmp_path / "a.onnx").write_bytes(data)
        assert re.search("is (not an|a damaged) ONNX file", refused(tmp_path / "a.onnx", pose_card))


def test_any_operator_of_an_adopted_file_can_stay_in_float(adopted: tuple[Path, AdoptResult]) -> None:
    """The ranges of all tensors are known, also behind a resize that shares the scale of its input otherwise."""
    model = load_model(adopted[0])
    placement = place(model, TARGETS["ort"])
    recipe = Recipe(model, TARGETS["ort"], dict.fromkeys(placement.ranged, (-1.0, 1.0)), False)
    for node in model.graph.node:
        if node.op_type == "Resize":
            kept = {o for n in recipe.quantized([node.name]).graph.node for o in n.output}
            assert node.output[0] in kept


@pytest.mark.slow
def test_predict_tune_and_build_take_an_adopted_file(
    adopted: tuple[Path, AdoptResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = adopted
    people = folder() / "demo" / "images"
    found = predict(PredictRequest(ModelUse(path), [people], tmp_path / "out", pictures=False))
    assert (found.images, found.results) == (6, 19)
    if not rtx_build_obstacle():
        made = build(BuildRequest(path, tmp_path / "a.plan", engine="trt-rtx"))
        assert made.compiled is not None
        assert read_description(tmp_path / "a.plan") == read_description(path)
    monkeypatch.setattr(candidates, "Schedule", lambda seconds, regions: Schedule(0.02, 6, 0.0, 0.02, regions=regions))
    monkeypatch.setattr(candidates, "ENGINES", {"ort": candidates.ENGINES["ort"]})  # two candidates are enough here
    split = Split(people, calibration_images=2, held_out=2)
    tuned = tune(TuneRequest(path, tmp_path / "best.onnx", split, max_drop=100.0, threads=(1,)))
    assert tuned.winner.accepted and read_description(tmp_path / "best.onnx").step("adopt")
