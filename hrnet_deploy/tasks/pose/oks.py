"""Object keypoint similarity (OKS) between people, to drop near-duplicates of a person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.tasks.detections import NMS


def oks_nms(
    points: NDArray, scores: NDArray, areas: NDArray, sigmas: Sequence[float], threshold: float = NMS
) -> list[int]:
    """The indices of the people that remain when near-duplicates of a better scored person are dropped, best first.

    points (n, K, 2) in pixels of the image, scores (n,), areas (n,) of the padded boxes in square pixels, sigmas (K,).
    A person is a near-duplicate if the similarity is above `threshold`. Source: HRNet-Human-Pose-Estimation,
    lib/nms/nms.py (oks_nms)."""
    variance = (2 * np.asarray(sigmas)) ** 2
    order = list(np.argsort(-scores, kind="stable"))
    keep: list[int] = []
    while order:
        best = order.pop(0)
        keep.append(int(best))
        rest = np.array(order, int)
        squared = ((points[rest] - points[best]) ** 2).sum(-1)
        area = (areas[rest] + areas[best]) / 2 + np.spacing(1)
        similarity = np.exp(-squared / variance / area[:, None] / 2).mean(-1) if len(rest) else rest
        order = [int(i) for i in rest[similarity <= threshold]]
    return keep
