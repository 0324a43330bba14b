"""Faster R-CNN under the parameter names of mmdetection 2 and later: a pyramid, proposals from it, and boxes from
those.

Source: mmdetection, mmdet/models/detectors/two_stage.py, dense_heads/rpn_head.py (get_bboxes),
roi_heads/standard_roi_head.py, roi_heads/bbox_heads/bbox_head.py (get_bboxes) and core/post_processing/bbox_nms.py.
There the number of results varies. Here it is fixed and the rest is padding, so that a graph of this network has static
shapes."""

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

STDS = (0.1, 0.1, 0.2, 0.2)  # standard deviations by which the box head's deltas are scaled
BOUNDARIES = (
    112,
    224,
    448,
)  # from each of these sides on (square root of the area, pixels) a box is pooled a level higher
NOTHING = -1  # the label, and the level, of padding


class RoIHead(nn.Module):
    """Pools the features of proposals and applies the box head, whose parameters are its only ones."""

    def __init__(self, shape: architecture.FasterRCNN) -> None:
        super().__init__()
        self.bbox_head = BoxHead(shape.neck, shape.hidden, shape.classes)

    def forward(self, levels: Sequence[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """levels (1, width, H_i, W_i), boxes (R, 4) -> logits and deltas of the box head. Empty boxes are pooled as
        zeros."""
        level = torch.where(area(boxes) > 0, level_of(boxes), NOTHING)
        regions: Tensor = pool_regions(list(levels[:POOLED]), boxes, level, list(STRIDES[:POOLED]), REGION)
        return self.bbox_head(regions)


class FasterRCNN(nn.Module):
    """Images and their sizes in; boxes, scores, labels and their count out."""

    def __init__(self, shape: architecture.FasterRCNN) -> None:
        super().__init__()
        self.shape = shape
        if isinstance(shape.body, architecture.Body):
            self.backbone: HRNet | ResNet = HRNet(shape.body, image_channels=shape.image_channels)
            self.neck: HRFPN | FPN = HRFPN(self.backbone.outputs, shape.neck)
        else:
            body = shape.body
            self.backbone = ResNet(body.depth, body.groups, body.base_width, shape.image_channels)
            self.neck = FPN(self.backbone.outputs, shape.neck)
        self.rpn_head = RPNHead(shape.neck, len(shape.ratios))
        self.roi_head = RoIHead(shape)

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> five levels from (N, neck, H/4, W/4) to (N, neck, H/64, W/64).

        H and W are multiples of 32.
        """
        return self.neck(self.backbone(image))

    def forward(self, image: Tensor, image_size: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """image (N, C, H, W) normalised, image_size (N, 2) height and width without padding -> boxes (N, K, 4) in
        pixels of the input, scores (N, K) falling, labels (N, K) int64, count (N,) int64, with K = detections.kept."""
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
    """The proposals of one image: boxes (R, 4) and scores (R,), the best first, padded to R with empty boxes of score
    0.

    rpn_outputs: for each level, objectness logits (A, H, W) and deltas (4 A, H, W) of the anchors. image_size: (2,).
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
    """The level of the pyramid from which each box (R, 4) is pooled, (R,) int64: 0 (p2) below 112 pixels, 3 (p5) from
    448 on."""
    large = area(boxes)
    return torch.stack([large >= b**2 for b in BOUNDARIES]).sum(0)


def detections(
    proposed: Tensor, real: Tensor, logits: Tensor, deltas: Tensor, image_size: Tensor, shape: architecture.FasterRCNN
) -> tuple[Tensor, Tensor, Tensor]:
    """The detections of one image, from its proposals (R, 4): boxes (K, 4), scores (K,) and labels (K,).

    real (R,): which proposals are not padding. logits (R, classes + 1) and deltas (R, 4 classes) are the outputs of the
    box head. A proposal can become one box per class. A box that clipping leaves empty is kept, as in mmdetection."""
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
