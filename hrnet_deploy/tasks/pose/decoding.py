"""How a position is read from a heatmap: one rule per way in which networks are trained.

* `quarter_offset`: the maximum, moved a quarter pixel towards the higher neighbour (the official rule).
* `dark`: a Newton step on the logarithm of the smoothed heatmap, with differences over two pixels.
  Source: mmpose 1.x, codecs/utils/refinement.py (refine_keypoints_dark), for MSRAHeatmap(unbiased=True).
* `udp`: the same with differences over one pixel, also at the border of the heatmap.
  Source: mmpose 1.x, codecs/utils/refinement.py (refine_keypoints_dark_udp), for UDPHeatmap.
* `face`: as `quarter_offset`, and moved half a pixel right and down, because the targets in training are rounded down.
  Source: HRNet-Facial-Landmark-Detection, lib/core/evaluation.py (decode_preds).

Of a heatmap without a positive value, `quarter_offset` gives (0, 0), `face` (-0.5, -0.5) and the other two (-1, -1), as
their sources do.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.pose.heatmaps import keypoints as quarter_offset
from hrnet_deploy.tasks.pose.heatmaps import maxima
from hrnet_deploy.tasks.pose.labels import Keypoints

Floats = NDArray[np.float32]
SMOOTHING = ("dark", "udp")  # the rules that smooth heatmaps
LEAST, UDP_RANGE = 1e-10, (1e-3, 50.0)  # what smoothed heatmaps are clipped to before the logarithm is taken


def decoder(labels: Keypoints, name: str) -> Callable[[Floats], tuple[Floats, Floats]]:
    """The rule of some keypoints: heatmaps (N, K, H, W) -> points (N, K, 2) as x, y in pixels of the heatmap, and
    scores (N, K). Raises BadInput, naming the card `name`, where this version does not know it."""
    rules: dict[str, Callable[[Floats], tuple[Floats, Floats]]] = {
        "quarter_offset": quarter_offset,
        "dark": lambda heatmaps: dark(heatmaps, labels.blur),
        "udp": lambda heatmaps: udp(heatmaps, labels.blur),
        "face": face,
    }
    if labels.decode not in labels.decodings:
        raise BadInput(
            f"{name} needs heatmaps decoded by {labels.decode!r} — this version only knows "
            f"{', '.join(labels.decodings)}"
        )
    if labels.blur < 1 or labels.blur % 2 == 0:
        raise BadInput(f"{name} smooths heatmaps with a kernel of {labels.blur} pixels — give an odd number as blur")
    return rules[labels.decode]


def dark(heatmaps: Floats, kernel: int = 11) -> tuple[Floats, Floats]:
    """The rule `dark`; `kernel` is the side of the Gaussian. Next to the border of the heatmap, a maximum is not
    moved."""
    points, scores = _maxima(heatmaps)
    at = _Neighbours(np.log(np.maximum(smoothed(heatmaps, kernel), LEAST)), points)
    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4, (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
    dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    height, width = heatmaps.shape[2:]
    inside = np.asarray((points > 1).all(-1) & (points < (width - 2, height - 2)).all(-1))
    return points + _newton_step(dx, dy, dxx, dxy, dyy) * inside[..., None], scores


def udp(heatmaps: Floats, kernel: int = 11) -> tuple[Floats, Floats]:
    """The rule `udp`; `kernel` is the side of the Gaussian."""
    points, scores = _maxima(heatmaps)
    at = _Neighbours(np.log(np.clip(smoothed(heatmaps, kernel), *UDP_RANGE)), points)
    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = at(1, 0) - 2 * at(0, 0) + at(-1, 0), at(0, 1) - 2 * at(0, 0) + at(0, -1)
    dxy = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * at(0, 0) - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    least = np.finfo(np.float32).eps
    step = _newton_step(dx, dy, dxx + least, dxy, dyy + least)
    return points + step * (scores > 0)[..., None], scores


def face(heatmaps: Floats) -> tuple[Floats, Floats]:
    """The rule `face`."""
    points, scores = quarter_offset(heatmaps, border=0)
    return np.where((scores > 0)[..., None], points, np.float32(-1)) + np.float32(0.5), scores


def smoothed(heatmaps: Floats, kernel: int) -> Floats:
    """Each heatmap smoothed by a Gaussian of `kernel` pixels, with zeros outside, and scaled to its former maximum."""
    height, width = heatmaps.shape[2:]
    size, no_border = (kernel, kernel), cv2.BORDER_CONSTANT
    each = [cv2.GaussianBlur(m, size, 0, borderType=no_border) for m in heatmaps.reshape(-1, height, width)]
    made = np.asarray(each, np.float32).reshape(heatmaps.shape)
    highest = made.max((2, 3), keepdims=True)
    factor = heatmaps.max((2, 3), keepdims=True) / np.where(highest == 0, 1, highest)
    return np.asarray(made * factor, np.float32)


def _maxima(heatmaps: Floats) -> tuple[Floats, Floats]:
    points, scores = maxima(heatmaps)
    return np.where((scores > 0)[..., None], points, np.float32(-1)), scores


class _Neighbours:
    """The values around points; beyond the border they are those at the border."""

    def __init__(self, maps: Floats, points: Floats) -> None:
        self.maps, self.x, self.y = maps, points[..., 0].astype(int), points[..., 1].astype(int)
        self.n, self.k = np.ogrid[: maps.shape[0], : maps.shape[1]]

    def __call__(self, right: int, down: int) -> NDArray:
        height, width = self.maps.shape[2:]
        x, y = np.clip(self.x + right, 0, width - 1), np.clip(self.y + down, 0, height - 1)
        found: NDArray = self.maps[self.n, self.k, y, x]
        return found


def _newton_step(dx: NDArray, dy: NDArray, dxx: NDArray, dxy: NDArray, dyy: NDArray) -> Floats:
    """From the first and second derivatives at a point, the way to the extremum, (..., 2); zero where there is
    none."""
    determinant = dxx * dyy - dxy * dxy
    safe = np.where(determinant == 0, 1, determinant)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1) / safe[..., None]
    return np.asarray(step * (determinant != 0)[..., None], np.float32)
