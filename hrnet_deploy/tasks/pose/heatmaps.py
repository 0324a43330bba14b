"""From heatmaps to keypoints, in numpy.

Source: HRNet-Human-Pose-Estimation, lib/core/inference.py (get_max_preds, get_final_preds),
lib/utils/transforms.py (flip_back) and lib/core/function.py (the merge of the flip test).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.image_input import Input

Floats = NDArray[np.float32]


def maxima(heatmaps: Floats) -> tuple[Floats, Floats]:
    """The first maximum of each heatmap. (N, K, H, W) -> points (N, K, 2) as x, y and scores (N, K).

    A point whose score is not positive is (0, 0), as in the official code; its score is not changed.
    """
    n, k, _, width = heatmaps.shape
    flat = heatmaps.reshape(n, k, -1)
    index = flat.argmax(-1)
    scores = np.take_along_axis(flat, index[..., None], -1)[..., 0]
    points = np.stack([index % width, index // width], -1).astype(np.float32)
    return points * (scores > 0)[..., None], scores


def keypoints(heatmaps: Floats, border: int = 1) -> tuple[Floats, Floats]:
    """Maxima moved a quarter of a pixel towards the higher neighbour, in each axis, in heatmap pixels.

    A maximum is moved only within the official bounds: border < x < W-1 and border < y < H-1.
    """
    points, scores = maxima(heatmaps)
    _, _, height, width = heatmaps.shape
    x, y = points[..., 0].astype(int), points[..., 1].astype(int)
    n, k = np.ogrid[: heatmaps.shape[0], : heatmaps.shape[1]]
    inside = (x > border) & (x < width - 1) & (y > border) & (y < height - 1)
    right, left = heatmaps[n, k, y, np.minimum(x + 1, width - 1)], heatmaps[n, k, y, np.maximum(x - 1, 0)]
    below, above = heatmaps[n, k, np.minimum(y + 1, height - 1), x], heatmaps[n, k, np.maximum(y - 1, 0), x]
    towards = np.sign(np.stack([right - left, below - above], -1))
    return points + np.float32(0.25) * towards * inside[..., None], scores


def merge_flip(heatmaps: Floats, mirrored: Floats, pairs: Sequence[tuple[int, int]], shift: bool = True) -> Floats:
    """The mean of the heatmaps of an image and of its mirror image, (N, K, H, W) each.

    `mirrored` is what the network gave for the mirror image. `shift` moves it right by one pixel, which
    aligns the two (TEST.SHIFT_HEATMAP); the first column keeps its value.
    """
    order = np.arange(heatmaps.shape[1])
    for a, b in pairs:
        order[[a, b]] = order[[b, a]]
    back = mirrored[:, order, :, ::-1].copy()
    if shift:
        back[..., 1:] = back[..., :-1].copy()
    return ((heatmaps + back) * 0.5).astype(np.float32)


def strides(spec: Input, size: tuple[int, int], geometry: str) -> tuple[float, float]:
    """Pixels of the network's input per pixel of a heatmap of `size` (width, height), across and down. In the geometry
    `udp` the last pixels of both are at the same place; otherwise both axes have the stride of the width."""
    width, height = size
    if geometry == "udp":
        return (spec.width - 1) / max(width - 1, 1), (spec.height - 1) / max(height - 1, 1)
    return spec.width / width, spec.width / width
