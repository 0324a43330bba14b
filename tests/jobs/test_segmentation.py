"""A segmentation network all the way: exported, checked, quantized, embedded, measured, used."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import generate
import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from support.tiny import SEG_SIZE, TINY_SEG

from hrnet_deploy import architecture as arch
from hrnet_deploy.cards import card
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source
from hrnet_deploy.graph.fp16 import to_fp16
from hrnet_deploy.graph.index import GraphIndex
from hrnet_deploy.graph.metadata import load_model, read_description
from hrnet_deploy.graph.quantize import TARGETS, block_of, place, quantize
from hrnet_deploy.image_input import Input
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.base import Feed, InputFormat, TaskOptions, noise
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.images import read_image, read_labels
from hrnet_deploy.tasks.segmentation import graph
from hrnet_deploy.tasks.segmentation.task import SegmentationTask

Run = Callable[..., tuple[int, str, str]]
SIZE = f"{SEG_SIZE[0]}x{SEG_SIZE[1]}"
MMSEG = arch.Upsample("bilinear", two_steps=True)
EMBEDDED = {"embed": True, "batch": 2, "flip_test": True}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    generate.generate(folder, range(24), seed=5)
    return folder


@pytest.fixture(scope="module")
def int8(
    exported_seg: Callable[..., Path], images: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The tiny network quantized for a target, once."""
    from hrnet_deploy.jobs.quantize import QuantizeRequest, Split
    from hrnet_deploy.jobs.quantize import quantize as job

    folder = tmp_path_factory.mktemp("int8")

    def make(target: str) -> Path:
        path = folder / f"{target}.onnx"
        if not path.exists():
            done = job(
                QuantizeRequest(exported_seg(), path, Split(images, calibration_images=12, held_out=6), target=target)
            )
            assert done.passed, done.trials[-1].checks
        return path

    return make


