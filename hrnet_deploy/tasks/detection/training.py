"""The loss on which Faster R-CNN is trained, for `bench --train` and for the demo network.

Source: mmdetection, configs/_base_/models/faster_rcnn_r50_fpn.py (assigners, samplers, L1 losses).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_deploy.architecture import Architecture
from hrnet_deploy.architecture.detection import POOLED, REGION, STRIDES
from hrnet_deploy.networks import boxes
from hrnet_deploy.networks.detection import STDS, FasterRCNN, level_of
from hrnet_deploy.networks.operators import nms, roi_align
from hrnet_deploy.tasks.base import Training

# overlaps from which an anchor is positive and below which it is negative; how many are sampled, and the share of
# positives
RPN_POSITIVE, RPN_NEGATIVE, RPN_SAMPLED, RPN_SHARE = 0.7, 0.3, 256, 0.5
BOX_POSITIVE, BOX_SAMPLED, BOX_SHARE = 0.5, 512, 0.25  # the same for proposals
SAMPLES = 2  # bilinear samples per side of a region's cell; at inference as many as the cell spans
RANDOM_BOXES = 8  # ground-truth boxes per image of a random target


def detection_loss(
    network: FasterRCNN,
    image: Tensor,
    ground_truth: Sequence[Tensor],
    candidates: int = 1000,
    sampled: int = BOX_SAMPLED,
) -> Tensor:
    """The loss of both stages: objectness and boxes of sampled anchors, classes and boxes of sampled proposals.

    image (N, 3, H, W) normalised. ground_truth has one tensor (k, 5) per image: the class of each box, and its corners
    x1, y1, x2, y2 in pixels of the input. On each level the best `candidates` enter suppression. `sampled` proposals
    per image are used. PyTorch's random generator decides which are sampled."""
    levels = network.pyramid(image)
    heads = network.rpn_head(levels)
    anchors = [_anchors(objectness, stride, network) for (objectness, _), stride in zip(heads, STRIDES, strict=True)]
    scores = [objectness.permute(0, 2, 3, 1).flatten(1).float() for objectness, _ in heads]
    deltas = [d.permute(0, 2, 3, 1).reshape(len(d), -1, 4).float() for _, d in heads]
    losses, regions, classes, targets = [], [], [], []
    for i, known in enumerate(ground_truth):
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
    """All anchors (A, 4) of a level with objectness logits (N, ratios, H, W)."""
    at = torch.arange(objectness[0].numel(), device=objectness.device)
    return boxes.anchors(at, objectness.shape[-1], stride, network.shape.anchor_scale, network.shape.ratios)


def _proposals(anchors: Tensor, scores: Tensor, deltas: Tensor, size: Tensor, most: int, iou: float) -> Tensor:
    """The boxes (r, 4) that one level of one image proposes, in an image of `size` (2,)."""
    best, rows = scores.topk(min(most, len(scores)))
    found = boxes.clip(boxes.decode(anchors[rows], deltas[rows]), size)
    stays = nms(found[None], best[None], iou, float("-inf"))[0]
    return found[stays & ((found[:, 2:] - found[:, :2]) > 0).all(1)]


def _anchor_loss(anchors: Tensor, scores: Tensor, deltas: Tensor, known: Tensor) -> Tensor:
    """The loss of anchors (A, 4) of one image, with their objectness logits (A,) and deltas (A, 4), against boxes (k,
    4). An anchor belongs to a box that it overlaps by 0.7, or that no other anchor overlaps more and it overlaps by
    0.3."""
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
    """Sampled regions (r, 4), their classes (r,), and the deltas (r, 4) to their ground-truth boxes, zero for the
    background."""
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
    """Regions (R, 4) of one image, pooled from its levels (C, H_i, W_i) each: (R, C, 7, 7)."""
    number = level_of(regions)
    parts, rows = [], []
    for i, (level, stride) in enumerate(zip(levels[:POOLED], STRIDES[:POOLED], strict=True)):
        rows.append((number == i).nonzero()[:, 0])
        parts.append(roi_align(level.float(), regions[rows[-1]], 1 / stride, REGION, SAMPLES))
    return torch.cat(parts)[torch.cat(rows).argsort()]


def _box_loss(logits: Tensor, offsets: Tensor, classes: Tensor, targets: Tensor) -> Tensor:
    """The loss of the box head: logits (r, classes + 1) and deltas (r, 4 classes) against classes (r,) and deltas (r,
    4)."""
    background = logits.shape[1] - 1
    rows = (classes < background).nonzero()[:, 0]
    own = offsets.view(len(offsets), background, 4)[rows, classes[rows]]
    return F.cross_entropy(logits, classes) + (own - targets[rows]).abs().sum() / max(1, len(classes))


def _some(mask: Tensor, most: int) -> Tensor:
    """The numbers of at most `most` places where the mask is true, chosen at random."""
    found = mask.nonzero()[:, 0]
    return found[torch.randperm(len(found), device=found.device)[:most]] if len(found) > most else found


def random_loss(network: FasterRCNN, architecture: Architecture, image: Tensor) -> Callable[[], Tensor]:
    """See `tasks.base.Training`."""
    batch, _, height, width = image.shape
    corner = torch.rand(batch, RANDOM_BOXES, 2) * torch.tensor([width, height]) * 0.5
    side = (0.1 + 0.4 * torch.rand(batch, RANDOM_BOXES, 2)) * torch.tensor([width, height])
    classes = torch.randint(0, architecture.labels, (batch, RANDOM_BOXES, 1))
    ground_truth = list(torch.cat([classes, corner, corner + side], -1).to(image.device))
    return lambda: detection_loss(network, image, ground_truth)


def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Stochastic gradient descent, with a rate so small that a step of measured training changes little."""
    return torch.optim.SGD(parameters, 1e-6, momentum=0.9)


TRAINING = Training(random_loss, optimizer)
