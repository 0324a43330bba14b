"""From a detector's heads to boxes: equal to mmdetection's code, and its two operators to ONNX Runtime's."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np
import onnx.parser
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from support import goldens
from torch import Tensor

from hrnet_deploy import architecture as arch
from hrnet_deploy.networks.boxes import anchors, area, clip, decode, encode, overlap
from hrnet_deploy.networks.detection import STDS, FasterRCNN, detections, level_of, proposals
from hrnet_deploy.networks.operators import nms, pool_regions, roi_align

SHAPE = arch.FasterRCNN(arch.Body.of_width(18))
STRIDES = [4, 8, 16, 32]


def given(name: str) -> dict[str, Tensor]:
    return {k: torch.from_numpy(v) for k, v in goldens.arrays(name).items()}


def farthest(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def test_anchors_are_those_of_mmdetection() -> None:
    for level in goldens.meta("det_proposals")["anchors"]:
        height, width = level["feat_hw"]
        made = anchors(torch.arange(height * width * 3), width, level["stride"], 8.0, (0.5, 1.0, 2.0))
        assert hashlib.sha256(made.numpy().tobytes()).hexdigest() == level["sha256_float32"]


@pytest.mark.parametrize("kept", [100, 250])
def test_proposals_are_those_of_mmdetection(kept: int) -> None:
    g = given("det_proposals")
    shape = dataclasses.replace(SHAPE, proposals=arch.Proposals(candidates=100, kept=kept))
    said = [(g[f"cls_score_{i}"], g[f"bbox_pred_{i}"]) for i in range(5)]
    boxes, scores = proposals(said, torch.tensor([150.0, 187.0]), shape)
    wanted = g["proposals" if kept == 100 else "proposals_all"]
    assert boxes.shape == (kept, 4)
    assert farthest(boxes[: len(wanted)], wanted[:, :4]) < 1e-3
    assert farthest(scores[: len(wanted)], wanted[:, 4]) < 1e-6
    assert not boxes[len(wanted) :].any() and not scores[len(wanted) :].any()


def test_regions_are_those_of_mmdetection() -> None:
    g = given("det_roi_feats")
    boxes = g["rois"][:, 1:]
    level = level_of(boxes)
    assert torch.equal(level, g["target_levels"])
    for image in (0, 1):
        here = g["rois"][:, 0] == image
        levels = [g[f"feat_{i}"][image : image + 1] for i in range(4)]
        assert farthest(pool_regions(levels, boxes[here], level[here], STRIDES, 7), g["roi_feats"][here]) < 1e-5


def test_detections_are_those_of_mmdetection() -> None:
    g = given("det_final")
    real = torch.ones(len(g["rois"]), dtype=torch.bool)
    boxes, scores, labels = detections(
        g["rois"][:, 1:], real, g["cls_score"], g["bbox_pred"], torch.tensor([534.0, 800.0]), SHAPE
    )
    assert torch.equal(labels, g["labels"])
    assert farthest(boxes, g["dets_no_rescale"][:, :4]) < 1e-3
    assert farthest(boxes / g["scale_factor"], g["dets"][:, :4]) < 1e-3
    assert farthest(scores, g["dets"][:, 4]) < 1e-6


def test_a_whole_detector_equals_that_of_mmdetection() -> None:
    name = "det_faster_rcnn_hrnetv2p_w18_e2e"
    g = given(name)
    network = FasterRCNN(dataclasses.replace(SHAPE, proposals=arch.Proposals(kept=100))).eval()
    assert list(network.state_dict()) == [k for k, _, _ in goldens.meta(name)["state_dict"]]
    network.load_state_dict({k: torch.from_numpy(v) for k, v in goldens.weights(name).items()})
    size = torch.tensor([160.0, 192.0])
    with torch.inference_mode():
        levels = network.pyramid(torch.from_numpy(goldens.blocks(name)))
        proposed, scores = proposals([(c[0], d[0]) for c, d in network.rpn_head(levels)], size, network.shape)
        logits, deltas = network.roi_head(levels, proposed)
        boxes, confidence, labels, count = network(torch.from_numpy(goldens.blocks(name)), size[None])
    assert farthest(proposed, g["proposals"][:, :4]) < 0.02 and farthest(scores, g["proposals"][:, 4]) < 5e-6
    assert torch.equal(level_of(proposed), g["roi_level"])
    assert farthest(logits, g["cls_score"]) < 1e-5 * g["cls_score"].abs().max()
    assert farthest(deltas, g["bbox_pred"]) < 1e-5 * g["bbox_pred"].abs().max()
    assert torch.equal(labels[0], g["labels"]) and count.tolist() == [100]
    assert farthest(boxes[0], g["dets"][:, :4]) < 0.02 and farthest(confidence[0], g["dets"][:, 4]) < 1e-4


def test_what_is_missing_is_filled_up() -> None:
    real = torch.tensor([True, False])
    logits = torch.full((2, 3), -5.0)
    logits[:, 1] = 5.0
    shape = dataclasses.replace(SHAPE, classes=2)
    proposed = torch.tensor([[10.0, 10.0, 50.0, 40.0], [0.0, 0.0, 0.0, 0.0]])
    boxes, scores, labels = detections(proposed, real, logits, torch.zeros(2, 8), torch.tensor([30.0, 100.0]), shape)
    assert boxes.shape == (100, 4) and labels.tolist() == [1] + [-1] * 99
    assert boxes[0].tolist() == [10, 10, 50, 30] and not boxes[1:].any()
    assert scores[0] > 0.99 and not scores[1:].any()


def test_encoding_is_the_inverse_of_decoding() -> None:
    g = torch.Generator().manual_seed(0)
    boxes, wanted = (
        torch.cat([c - s, c + s], -1) for c, s in (torch.rand(2, 50, 2, generator=g) * 60 + 5 for _ in range(2))
    )
    assert farthest(decode(boxes, encode(boxes, wanted, STDS), STDS), wanted) < 1e-3
    assert (
        farthest(
            area(clip(wanted, torch.tensor([20.0, 30.0]))), area(clip(wanted, torch.tensor([20.0, 30.0])).clamp(max=30))
        )
        == 0
    )


# ONNX Runtime's operators are the oracle for ours


def onnxruntime_runs(text: str, feeds: Mapping[str, NDArray]) -> NDArray:
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 18]> {text}')
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, dict(feeds))[0])


def awkward_boxes(seed: int, count: int = 60) -> Tensor:
    """Boxes in, across and beyond a map of 40 x 56 pixels; tiny, empty, on whole cells, the same twice."""
    g = torch.Generator().manual_seed(seed)
    centre, half = (
        torch.rand(count, 2, generator=g) * torch.tensor([70.0, 54.0]) - 7,
        torch.rand(count, 2, generator=g) ** 3 * 40,
    )
    special = [
        [0, 0, 56, 40],
        [-30, -30, 90, 80],
        [-4, -4, 0, 0],
        [56, 40, 60, 44],
        [200, 200, 240, 240],
        [8, 8, 36, 36],
        [5, 5, 5, 5],
        [5, 5, 5, 25],
        [5, 5, 25, 5],
        [10, 10, 10.001, 10.001],
        [8, 8, 36, 36],
    ]
    return torch.cat([torch.cat([centre - half, centre + half], -1), torch.tensor(special, dtype=torch.float32)])


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align_equals_that_of_onnxruntime(aligned: bool, sampling: int) -> None:
    features, boxes = torch.randn(5, 10, 14, generator=torch.Generator().manual_seed(1)), awkward_boxes(2)
    mode = "half_pixel" if aligned else "output_half_pixel"
    text = f"""pool (float[1, 5, 10, 14] x, float[r, 4] boxes, int64[r] image) => (float[r, 5, 7, 7] y)
    {{ y = RoiAlign<coordinate_transformation_mode = "{mode}", mode = "avg", output_height = 7, output_width = 7,
                    sampling_ratio = {sampling}, spatial_scale = 0.25>(x, boxes, image) }}"""
    feeds = {"x": features[None].numpy(), "boxes": boxes.numpy(), "image": np.zeros(len(boxes), np.int64)}
    assert (
        np.abs(roi_align(features, boxes, 0.25, 7, sampling, aligned).numpy() - onnxruntime_runs(text, feeds)).max()
        < 1e-5
    )


@pytest.mark.parametrize("iou", [0.3, 0.7])
def test_suppression_equals_that_of_onnxruntime(iou: float) -> None:
    boxes = torch.stack([awkward_boxes(seed) for seed in (3, 4, 5)])
    scores = torch.rand(3, boxes.shape[1], generator=torch.Generator().manual_seed(6))
    scores[1, ::3] = 0.0
    scores[2] = 0.2  # nothing is left of a group
    text = f"""suppress (float[3, n, 4] boxes, float[3, 1, n] scores) => (int64[m, 3] chosen)
    <int64 most = {{{boxes.shape[1]}}}, float iou = {{{iou}}}, float least = {{0.2}}>
    {{ chosen = NonMaxSuppression(boxes, scores, most, iou, least) }}"""
    group, _, box = onnxruntime_runs(text, {"boxes": boxes.numpy(), "scores": scores[:, None].numpy()}).T
    wanted = torch.zeros_like(scores, dtype=torch.bool)
    wanted[torch.from_numpy(group), torch.from_numpy(box)] = True
    kept = nms(boxes, scores, iou, float(np.float32(0.2)))
    assert torch.equal(kept, wanted)
    assert kept[0].any() and not kept[2].any()


def test_an_overlap_of_exactly_the_limit_stays() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 2.0], [0.0, 0.0, 4.0, 3.0]]])
    assert overlap(boxes[0], boxes[0])[0].tolist() == [1, 0.5, 0.75]
    assert nms(boxes, torch.tensor([[0.9, 0.8, 0.7]]), 0.5, 0.0)[0].tolist() == [True, True, False]


@pytest.mark.parametrize("sampling", [0, 2])
def test_regions_can_be_trained_through(sampling: int) -> None:
    features = torch.randn(2, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(7), requires_grad=True)
    boxes = torch.tensor([[2.0, 3.0, 20.0, 17.0], [-3.0, 1.0, 9.0, 30.0], [4.0, 4.0, 4.0, 9.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: roi_align(f, boxes, 0.25, 3, sampling), features)
