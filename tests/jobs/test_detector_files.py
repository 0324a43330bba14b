"""A detector from end to end: one ONNX file of standard operators, checked, in int8 and float16, used and measured."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from support import goldens
from support.placing import WHOLE
from support.tiny import DETECTOR, FRAME

from hrnet_deploy import architecture as arch
from hrnet_deploy.cards import card, folder
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source, TensorSpec, run_rows
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.backbone import backbone_outputs, network_part
from hrnet_deploy.graph.export import export_graph
from hrnet_deploy.graph.fp16 import to_fp16
from hrnet_deploy.graph.index import GraphIndex
from hrnet_deploy.graph.metadata import load_model, read_description
from hrnet_deploy.graph.operators import translations
from hrnet_deploy.graph.quantize import TARGETS, place, quantize
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
from hrnet_deploy.jobs.predict import Predictor
from hrnet_deploy.jobs.quantize import QuantizeRequest
from hrnet_deploy.jobs.quantize import quantize as quantize_job
from hrnet_deploy.networks.detection import FasterRCNN
from hrnet_deploy.networks.operators import pool_regions
from hrnet_deploy.parity import compare_on_images
from hrnet_deploy.tasks.base import noise, task_of
from hrnet_deploy.tasks.detection.task import DetectionTask
from hrnet_deploy.tasks.images import read_image
from hrnet_deploy.tasks.samples import sample_images
from hrnet_deploy.workflow.split import Split

Run = Callable[..., tuple[int, str, str]]
IMAGES = folder() / "demo" / "images"
HEAD = "roi_head.bbox_head."
FULLY_CONNECTED = {f"{HEAD}{n}" for n in ("shared_fcs.0", "shared_fcs.1", "fc_cls", "fc_reg")}


def test_a_detector_is_one_graph_of_standard_operators_and_static_shapes(detector_onnx: Path) -> None:
    model = load_model(detector_onnx)
    onnx.checker.check_model(model, full_check=True)
    assert [o.domain for o in model.opset_import] == [""] and not model.functions
    assert [i.name for i in model.graph.input] == ["image", "image_size"]
    shapes = {o.name: [d.dim_value for d in o.type.tensor_type.shape.dim] for o in model.graph.output}
    assert shapes == {"boxes": [1, 100, 4], "scores": [1, 100], "labels": [1, 100], "count": [1]}
    kinds = [n.op_type for n in model.graph.node]
    assert kinds.count("RoiAlign") == 1 and kinds.count("NonMaxSuppression") == 6
    assert len({n.name for n in model.graph.node}) == len(kinds)


def test_the_network_ends_where_boxes_begin(detector_onnx: Path) -> None:
    model = load_model(detector_onnx)
    inside = [n for n in model.graph.node if n.name in network_part(model)]
    assert {n.op_type for n in inside} <= {
        "Conv", "Relu", "Add", "Resize", "Concat", "AveragePool", "Pad", "RoiAlign", "Reshape", "Flatten", "Gemm",
    }  # fmt: skip
    of_input, of_regions = backbone_outputs(model)
    assert len(of_input) == 10 and all(t.startswith(("rpn_head.rpn_cls", "rpn_head.rpn_reg")) for t in of_input)
    assert [t.startswith((f"{HEAD}fc_cls", f"{HEAD}fc_reg")) for t in of_regions] == [True, True]


def test_check_knows_the_checkpoint_from_another(
    detector_onnx: Path, tiny_detector: Path, tmp_path: Path, run: Run
) -> None:
    code, out, err = run("check", detector_onnx, "--against", tiny_detector, "--images", IMAGES, "--limit", "2")
    assert (code, err) == (0, "")
    assert "0 without a match" in out
    state = torch.load(tiny_detector, weights_only=True)
    state["rpn_head.rpn_reg.weight"] += 0.05
    torch.save(state, tmp_path / "other.pth")
    code, out, _ = run("check", detector_onnx, "--against", tmp_path / "other.pth")
    assert code == 1
    assert "rpn_head.rpn_reg" in out.replace("\n", "")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (ExportOptions(dynamic=("batch",)), "takes one size of input and batch"),
        (ExportOptions(embed=True), "not available for detection"),
        (ExportOptions(exporter="torchscript"), "try --exporter dynamo"),
        (ExportOptions(opset=13), "needs opset 18 or newer, because only the dynamo exporter writes its non-maximum"),
        (ExportOptions(size=(100, 128)), "multiples of 32, 64 or more"),
        (ExportOptions(size=(32, 128)), "nearest is --size 64x128"),
    ],
)
def test_what_a_detector_cannot_be_is_said(
    options: ExportOptions, sentence: str, tiny_detector: Path, tmp_path: Path
) -> None:
    given = options if options.size else ExportOptions(**{**vars(options), "size": FRAME})
    with pytest.raises(BadInput, match=sentence):
        export(ExportRequest(str(tiny_detector), tmp_path / "a.onnx", given))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", WHOLE)
def test_integers_end_where_the_network_does(target: str, detector_onnx: Path) -> None:
    model = load_model(detector_onnx)
    placement = place(model, TARGETS[target])
    made = quantize(model, TARGETS[target], placement, dict.fromkeys(placement.ranged, (-3.0, 4.0)))
    onnx.checker.check_model(made, full_check=True)
    assert set(placement.weighted) >= FULLY_CONNECTED
    part, graph, whole = network_part(model, regions=False), GraphIndex(model), GraphIndex(made)
    for node in whole.nodes:
        if node.name in {n.name for n in graph.nodes} - part:  # as it was, and nothing it gives is rounded
            assert node.op_type in ("Pad", "RoiAlign") or list(node.input) == list(
                graph.nodes[graph.order[node.name]].input
            )
            assert (
                not any(r.op_type == "QuantizeLinear" for o in node.output for r in whole.consumers[o])
                or node.op_type == "Reshape"
            )
        if node.name in placement.weighted:
            assert whole.producer[node.input[0]].op_type == whole.producer[node.input[1]].op_type == "DequantizeLinear"
    for tensor in (*backbone_outputs(model)[0], *backbone_outputs(model)[1]):
        assert not any(r.op_type == "QuantizeLinear" for r in whole.consumers[tensor])


def test_a_bias_that_levels_share_has_a_scale_for_each(detector_onnx: Path) -> None:
    """The proposal head reads five levels, each with a scale of its own: one integer bias would fit one of them."""
    model = load_model(detector_onnx)
    placement = place(model, TARGETS["ort"])
    ranges = {t: (-3.0, 4.0 + i) for i, t in enumerate(placement.ranged)}
    whole = GraphIndex(quantize(model, TARGETS["ort"], placement, ranges))
    heads = [n for n in whole.nodes if n.name.partition("#")[0] == "rpn_head.rpn_conv"]
    assert len(heads) == 5 and len({n.input[1] for n in heads}) == 1
    for node in heads:
        scales = [onnx.numpy_helper.to_array(whole.constants[whole.producer[x].input[1]]) for x in node.input]
        assert np.allclose(scales[2], scales[0] * scales[1])
        bias, zero = whole.producer[node.input[2]].input[0], GraphIndex(model).constants["rpn_head.rpn_conv.bias"]
        back = onnx.numpy_helper.to_array(whole.constants[bias]) * scales[2]
        assert np.abs(back - onnx.numpy_helper.to_array(zero)).max() <= scales[2].max()


def test_integer_layers_give_what_their_pairs_say(detector_onnx: Path) -> None:
    """ONNX Runtime makes one operator of a fully connected layer between pairs, with a scale an output."""
    model = load_model(detector_onnx)
    placement = place(model, TARGETS["ort"])
    made = quantize(model, TARGETS["ort"], placement, dict.fromkeys(placement.ranged, (-3.0, 4.0)))
    regions = next(n.output[0] for n in made.graph.node if n.op_type == "RoiAlign")
    head = onnx.utils.Extractor(made).extract_model([regions], backbone_outputs(model)[1])
    x = np.random.default_rng(0).standard_normal((DETECTOR.proposals.kept, 16, 7, 7), dtype=np.float32)
    results = []
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(head.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {regions: x}))
    for plain, fused in zip(*results, strict=True):
        assert np.abs(plain - fused).max() < 0.02 * np.abs(plain).max()  # a step of the hidden layer


class Lenient(DetectionTask):
    """Random weights tell boxes apart by less than integers do."""

    limits: Mapping[str, Mapping[str, float]] = {**DetectionTask.limits, "int8": {"missing": 1.0, "pixels_mean": 20.0}}


def test_a_quantized_detector_is_written_and_runs(detector_onnx: Path, tmp_path: Path) -> None:
    known = read_description(detector_onnx).card
    task = Lenient(known, read_description(detector_onnx).input_format)
    split = Split(IMAGES, calibration_images=3, held_out=2)
    done = quantize_job(QuantizeRequest(detector_onnx, tmp_path / "int8.onnx", split, task=task))
    figures = done.trials[-1].figures
    assert figures.distance.figures["detections"] > 50 and figures.metric == "AP"
    assert figures.distance.figures["missing"] < 0.5 and figures.distance.figures["score_mean"] < 0.05
    kinds = [n.op_type for n in load_model(tmp_path / "int8.onnx").graph.node]
    assert "RoiAlign" in kinds and "DequantizeLinear" in kinds
    assert read_description(tmp_path / "int8.onnx").precision == "int8"


def test_a_block_is_judged_where_the_network_ends(detector_onnx: Path, tmp_path: Path) -> None:
    """A block behind the regions costs nothing before them, and what is before them is not judged by other regions."""
    request = QuantizeRequest(
        detector_onnx, tmp_path / "int8.onnx", Split(IMAGES, calibration_images=2, held_out=1), sensitivity=True
    )
    done = quantize_job(request)
    cost = {b.pattern: b.sqnr_db for b in done.blocks}
    assert all(v is not None and 5 < v < 80 for v in cost.values())


def test_boxes_stay_in_float32_where_the_network_is_halved(detector_onnx: Path, tmp_path: Path, run: Run) -> None:
    model = load_model(detector_onnx)
    made, kept = to_fp16(model)
    assert not kept
    inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True)
    half = {v.name for v in inferred.graph.value_info if v.type.tensor_type.elem_type == TensorProto.FLOAT16}
    half |= {c.name for c in made.graph.initializer if c.data_type == TensorProto.FLOAT16}
    part = network_part(model)
    for node in made.graph.node:
        if node.name in {n.name for n in model.graph.node} - part or node.op_type == "RoiAlign":
            assert not half & {*node.input, *node.output}, node.name
        if node.op_type in ("Conv", "Gemm"):
            assert set(node.input) <= half
    code, _, err = run("half", detector_onnx, "-o", tmp_path / "half.onnx")
    assert (code, err) == (0, "")
    assert (tmp_path / "half.onnx").stat().st_size < 0.7 * detector_onnx.stat().st_size


def test_predict_writes_boxes_in_the_format_of_coco(detector_onnx: Path, tmp_path: Path, run: Run) -> None:
    code, _, err = run("predict", detector_onnx, IMAGES / "000003.jpg", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    records = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(records[0]) == {"file_name", "image_id", "category_id", "bbox", "score"}
    assert {r["category_id"] for r in records} <= set(range(1, 7))
    assert [r["score"] for r in records] == sorted((r["score"] for r in records), reverse=True)
    x, y, w, h = np.array([r["bbox"] for r in records]).T
    assert x.min() >= 0 and y.min() >= 0 and (x + w).max() <= 418.01 and (y + h).max() <= 278.01
    assert (tmp_path / "out" / "000003.png").exists()


@pytest.mark.slow
def test_a_detector_is_measured(detector_onnx: Path, tiny_detector: Path, tmp_path: Path, run: Run) -> None:
    quick = ("--seconds", "0.05", "--rounds", "6", "--threads", "1")
    code, out, err = run(
        "bench", detector_onnx, "--engine", "torch", "--engine", "ort", "--checkpoint", tiny_detector, *quick
    )
    assert (code, err) == (0, "")
    assert "torch" in out and "ort" in out


def test_openvino_finds_the_same(detector_onnx: Path) -> None:
    pytest.importorskip("openvino")
    source = Source(read_description(detector_onnx).card, detector_onnx)
    task = task_of(source.card)
    figures = compare_on_images(
        open_engine("ort", source), task, open_engine("openvino", source), task, sample_images()
    ).distance.figures
    assert figures["missing"] == figures["extra"] == 0 and figures["pixels_max"] < 0.05


class Pooling(torch.nn.Module):
    """Four levels and boxes to regions, and nothing else."""

    def forward(self, boxes: torch.Tensor, level: torch.Tensor, *levels: torch.Tensor) -> torch.Tensor:
        regions: torch.Tensor = pool_regions(list(levels), boxes, level, [4, 8, 16, 32], 7)
        return regions


def test_regions_pooled_in_a_graph_are_those_of_pytorch(tmp_path: Path) -> None:
    """Boxes anywhere in an image, on its borders and over all of it, from every level, of every size, and no boxes."""
    g = torch.Generator().manual_seed(0)
    levels = [torch.randn(1, 3, 192 // s, 256 // s, generator=g) for s in (4, 8, 16, 32)]
    frame = torch.tensor([256.0, 192.0, 256.0, 192.0])
    boxes = (torch.rand(100, 2, 2, generator=g).sort(dim=1).values.flatten(1)) * frame
    special = torch.tensor(
        [[0, 0, 1, 1], [0, 0, 0.01, 0.6], [0.99, 0.99, 1, 1], [0, 0, 0.3, 1], [0.2, 0.3, 0.2, 0.3], [0, 0, 0, 0]]
    )
    boxes = torch.cat([boxes, special * frame])
    level = torch.arange(len(boxes)) % 4
    level[-1] = -1
    given = (boxes, level, *levels)
    path = tmp_path / "pooling.onnx"
    names = ["boxes", "level", *(f"p{i}" for i in range(2, 6))]
    torch.onnx.export(
        Pooling(), given, path, dynamo=True, input_names=names, custom_translation_table=translations(), verbose=False
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {n: t.numpy() for n, t in zip(names, given, strict=True)})[0]
    assert np.abs(got - Pooling()(*given).numpy()).max() < 1e-4
    assert not got[-1].any()


class Regions:
    """An engine of a fixed batch whose result has several rows an input."""

    inputs = (TensorSpec("image", (2, 1), "float32"),)

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"one": feeds["image"], "three": feeds["image"].repeat(3, axis=0)}


def test_rows_that_fill_up_a_batch_are_dropped_with_all_their_regions() -> None:
    found = run_rows(Regions(), {"image": np.arange(3, dtype=np.float32)[:, None]})  # type: ignore[arg-type]
    assert found["one"].ravel().tolist() == [0, 1, 2]
    assert found["three"].ravel().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.slow
def test_a_batch_is_its_images_one_by_one(tiny_detector: Path, tmp_path: Path, detector_onnx: Path) -> None:
    done = export(ExportRequest(str(tiny_detector), tmp_path / "two.onnx", ExportOptions(size=FRAME, batch=2)))
    assert done.passed, done.checks
    one, two = (
        open_engine("ort", Source(read_description(detector_onnx).card, p))
        for p in (detector_onnx, tmp_path / "two.onnx")
    )
    feed = noise(read_description(detector_onnx).card, 2, seed=5)
    a, b = run_rows(one, feed), two.run(feed)
    assert a["scores"].shape == (2, DETECTOR.detections.kept)
    assert np.abs(a["scores"] - b["scores"]).max() < 1e-5


@pytest.mark.slow
def test_a_graph_gives_the_boxes_of_mmdetection() -> None:
    """The whole of it: their weights and image, their boxes from ONNX Runtime."""
    name = "det_faster_rcnn_hrnetv2p_w18_e2e"
    known = card("faster_rcnn_hrnetv2p_w18_800x1344").resized(160, 192)
    shape = dataclasses.replace(known.architecture, proposals=arch.Proposals(kept=100))  # type: ignore[type-var]
    network = FasterRCNN(shape).eval()  # type: ignore[arg-type]
    network.load_state_dict({k: torch.from_numpy(v) for k, v in goldens.weights(name).items()})
    model = export_graph(network, dataclasses.replace(known, architecture=shape))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"image": goldens.blocks(name), "image_size": np.array([[160, 192]], np.float32)}
    boxes, scores, labels, count = session.run(None, feed)
    wanted = goldens.arrays(name)
    assert count.tolist() == [100] and np.array_equal(labels[0], wanted["labels"])
    assert np.abs(boxes[0] - wanted["dets"][:, :4]).max() < 0.02
    assert np.abs(scores[0] - wanted["dets"][:, 4]).max() < 1e-4


# --- upright images --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upright_onnx(tiny_detector: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "upright.onnx"
    assert export(ExportRequest(str(tiny_detector), path, ExportOptions(size=FRAME[::-1], simplify=False))).passed
    return path


def test_an_image_goes_to_the_file_in_which_it_is_larger(detector_onnx: Path, upright_onnx: Path) -> None:
    both, lying, upright = (
        Predictor(detector_onnx, upright=upright_onnx),
        Predictor(detector_onnx),
        Predictor(upright_onnx),
    )
    wide = np.random.default_rng(3).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    high = np.ascontiguousarray(wide.transpose(1, 0, 2))
    for image, alone, other in ((wide, lying, upright), (high, upright, lying)):
        (got,), (wanted,), (not_so,) = both(image), alone(image), other(image)
        assert len(got.scores) and np.array_equal(got.boxes, wanted.boxes) and np.array_equal(got.scores, wanted.scores)
        assert not np.array_equal(got.scores, not_so.scores)
    assert both.task.protocol()["input"] == "96x128 or 128x96"


def test_both_files_are_scored_as_one(detector_onnx: Path, upright_onnx: Path, tmp_path: Path, run: Run) -> None:
    sides = [read_image(p).shape[:2] for p in sorted(IMAGES.glob("*.jpg"))]
    assert any(h > w for h, w in sides) and any(h < w for h, w in sides)
    code, out, _ = run("eval", detector_onnx, "--upright", upright_onnx, "--data", IMAGES)
    assert code == 0 and "input 96x128 or 128x96" in out
    assert (
        run("predict", detector_onnx, IMAGES, "--upright", upright_onnx, "--no-pictures", "-o", tmp_path / "out")[0]
        == 0
    )


def test_a_second_file_that_does_not_belong_is_refused(
    detector_onnx: Path, upright_onnx: Path, tiny_onnx: Path, tiny_detector: Path, tmp_path: Path, run: Run
) -> None:
    state = torch.load(tiny_detector, weights_only=True)
    state["rpn_head.rpn_reg.bias"] += 0.01
    torch.save(state, tmp_path / "other.pth")
    export(
        ExportRequest(
            str(tmp_path / "other.pth"), tmp_path / "other.onnx", ExportOptions(size=FRAME[::-1], simplify=False)
        )
    )
    pairs = onnx.load(upright_onnx)
    for value in pairs.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(pairs, tmp_path / "pairs.onnx")
    for model, second, sentence in (
        (detector_onnx, tmp_path / "pairs.onnx", "takes batches of another size than"),
        (detector_onnx, detector_onnx, "export one for upright images with --size 128x96"),
        (detector_onnx, tmp_path / "other.onnx", "in weights — make both from one checkpoint"),
        (tiny_onnx, upright_onnx, "--upright is the second, upright input of detection"),
        (detector_onnx, tmp_path / "none.onnx", "none.onnx"),
    ):
        code, out, err = run("eval", model, "--upright", second, "--data", IMAGES)
        assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1