def test_what_is_assumed_is_said_and_a_flag_says_otherwise(seg_checkpoint: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "a.onnx"
    assumed = "upsampling of its branches is assumed to be bilinear, align_corners False — if it is not"
    assert assumed in run("inspect", seg_checkpoint)[1]
    code, text, _ = run("export", seg_checkpoint, "-o", out, "--size", SIZE, "--align-corners")
    assert code == 0
    assert "upsampling of its branches" not in text
    assert "19 classes are assumed to be those of cityscapes" in text
    found = read_description(out).card.architecture
    assert isinstance(found, arch.SegHRNet)
    assert found.body.upsample == arch.Upsample("bilinear", align_corners=True)
    # the file's card decides what the checkpoint is, so the reference is the same network
    assert run("check", out, "--against", seg_checkpoint)[0] == 0


def test_align_corners_is_for_segmentation_alone(tiny_checkpoint: Path, tmp_path: Path, run: Run) -> None:
    code, _, err = run("export", tiny_checkpoint, "-o", tmp_path / "a.onnx", "--no-align-corners")
    assert code == 2
    assert "has no align_corners — leave --align-corners out" in err


def exports_open(shape: arch.Architecture, folder: Path) -> Path:
    """With every axis open the graph equals PyTorch, at sizes that are no multiple of anything too."""
    network = build_network(shape)
    random_weights(network, seed=1)
    torch.save(network.state_dict(), folder / "a.pth")
    found, path = folder / "card.yaml", folder / "a.onnx"
    content = {
        "architecture": arch.to_dict(shape),
        "input": {"height": 64, "width": 96, "fit": "pad"},
        "dataset": "cityscapes",
    }
    found.write_text(json.dumps(content))
    done = export(
        ExportRequest(str(folder / "a.pth"), path, ExportOptions(dynamic=("batch", "height", "width")), card=str(found))
    )
    assert done.passed, done.checks
    assert done.assumption == ""  # the card says how its network upsamples
    assert read_description(path).card.architecture == shape
    engine = open_engine("ort", Source(read_description(path).card, path))
    assert engine.inputs[0].shape == ("batch", 3, "height", "width")
    for batch, height, width in ((1, 64, 96), (2, 77, 110), (1, 121, 51)):
        feed = noise(read_description(path).card, batch, 7, height, width)
        with torch.inference_mode():
            wanted = network(torch.from_numpy(feed["image"])).numpy()
        got = engine.run(feed)["logits"]
        assert np.abs(got - wanted).max() / np.abs(wanted).max() < 1e-4
    return path


@pytest.fixture(scope="module")
def open_axes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with OCR that fuses in two steps, every axis of its graph open."""
    shape = TINY_SEG.with_upsampling(MMSEG)
    assert isinstance(shape, arch.SegHRNet)
    return exports_open(dataclasses.replace(shape, ocr=True), tmp_path_factory.mktemp("open"))


@pytest.mark.slow
@pytest.mark.parametrize("head", ["psp", "aspp"])
def test_dilated_networks_export_with_open_axes(head: str, tmp_path: Path) -> None:
    exports_open(arch.DilatedResNet(50, head, channels=32), tmp_path)  # type: ignore[arg-type]


# --- embedding -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [False, True])
def test_labels_in_the_graph_are_the_labels_outside(flip: bool) -> None:
    lip = dataclasses.replace(card("seg_hrnetv2_w48_lip_473x473"), input=Input(61, 47, fit="stretch"))
    logits = np.random.default_rng(0).standard_normal((2, 20, 16, 12)).astype(np.float32)
    model = onnx.parser.parse_model(graph.embedding(lip, logits.shape, flip, 20))
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    labels = np.asarray(session.run(None, {"logits": logits})[0])
    task = SegmentationTask(lip, InputFormat(), TaskOptions(flip_test=flip))
    samples = task.samples(np.zeros((61, 47, 3), np.uint8), Item(Path(), 1)) * (1 if flip else 2)
    outputs = [{"logits": logits}] if flip else [{"logits": logits[:1]}, {"logits": logits[1:]}]
    assert labels.shape == (len(outputs), 61, 47)
    assert labels.dtype == np.uint8
    for got, wanted in zip(labels, task.decode(outputs, samples), strict=True):
        assert (got == wanted.labels).mean() > 0.999  # two classes may tie to seven digits


def test_an_embedded_file_gives_labels_of_uint8_images(exported_seg: Callable[..., Path], run: Run) -> None:
    path = exported_seg(**EMBEDDED)  # verified against PyTorch on images of other sizes
    description = read_description(path)
    engine = open_engine("ort", Source(description.card, path))
    assert [(i.name, i.shape, i.dtype) for i in engine.inputs] == [("crops", (2, *SEG_SIZE, 3), "uint8")]
    assert [(o.name, o.shape, o.dtype) for o in engine.outputs] == [("labels", (2, *SEG_SIZE), "uint8")]
    assert run("check", path, "--against", exported_seg(), "--flip-test", "--max-differing", "0.001")[0] == 0


# --- int8 and float16 ----------------------------------------------------------------------------------------


def scales_of(graph: GraphIndex, tensor: str) -> tuple[float, int]:
    """Of the pair behind which a value is read."""
    node = graph.producer[tensor]
    assert node.op_type == "DequantizeLinear", tensor
    scale, zero = (numpy_helper.to_array(graph.constants[i]) for i in node.input[1:])
    return float(scale), int(zero)


@pytest.mark.parametrize("target", ["ort", "openvino"])
def test_everything_that_is_concatenated_shares_one_scale(
    target: str, int8: Callable[[str], Path], exported_seg: Callable[..., Path]
) -> None:
    model = load_model(int8(target))
    graph = GraphIndex(model)
    (joined,) = [n for n in graph.nodes if n.op_type == "Concat"]
    (quantized,) = graph.consumers[joined.output[0]]
    assert quantized.op_type == "QuantizeLinear"
    found = {scales_of(graph, x) for x in (*joined.input, f"{joined.output[0]}.dq")}
    assert len(joined.input) == 3
    assert len(found) == 1
    # the resizes in front of it keep that scale, and it spans the ranges of all branches
    branches = place(load_model(exported_seg()), TARGETS[target]).sources(joined.output[0])
    assert len(branches) == 3
    assert {scales_of(graph, f"{b}.dq") for b in branches} == found


def test_tensorrt_quantizes_what_is_concatenated_once(int8: Callable[[str], Path]) -> None:
    graph = GraphIndex(load_model(int8("trt")))
    (joined,) = [n for n in graph.nodes if n.op_type == "Concat"]
    assert "DequantizeLinear" not in {graph.producer[x].op_type for x in joined.input}
    assert [r.op_type for r in graph.consumers[joined.output[0]]] == ["QuantizeLinear"]


def test_a_shared_scale_spans_every_range_of_its_group() -> None:
    text = """<ir_version: 10, opset_import: ["": 20]>
    net (float[1, 2, 4, 4] x) => (float[1, 6, 4, 4] y)
    <float[2, 2, 1, 1] w = {1, 0, 0, 1}, float[6, 6, 1, 1] v = {WEIGHTS},
      float[4] scales = {1, 1, 2, 2}> {
        a = Conv(x, w)
        b = Conv<strides = [2, 2]>(x, w)
        big = Resize<mode = "linear">(b, , scales)
        both = Concat<axis = 1>(a, big)
        more = Concat<axis = 1>(both, a)
        y = Conv(more, v)
    }""".replace("WEIGHTS", ", ".join("1" if i % 7 == 0 else "0" for i in range(36)))
    model = onnx.parser.parse_model(text)
    for node in model.graph.node:
        node.name = node.output[0]
    found = place(model, TARGETS["ort"])
    assert {t: set(s) for t, s in found.shares.items()} == {t: {"a", "b"} for t in ("a", "b", "big", "both", "more")}
    assert set(found.ranged) == {"x", "a", "b"}
    assert found.range_of("both", {"a": (-1.0, 2.0), "b": (0.0, 5.0)}) == (-1.0, 5.0)
    made = GraphIndex(quantize(model, TARGETS["ort"], found, {"x": (-1.0, 1.0), "a": (-1.0, 2.0), "b": (0.0, 5.0)}))
    assert {scales_of(made, f"{t}.dq") for t in ("a", "b", "big", "both", "more")} == {(float(np.float32(6 / 255)), 42)}


def test_sizes_stay_integers_where_axes_are_open(open_axes: Path) -> None:
    """Such a graph adds and concatenates sizes too; pairs and float16 are for values alone."""
    model = load_model(open_axes)
    integers = GraphIndex(model).integers
    assert integers & {n.output[0] for n in model.graph.node if n.op_type == "Add"}
    assert integers & {n.output[0] for n in model.graph.node if n.op_type == "Concat"}
    feed = noise(read_description(open_axes).card, 1, 0, 75, 110)
    wanted = run_model(model, feed)
    for target in TARGETS.values():
        placement = place(model, target)
        assert not integers & set(placement.activations)
        made = quantize(model, target, placement, dict.fromkeys(placement.ranged, (-8.0, 8.0)))
        assert run_model(made, feed).shape == wanted.shape
    halved, kept = to_fp16(model)
    assert not kept
    assert np.abs(run_model(halved, feed) - wanted).max() / np.abs(wanted).max() < 1e-2


def test_attention_stays_in_float(open_axes: Path) -> None:
    """Sums over every pixel and over every class are too long for eight bits; their convolutions are not."""
    model = load_model(open_axes)
    placement = place(model, TARGETS["ort"])
    assert "ocr_distri_head.object_context_block.f_pixel.0" in placement.weighted
    made = GraphIndex(quantize(model, TARGETS["ort"], placement, dict.fromkeys(placement.ranged, (-8.0, 8.0))))
    for node in made.nodes:
        if node.op_type in ("MatMul", "Softmax"):
            assert "QuantizeLinear" not in {r.op_type for r in made.consumers[node.output[0]]}


def run_model(model: onnx.ModelProto, feed: Feed) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    return np.asarray(
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, dict(feed)
        )[0]
    )


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("backbone.stage2.0.branches.1.0.conv1", "backbone.stage2.0.branches.1.*"),
        ("backbone.layer3.12.conv2", "backbone.layer3.12.*"),
        ("backbone.stem.0", "backbone.stem.0"),
        ("decode_head.bottleneck.conv", "decode_head.bottleneck.*"),
        ("decode_head.conv_seg", "decode_head.conv_seg"),
        ("last_layer.0", "last_layer.0"),
        ("ocr_distri_head.object_context_block.f_pixel.0", "ocr_distri_head.object_context_block.*"),
    ],
)
def test_blocks_of_other_networks(name: str, block: str) -> None:
    assert block_of(name) == block


@pytest.mark.parametrize("target", ["ort", "openvino"])
def test_int8_is_checked_against_the_checkpoint_with_its_metric(
    target: str, int8: Callable[[str], Path], seg_checkpoint: Path, images: Path, tmp_path: Path, run: Run
) -> None:
    report = tmp_path / "report.json"
    given = ("--against", seg_checkpoint, "--images", images, "--limit", 6)
    code, text, _ = run("check", int8(target), *given, "--engine", target, "-o", report)
    assert code == 0, text
    found = json.loads(report.read_text())
    assert found["task"]["metric"] == "mIoU"
    assert set(found["task"]["engine"]) == {"mIoU", "pixel accuracy", "mean accuracy"}
    assert 0 < found["task"]["distance"]["figures"]["differing"] < 0.1
    assert found["task"]["interval"][0] <= found["task"]["difference"] <= found["task"]["interval"][1]
    assert "label maps:" in text
    code, text, _ = run("compare", report, report, "--fail-on", "miou=0.1,differing=0.01")
    assert code == 0


def test_a_budget_on_pixels_fails_the_check(
    int8: Callable[[str], Path], exported_seg: Callable[..., Path], run: Run
) -> None:
    code, text, _ = run("check", int8("ort"), "--against", exported_seg(), "--max-differing", "0.0001")
    assert code == 1
    assert re.search(r"differing +0\.\d+ +0\.0001 +FAILED", text)


def test_float16_keeps_the_labels(exported_seg: Callable[..., Path], images: Path, tmp_path: Path, run: Run) -> None:
    code, text, _ = run("half", exported_seg(), "-o", tmp_path / "half.onnx", "--images", images)
    assert code == 0, text


# --- use -----------------------------------------------------------------------------------------------------


def test_predict_writes_label_maps_and_pictures(
    int8: Callable[[str], Path], images: Path, tmp_path: Path, run: Run
) -> None:
    out = tmp_path / "out"
    files = sorted(images.glob("*.png"))[:3]
    code, text, _ = run("predict", int8("ort"), *files, "-o", out)
    assert code == 0
    assert "3 results of 3 images" in text
    records = json.loads((out / "results.json").read_text())
    for path, record in zip(files, records, strict=True):
        image, labels = read_image(path), read_labels(out / record["label_map"])
        assert record["file_name"] == path.name
        assert record["label_map"] == f"label_maps/{path.name}"
        assert labels.shape == image.shape[:2] == (record["height"], record["width"])
        assert sum(c["pixels"] for c in record["classes"]) == labels.size
        assert {c["id"] for c in record["classes"]} == set(np.unique(labels))
        picture = read_image(out / path.name)
        assert picture.shape[0] == image.shape[0]
        assert picture.shape[1] > image.shape[1]
    (out / "mine.txt").write_text("mine")
    assert run("predict", int8("ort"), files[0], "--no-pictures", "-o", out, "--force")[0] == 0
    assert (out / "mine.txt").exists()
    assert len(json.loads((out / "results.json").read_text())) == 1


def test_the_pipeline_of_a_segmentation_network_is_measured(
    exported_seg: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    out = tmp_path / "bench.json"
    code, text, _ = run(
        "bench",
        exported_seg(),
        exported_seg(embed=True, batch=2),
        "--batch",
        2,
        "--seconds",
        0.2,
        "--rounds",
        6,
        "-o",
        out,
    )
    rows = json.loads(out.read_text())["rows"]
    assert {r["status"] for r in rows} == {"failed", "ok"}, text  # the plain file takes batches of 1
    assert code == 1
    assert set(next(r for r in rows if r["status"] == "ok")["regions"]) == {"compute", "end_to_end", "pipeline"}
