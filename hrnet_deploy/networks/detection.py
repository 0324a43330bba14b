"""Faster R-CNN with the parameter names of mmdetection 2 and later.

A feature pyramid gives proposals, and regions of the pyramid at the proposals give detections. In mmdetection the
number of results depends on the image. Here it is fixed and empty results fill it up, so that a graph of the network
has static shapes.

Source: mmdetection, mmdet/models/detectors/two_stage.py, dense_heads/rpn_head.py (get_bboxes),
roi_heads/standard_roi_head.py, roi_heads/bbox_heads/bbox_head.py (get_bboxes) and core/post_processing/bbox_nms.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hrnet_deploy import architecture
from hrnet_deploy.architecture.detection import POOLED, REGION, STRIDES
from hrnet_deploy.networks.boxes import anchors, area, clip, decode
from hrnet_deploy.networks.heads import BoxHead, RPNHead
from hrnet_deploy.networks.hrnet import HRNet
from hrnet_deploy.networks.necks import FPN, HRFPN
from hrnet_deploy.networks.operators import nms, pool_regions
from hrnet_deploy.networks.resnet import ResNet

STDS = (0.1, 0.1, 0.2, 0.2)  # factors of the box head's deltas
BOUNDARIES = (112, 224, 448)  # sizes in pixels (square root of the area) from which a box is pooled from the next level
NOTHING = -1  # the label and the pyramid level of an empty box


class RoIHead(nn.Module):
    """The second stage: pools regions at the proposals and runs the box head on them.

    The box head has all of its parameters; this module gives them mmdetection's names.
    """

    def __init__(self, shape: architecture.FasterRCNN) -> None:
        super().__init__()
        self.bbox_head = BoxHead(shape.neck, shape.hidden, shape.classes)

    def forward(self, levels: Sequence[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Run the box head on proposals of one image.

        Args:
            levels: the levels of the pyramid, (1, width, H_i, W_i) each.
            boxes: (R, 4) proposals in pixels of the input. The regions of empty boxes are zero.

        Returns:
            Class logits (R, classes + 1) and box deltas (R, 4 classes).
        """
        level = torch.where(area(boxes) > 0, level_of(boxes), NOTHING)
        regions: Tensor = pool_regions(list(levels[:POOLED]), boxes, level, list(STRIDES[:POOLED]), REGION)
        return self.bbox_head(regions)


class FasterRCNN(nn.Module):
    """The detector. It takes images and their sizes, and gives boxes, scores, labels and the number of detections."""

    def __init__(self, shape: architecture.FasterRCNN) -> None:
        super().__init__()
        self.shape = shape
        if isinstance(shape.body, architecture.Body):
            self.backbone: HRNet | ResNet = HRNet(shape.body)
            self.neck: HRFPN | FPN = HRFPN(self.backbone.outputs, shape.neck)
        else:
            self.backbone = ResNet(shape.body.depth, shape.body.groups, shape.body.base_width)
            self.neck = FPN(self.backbone.outputs, shape.neck)
        self.rpn_head = RPNHead(shape.neck, len(shape.ratios))
        self.roi_head = RoIHead(shape)

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> five levels from (N, neck, H/4, W/4) to (N, neck, H/64, W/64).

        H and W are multiples of 32.
        """
        return self.neck(self.backbone(image))

    def forward(self, image: Tensor, image_size: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Detect objects.

        Args:
            image: (N, 3, H, W) normalised images, padded to a common size.
            image_size: (N, 2) height and width of each image without padding, in pixels.

        Returns:
            boxes (N, K, 4) in pixels of the input, scores (N, K) in descending order, labels (N, K) int64 and the
            number of detections (N,) int64. K is `shape.detections.kept`. Unused boxes and scores are 0, unused labels
            -1.
        """
        levels = self.pyramid(image)
        rpn_outputs = self.rpn_head(levels)
        found = []
        for i in range(image.shape[0]):
            size = image_size[i]
            proposed, scores = proposals([(c[i], d[i]) for c, d in rpn_outputs], size, self.shape)
            logits, deltas = self.roi_head([level[i : i + 1] for level in levels], proposed)
            found.append(detections(proposed, scores > 0, logits, deltas, size, self.shape))
        boxes, scores, labels = (torch.stack(parts) for parts in zip(*found, strict=True))
        return boxes, scores, labels, (scores > 0).sum(1)


