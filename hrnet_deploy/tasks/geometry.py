"""The geometry of top-down pose estimation: the box of a person, the crop that the network sees, and the way back to
the image.

Source: HRNet-Human-Pose-Estimation, lib/dataset/coco.py (_xywh2cs) and lib/utils/transforms.py
(get_affine_transform). The official `scale` is in units of 200 pixels; here sizes are in pixels. As there, a
crop is scaled by its width alone, and pixel 0 of the crop's centre maps to the centre of the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crop:
    """A region of an image: centre (x, y) and size (width, height) in pixels of the image, rotation in degrees."""

    centre: tuple[float, float]
    size: tuple[float, float]
    degrees: float = 0.0

    def matrix(self, width: int, height: int) -> Floats:
        """The affine matrix (2, 3) from pixels of the image to pixels of an output of `width` x `height`."""
        zoom = width / self.size[0]
        angle = np.deg2rad(self.degrees)
        c, s = zoom * np.cos(angle), zoom * np.sin(angle)
        linear = np.array([[c, s], [-s, c]])
        offset = np.array([width / 2, height / 2]) - linear @ np.array(self.centre)
        return np.column_stack([linear, offset])

    def to_image(self, points: NDArray, width: int, height: int) -> Floats:
        """Points (..., 2) of an output of `width` x `height`, a heatmap or a crop, in pixels of the image."""
        matrix = self.matrix(width, height)
        return (np.asarray(points, np.float64) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T

    def cut(self, image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """The crop itself of an image (H, W, C), (height, width, C) uint8, bilinear; black outside the image."""
        out = cv2.warpAffine(image, self.matrix(width, height), (width, height), flags=cv2.INTER_LINEAR)
        return np.asarray(out, np.uint8).reshape(height, width, -1)  # OpenCV drops an axis of one channel


def crop_of_box(box: NDArray | tuple[float, ...], aspect: float, padding: float = 1.25) -> Crop:
    """The crop of a box (x, y, w, h): its short side is enlarged until width / height is `aspect`, then both sides are
    multiplied by `padding`."""
    x, y, w, h = (float(v) for v in box)
    centre = (x + w * 0.5, y + h * 0.5)
    if w > aspect * h:
        h = w / aspect
    elif w < aspect * h:
        w = h * aspect
    return Crop(centre, (w * padding, h * padding))
