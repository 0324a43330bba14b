"""Draws keypoints and their skeleton: the left side of a person in one colour, the right side in another."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.tasks.images import Image
from hrnet_deploy.tasks.pose.labels import Keypoints

LEFT, RIGHT, MIDDLE = (64, 224, 110), (255, 122, 48), (70, 160, 255)
SHIFT = 4  # fractional bits of the coordinates that OpenCV draws with


def draw_skeleton(image: Image, points: NDArray, scores: NDArray, keypoints: Keypoints, threshold: float = 0.2) -> None:
    """Draw on `image` (H, W, 3) in place. points (K, 2) in pixels of the image, scores (K,): keypoints with a score
    above `threshold` are drawn, with lines whose width grows with the size of the person."""
    sure = scores > threshold
    if not sure.any():
        return
    span = float(np.ptp(points[sure], axis=0).max())
    thick = max(1, round(span / 110))
    colours = [_side(n) for n in keypoints.names]
    fixed = np.round(points * 2**SHIFT).clip(-(2**30), 2**30).astype(int)
    for a, b in keypoints.skeleton:
        if sure[a] and sure[b]:
            colour = colours[a] if colours[a] == colours[b] else MIDDLE
            ends = fixed[a].tolist(), fixed[b].tolist()
            cv2.line(image, *ends, (20, 20, 20), thick + 2, cv2.LINE_AA, SHIFT)
            cv2.line(image, *ends, colour, thick, cv2.LINE_AA, SHIFT)
    for i in np.flatnonzero(sure):
        radius = round((thick + 1) * 2**SHIFT)
        cv2.circle(image, fixed[i].tolist(), radius + 2**SHIFT, (20, 20, 20), -1, cv2.LINE_AA, SHIFT)
        cv2.circle(image, fixed[i].tolist(), radius, colours[i], -1, cv2.LINE_AA, SHIFT)


def _side(name: str) -> tuple[int, int, int]:
    return LEFT if name.startswith("left") else RIGHT if name.startswith("right") else MIDDLE
