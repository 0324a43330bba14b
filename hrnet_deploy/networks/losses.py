"""What each task is trained on, for the cost of a training step and for the demo networks.

Sources: HRNet-Human-Pose-Estimation, lib/core/loss.py; HRNet-Semantic-Segmentation, lib/core/criterion.py; mmdetection,
configs/_base_/models/faster_rcnn_r50_fpn.py (assigners, samplers, L1 losses).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_deploy.networks import boxes
from hrnet_deploy.networks.detection import FasterRCNN

RPN_POSITIVE, RPN_NEGATIVE, RPN_SAMPLED, RPN_SHARE = 0.7, 0.3, 256, 0.5
ROI_POSITIVE, ROI_SAMPLED, ROI_SHARE = 0.5, 512, 0.25
IGNORED = 255


def pose_loss(heatmaps: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Half the mean squared difference, (N, K, H, W), of the keypoints whose weight (N, K) is not zero."""
    return 0.5 * ((heatmaps - target).square() * weight[:, :, None, None]).mean()


def segmentation_loss(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of logits (N, classes, h, w), brought to the size of the labels (N, H, W)."""
    logits = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear")
    return F.cross_entropy(logits, labels, weight, ignore_index=IGNORED)


def detection_loss(network: FasterRCNN, image: Tensor, things: Sequence[Tensor], proposals: int = 1000) -> Tensor:
    """Both stages of Faster R-CNN: objectness and boxes of sampled anchors, classes and boxes of sampled proposals.

    image (N, 3, H, W); things: (k, 5) an image, class and corners in its pixels. Sampling uses torch's random numbers.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=torch.is_autocast_enabled("cpu")):
        levels = network.pyramid(image)
        heads = network.rpn_head(levels)
    size = image.shape[-2:]
    anchors = boxes.anchors([tuple(h[0].shape[-2:]) for h in heads], network.shape)
    objectness = torch.cat([boxes.rows(c, 1) for c, _ in heads], 1).float()[..., 0]
    deltas = torch.cat([boxes.rows(d, 4) for _, d in heads], 1).float()
    losses, regions, matched = [], [], []
    for i, known in enumerate(things):
        losses.append(_anchors_loss(anchors, objectness[i], deltas[i], known[:, 1:]))
        with torch.no_grad():
            found = boxes.proposals(anchors, objectness[i], deltas[i], size, heads, network.shape, proposals)
            kept, classes, targets = _sampled_regions(torch.cat([found, known[:, 1:]]), known, network.shape.classes)
        regions.append(torch.cat([torch.full((len(kept), 1), float(i)), kept], 1))
        matched.append((classes, targets))
    pooled = boxes.pooled(levels, torch.cat(regions))
    logits, offsets = network.roi_head.bbox_head(pooled)
    classes, targets = (torch.cat(t) for t in zip(*matched, strict=True))
    return torch.stack(losses).mean() + _regions_loss(logits.float(), offsets.float(), classes, targets)


def _anchors_loss(anchors: Tensor, objectness: Tensor, deltas: Tensor, known: Tensor) -> Tensor:
    """An anchor is a thing's where they overlap over 0.7, or where no anchor overlaps it more (and over 0.3)."""
    owner = torch.full((len(anchors),), -1)
    best = torch.zeros(len(anchors))
    if len(known):
        overlap = boxes.iou(anchors, known)
        best, owner = overlap.max(1)
        most = overlap.max(0).values
        forced = (overlap == most) & (most >= RPN_NEGATIVE)
        owner = torch.where(forced.any(1), forced.float().argmax(1), owner)
        best = torch.where(forced.any(1), torch.ones_like(best), best)
    positive = _some(best >= RPN_POSITIVE, int(RPN_SAMPLED * RPN_SHARE))
    negative = _some(best < RPN_NEGATIVE, RPN_SAMPLED - len(positive))
    chosen = torch.cat([positive, negative])
    wanted = torch.cat([torch.ones(len(positive)), torch.zeros(len(negative))])
    count = max(1, len(chosen))
    loss = F.binary_cross_entropy_with_logits(objectness[chosen], wanted, reduction="sum") / count
    targets = boxes.encode(anchors[positive], known[owner[positive]])
    return loss + (deltas[positive] - targets).abs().sum() / count


def _sampled_regions(found: Tensor, known: Tensor, background: int) -> tuple[Tensor, Tensor, Tensor]:
    """Regions (r, 4), their classes, and the deltas to their things, divided by the box head's deviations."""
    best, owner = torch.zeros(len(found)), torch.zeros(len(found), dtype=torch.long)
    if len(known):
        best, owner = boxes.iou(found, known[:, 1:]).max(1)
    positive = _some(best >= ROI_POSITIVE, int(ROI_SAMPLED * ROI_SHARE))
    negative = _some(best < ROI_POSITIVE, ROI_SAMPLED - len(positive))
    classes = torch.full((len(positive) + len(negative),), background)
    targets = torch.zeros(len(classes), 4)
    if len(positive):
        classes[: len(positive)] = known[owner[positive], 0].long()
        targets[: len(positive)] = boxes.encode(found[positive], known[owner[positive], 1:]) / torch.tensor(boxes.DEVIATIONS)
    return found[torch.cat([positive, negative])], classes, targets


def _regions_loss(logits: Tensor, offsets: Tensor, classes: Tensor, targets: Tensor) -> Tensor:
    background = logits.shape[1] - 1
    rows = torch.nonzero(classes < background)[:, 0]
    own = offsets.unflatten(1, (background, 4))[rows, classes[rows]]
    return F.cross_entropy(logits, classes) + (own - targets[rows]).abs().sum() / max(1, len(classes))


def _some(mask: Tensor, most: int) -> Tensor:
    """The numbers of at most so many that hold, at random."""
    found = torch.nonzero(mask)[:, 0]
    return found[torch.randperm(len(found))[:most]] if len(found) > most else found