def proposals(
    rpn_outputs: Sequence[tuple[Tensor, Tensor]], image_size: Tensor, shape: architecture.FasterRCNN
) -> tuple[Tensor, Tensor]:
    """Select the proposals of one image.

    Args:
        rpn_outputs: of each level, objectness logits (A, H, W) and box deltas (4 A, H, W), with A anchors per cell.
        image_size: (2,) height and width without padding, in pixels.
        shape: the architecture. `shape.proposals` says how many candidates each level gives, above which overlap a
            candidate is suppressed, and how many proposals are kept.

    Returns:
        boxes (R, 4) and scores (R,) in descending order. If fewer than R are found, the others are empty boxes of score
        0.
    """
    keep = shape.proposals
    boxes, scores = [], []
    for (logits, deltas), stride in zip(rpn_outputs, STRIDES, strict=True):
        flat = logits.permute(1, 2, 0).flatten().sigmoid()
        best, at = flat.topk(min(keep.candidates, len(flat)))
        steps = deltas.permute(1, 2, 0).reshape(-1, 4)[at]
        found = clip(decode(anchors(at, logits.shape[-1], stride, shape.anchor_scale, shape.ratios), steps), image_size)
        sides = found[:, 2:] - found[:, :2]
        best = best * (sides > 0).all(1)
        boxes.append(found)
        scores.append(best * nms(found[None], best[None], keep.iou, 0.0)[0])
    every = torch.cat(scores)
    score, at = every.topk(min(keep.kept, len(every)))
    return torch.cat(boxes)[at] * (score > 0)[:, None], score


def level_of(boxes: Tensor) -> Tensor:
    """(R,) int64, the pyramid level that each box (R, 4) is pooled from: 0 (p2) below 112 pixels, 3 (p5) from 448."""
    large = area(boxes)
    return torch.stack([large >= b**2 for b in BOUNDARIES]).sum(0)


def detections(
    proposed: Tensor, real: Tensor, logits: Tensor, deltas: Tensor, image_size: Tensor, shape: architecture.FasterRCNN
) -> tuple[Tensor, Tensor, Tensor]:
    """Select the detections of one image.

    One proposal can give one box per class. A box that is empty after clipping at the border is kept, as in
    mmdetection.

    Args:
        proposed: (R, 4) proposals.
        real: (R,) bool, False for the empty boxes that fill up the proposals.
        logits: (R, classes + 1) class logits, the background last.
        deltas: (R, 4 classes) box deltas.
        image_size: (2,) height and width without padding, in pixels.
        shape: the architecture. `shape.detections` holds the thresholds and the number of detections.

    Returns:
        boxes (K, 4), scores (K,) in descending order and labels (K,) int64, filled up with zeros and the label -1.
    """
    keep, classes = shape.detections, shape.classes
    decoded = decode(proposed[:, None], deltas.reshape(-1, classes, 4), STDS)
    boxes = clip(decoded, image_size).transpose(0, 1)  # (classes, R, 4)
    scores = (logits.softmax(1)[:, :classes] * real[:, None]).t()
    scores = scores * nms(boxes, scores, keep.iou, keep.score)
    flat, at = nn.functional.pad(scores.flatten(), (0, max(keep.kept - scores.numel(), 0))).topk(keep.kept)
    found = flat > 0
    at = at * found
    labels = torch.where(found, at.div(len(proposed), rounding_mode="floor"), NOTHING)
    return boxes.flatten(0, 1)[at] * found[:, None], flat, labels
