"""Arithmetic of boxes: anchors, box deltas, clipping and overlap.

Boxes are (..., 4) tensors of x1, y1, x2, y2 in pixels. Their width is x2 - x1, without an additional pixel. Source:
mmdetection 2 and later, mmdet/core/anchor/anchor_generator.py and mmdet/core/bbox/coder/delta_xywh_bbox_coder.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST_STEP = math.log(1000 / 16)  # the sides of a box change by a factor of at most 62.5
UNIT = (1.0, 1.0, 1.0, 1.0)


def anchors(at: Tensor, width: int, stride: int, scale: float, ratios: Sequence[float]) -> Tensor:
    """Some of the anchors of a pyramid level, (K, 4).

    An anchor is centred on the corner of its cell, (x * stride, y * stride), and has the area (scale * stride)².

    Args:
        at: (K,) the numbers of the anchors, (y * width + x) * len(ratios) + index of the ratio.
        width: the width of the level in cells.
        stride: the side of a cell in pixels.
        scale: the side of a square anchor in cells.
        ratios: the ratios of height to width.
    """
    roots = torch.tensor(ratios, device=at.device).sqrt()
    half = torch.stack([stride / roots, stride * roots], -1) * scale * 0.5
    cell = at.div(len(ratios), rounding_mode="floor")
    x, y = cell.remainder(width), cell.div(width, rounding_mode="floor")
    centre = torch.stack([x, y], -1) * stride
    size = half[at.remainder(len(ratios))]
    return torch.cat([centre - size, centre + size], -1)


def decode(boxes: Tensor, deltas: Tensor, stds: Sequence[float] = UNIT) -> Tensor:
    """Boxes changed by deltas. The shapes broadcast.

    Args:
        boxes: (..., 4) boxes.
        deltas: (..., 4) as dx, dy, dw, dh. The centre moves by dx and dy times the size; dw and dh are the logarithms
            of the factors by which the size grows.
        stds: factors that the deltas are multiplied by first.
    """
    steps = deltas * torch.tensor(stds, device=deltas.device)
    size = boxes[..., 2:] - boxes[..., :2]
    centre = (boxes[..., :2] + boxes[..., 2:]) * 0.5 + size * steps[..., :2]
    half = size * steps[..., 2:].clamp(-LARGEST_STEP, LARGEST_STEP).exp() * 0.5
    return torch.cat([centre - half, centre + half], -1)


def encode(boxes: Tensor, wanted: Tensor, stds: Sequence[float] = UNIT) -> Tensor:
    """The deltas that turn `boxes` into `wanted`, the inverse of `decode`. It is used in training.

    No box may be empty.
    """
    size, new = boxes[..., 2:] - boxes[..., :2], wanted[..., 2:] - wanted[..., :2]
    moved = (wanted[..., :2] + wanted[..., 2:] - boxes[..., :2] - boxes[..., 2:]) * 0.5 / size
    return torch.cat([moved, (new / size).log()], -1) / torch.tensor(stds, device=boxes.device)


def clip(boxes: Tensor, image_size: Tensor) -> Tensor:
    """Boxes clipped to an image. `image_size` is (2,), height and width in pixels."""
    limit = image_size.flip(0).repeat(2)
    return boxes.clamp(min=0).minimum(limit)


def area(boxes: Tensor) -> Tensor:
    """(...,) the areas of boxes in square pixels."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """(A, B) intersection over union of each box of `a` (A, 4) with each box of `b` (B, 4).

    It is 0 for two empty boxes.
    """
    corner = torch.maximum(a[:, None, :2], b[None, :, :2])
    inside = (torch.minimum(a[:, None, 2:], b[None, :, 2:]) - corner).clamp(min=0).prod(-1)
    union = area(a)[:, None] + area(b)[None] - inside
    return torch.where(union > 0, inside / union, 0.0)
