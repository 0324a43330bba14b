"""What each task is trained on: for the cost of a training step, and for the demo networks.

Sources: HRNet-Human-Pose-Estimation, lib/core/loss.py (JointsMSELoss); HRNet-Semantic-Segmentation, lib/core/criterion.py;
mmdetection, configs/_base_/models/faster_rcnn_r50_fpn.py (assigners, samplers, L1 losses).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_deploy.architecture.detection import POOLED, REGION, STRIDES
from hrnet_deploy.networks import boxes
from hrnet_deploy.networks.detection import STDS, FasterRCNN, level_of
from hrnet_deploy.networks.operators import nms, roi_align

IGNORED = 255  # a pixel nobody judges
RPN_POSITIVE, RPN_NEGATIVE, RPN_SAMPLED, RPN_SHARE = 0.7, 0.3, 256, 0.5
BOX_POSITIVE, BOX_SAMPLED, BOX_SHARE = 0.5, 512, 0.25
SAMPLES = 2  # a side of a region's cell; at inference as many as the cell spans


def pose_loss(heatmaps: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Half the mean squared difference of heatmaps (N, K, h, w), each weighted: (N, K)."""
    return 0.5 * ((heatmaps - target).square() * weight[:, :, None, None]).mean()


def segmentation_loss(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of logits (N, classes, h, w), brought to the size of the labels (N, H, W)."""
    logits = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear")
    return F.cross_entropy(logits, labels, weight, ignore_index=IGNORED)


def detection_loss(
    network: FasterRCNN, image: Tensor, things: Sequence[Tensor], candidates: int = 1000, sampled: int = BOX_SAMPLED
) -> Tensor:
    """Both stages of Faster R-CNN: objectness and boxes of sampled anchors, classes and boxes of sampled proposals.

    image (N, 3, H, W); things: (k, 5) an image: class, and corners in pixels of the input. `candidates` a level are looked
    at before suppression. Which are sampled is torch's random choice.
    """
    levels = network.pyramid(image)
    heads = network.rpn_head(levels)
    anchors = [_anchors(objectness, stride, network) for (objectness, _), stride in zip(heads, STRIDES, strict=True)]
    scores = [objectness.permute(0, 2, 3, 1).flatten(1).float() for objectness, _ in heads]
    deltas = [d.permute(0, 2, 3, 1).reshape(len(d), -1, 4).float() for _, d in heads]
    losses, regions, classes, targets = [], [], [], []
    for i, known in enumerate(things):
        losses.append(
            _anchor_loss(
                torch.cat(anchors), torch.cat([s[i] for s in scores]), torch.cat([d[i] for d in deltas]), known[:, 1:]
            )
        )
        with torch.no_grad():
            size = torch.tensor(image.shape[-2:], dtype=torch.float32, device=image.device)
            found = [
                _proposals(a, s[i], d[i], size, candidates, network.shape.proposals.iou)
                for a, s, d in zip(anchors, scores, deltas, strict=True)
            ]
            chosen, wanted, moved = _sampled(torch.cat([*found, known[:, 1:]]), known, network.shape.classes, sampled)
        regions.append(_pooled([level[i] for level in levels], chosen))
        classes.append(wanted)
        targets.append(moved)
    logits, offsets = network.roi_head.bbox_head(torch.cat(regions))
    return torch.stack(losses).mean() + _box_loss(
        logits.float(), offsets.float(), torch.cat(classes), torch.cat(targets)
    )


def _anchors(objectness: Tensor, stride: int, network: FasterRCNN) -> Tensor:
    at = torch.arange(objectness[0].numel(), device=objectness.device)
    return boxes.anchors(at, objectness.shape[-1], stride, network.shape.anchor_scale, network.shape.ratios)


def _proposals(anchors: Tensor, scores: Tensor, deltas: Tensor, size: Tensor, most: int, iou: float) -> Tensor:
    best, rows = scores.topk(min(most, len(scores)))
    found = boxes.clip(boxes.decode(anchors[rows], deltas[rows]), size)
    stays = nms(found[None], best[None], iou, float("-inf"))[0]
    return found[stays & ((found[:, 2:] - found[:, :2]) > 0).all(1)]


def _anchor_loss(anchors: Tensor, scores: Tensor, deltas: Tensor, known: Tensor) -> Tensor:
    """An anchor is a thing's where they overlap by 0.7, or where no anchor overlaps that thing more (and by 0.3)."""
    best, owner = anchors.new_zeros(len(anchors)), anchors.new_zeros(len(anchors), dtype=torch.long)
    if len(known):
        overlap = boxes.overlap(anchors, known)
        best, owner = overlap.max(1)
        most = overlap.max(0).values
        forced = (overlap == most) & (most >= RPN_NEGATIVE)
        owner = torch.where(forced.any(1), forced.int().argmax(1), owner)
        best = torch.where(forced.any(1), 1.0, best)
    positive = _some(best >= RPN_POSITIVE, int(RPN_SAMPLED * RPN_SHARE))
    negative = _some(best < RPN_NEGATIVE, RPN_SAMPLED - len(positive))
    wanted = torch.cat([scores.new_ones(len(positive)), scores.new_zeros(len(negative))])
    count = max(1, len(wanted))
    loss = F.binary_cross_entropy_with_logits(scores[torch.cat([positive, negative])], wanted, reduction="sum") / count
    return loss + (deltas[positive] - boxes.encode(anchors[positive], known[owner[positive]])).abs().sum() / count


def _sampled(found: Tensor, known: Tensor, background: int, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Regions (r, 4), their classes, and the deltas to their things (zero for the background)."""
    best, owner = found.new_zeros(len(found)), found.new_zeros(len(found), dtype=torch.long)
    if len(known):
        best, owner = boxes.overlap(found, known[:, 1:]).max(1)
    positive = _some(best >= BOX_POSITIVE, int(most * BOX_SHARE))
    negative = _some(best < BOX_POSITIVE, most - len(positive))
    classes = found.new_full((len(positive) + len(negative),), background, dtype=torch.long)
    targets = found.new_zeros(len(classes), 4)
    if len(positive):
        classes[: len(positive)] = known[owner[positive], 0].long()
        targets[: len(positive)] = boxes.encode(found[positive], known[owner[positive], 1:], STDS)
    return found[torch.cat([positive, negative])], classes, targets


def _pooled(levels: Sequence[Tensor], regions: Tensor) -> Tensor:
    """(R, C, 7, 7) of one image's levels (C, H_i, W_i)."""
    number = level_of(regions)
    parts, rows = [], []
    for i, (level, stride) in enumerate(zip(levels[:POOLED], STRIDES[:POOLED], strict=True)):
        rows.append((number == i).nonzero()[:, 0])
        parts.append(roi_align(level.float(), regions[rows[-1]], 1 / stride, REGION, SAMPLES))
    return torch.cat(parts)[torch.cat(rows).argsort()]


def _box_loss(logits: Tensor, offsets: Tensor, classes: Tensor, targets: Tensor) -> Tensor:
    background = logits.shape[1] - 1
    rows = (classes < background).nonzero()[:, 0]
    own = offsets.view(len(offsets), background, 4)[rows, classes[rows]]
    return F.cross_entropy(logits, classes) + (own - targets[rows]).abs().sum() / max(1, len(classes))


def _some(mask: Tensor, most: int) -> Tensor:
    """The numbers of at most so many that hold, at random."""
    found = mask.nonzero()[:, 0]
    return found[torch.randperm(len(found), device=found.device)[:most]] if len(found) > most else found
