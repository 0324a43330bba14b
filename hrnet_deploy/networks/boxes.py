"""The arithmetic of boxes: anchors, deltas between boxes, clipping and overlap.

Boxes are (..., 4) as x1, y1, x2, y2 in pixels. A box is x2 - x1 wide; no pixel is added. Source: mmdetection 2 and
later, mmdet/core/anchor/anchor_generator.py and mmdet/core/bbox/coder/delta_xywh_bbox_coder.py."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST_STEP = math.log(1000 / 16)  # a side may become at most 62.5 times as long, or as short
UNIT = (1.0, 1.0, 1.0, 1.0)


def anchors(at: Tensor, width: int, stride: int, scale: float, ratios: Sequence[float]) -> Tensor:
    """Anchors of one level, (K, 4), by their numbers `at` (K,).

    The number of an anchor is (y * width + x) * len(ratios) + ratio, where `width` is that of the level. Its centre is
    the corner of the cell, (x * stride, y * stride). A square one has sides of `scale` times the stride; `ratios` are
    heights over widths."""
    roots = torch.tensor(ratios, device=at.device).sqrt()
    half = torch.stack([stride / roots, stride * roots], -1) * scale * 0.5
    cell = at.div(len(ratios), rounding_mode="floor")
    x, y = cell.remainder(width), cell.div(width, rounding_mode="floor")
    centre = torch.stack([x, y], -1) * stride
    size = half[at.remainder(len(ratios))]
    return torch.cat([centre - size, centre + size], -1)


def decode(boxes: Tensor, deltas: Tensor, stds: Sequence[float] = UNIT) -> Tensor:
    """Boxes moved by deltas. dx and dy move the centre in units of the size; dw and dh are logarithms of the factors by
    which the sides grow. `stds` scale the deltas. Shapes broadcast."""
    steps = deltas * torch.tensor(stds, device=deltas.device)
    size = boxes[..., 2:] - boxes[..., :2]
    centre = (boxes[..., :2] + boxes[..., 2:]) * 0.5 + size * steps[..., :2]
    half = size * steps[..., 2:].clamp(-LARGEST_STEP, LARGEST_STEP).exp() * 0.5
    return torch.cat([centre - half, centre + half], -1)


def encode(boxes: Tensor, wanted: Tensor, stds: Sequence[float] = UNIT) -> Tensor:
    """The deltas that turn `boxes` into `wanted`: the inverse of `decode`, for training. No box may be empty."""
    size, new = boxes[..., 2:] - boxes[..., :2], wanted[..., 2:] - wanted[..., :2]
    moved = (wanted[..., :2] + wanted[..., 2:] - boxes[..., :2] - boxes[..., 2:]) * 0.5 / size
    return torch.cat([moved, (new / size).log()], -1) / torch.tensor(stds, device=boxes.device)


def clip(boxes: Tensor, image_size: Tensor) -> Tensor:
    """Boxes clipped to an image. `image_size` is (2,), height and width in pixels."""
    limit = image_size.flip(0).repeat(2)
    return boxes.clamp(min=0).minimum(limit)


def area(boxes: Tensor) -> Tensor:
    """The area of every box, (...) from (..., 4), in square pixels."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every box of `a` (A, 4) with every one of `b` (B, 4): (A, B). 0 where both are
    empty."""
    corner = torch.maximum(a[:, None, :2], b[None, :, :2])
    inside = (torch.minimum(a[:, None, 2:], b[None, :, 2:]) - corner).clamp(min=0).prod(-1)
    union = area(a)[:, None] + area(b)[None] - inside
    return torch.where(union > 0, inside / union, 0.0)
