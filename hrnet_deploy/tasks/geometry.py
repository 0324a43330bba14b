"""The geometry of top-down pose estimation: the box of a person, the crop that the network sees, and the way back to
the image.

Source: HRNet-Human-Pose-Estimation, lib/dataset/coco.py (_xywh2cs) and lib/utils/transforms.py
(get_affine_transform). The official `scale` is in units of 200 pixels; here sizes are in pixels. As there, a
crop is scaled by its width alone, and pixel 0 of the crop's centre maps to the centre of the box.

The geometry `udp` (unbiased data processing) takes the distance between the centres of the first and the last pixel as
the size of a crop. Source: mmpose 1.x, structures/bbox/transforms.py (get_udp_warp_matrix).

The geometry `face` cuts out whole pixels, see `FaceCrop`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crop:
    """A region of an image: centre (x, y) and size (width, height) in pixels of the image, rotation in degrees.
    `geometry` is `standard`, `udp` or `face`."""

    centre: tuple[float, float]
    size: tuple[float, float]
    degrees: float = 0.0
    geometry: str = "standard"

    def matrix(self, width: int, height: int) -> Floats:
        """The affine matrix (2, 3) from pixels of the image to pixels of an output of `width` x `height`."""
        angle = np.deg2rad(self.degrees)
        c, s = np.cos(angle), np.sin(angle)
        if self.geometry == "udp":
            middle = np.array([width - 1, height - 1]) / 2
            linear = 2 * middle[:, None] / np.array(self.size)[:, None] * np.array([[c, -s], [s, c]])
        else:
            middle = np.array([width, height]) / 2
            linear = width / self.size[0] * np.array([[c, s], [-s, c]])
        return np.column_stack([linear, middle - linear @ np.array(self.centre)])

    def to_image(self, points: NDArray, width: int, height: int) -> Floats:
        """Points (..., 2) of an output of `width` x `height`, a heatmap or a crop, in pixels of the image."""
        matrix = self.matrix(width, height)
        return (np.asarray(points, np.float64) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T

    def cut(self, image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """The crop itself of an image (H, W, C), (height, width, C) uint8, bilinear; black outside the image."""
        out = cv2.warpAffine(image, self.matrix(width, height), (width, height), flags=cv2.INTER_LINEAR)
        return np.asarray(out, np.uint8).reshape(height, width, -1)  # OpenCV drops an axis of one channel


@dataclass(frozen=True)
class FaceCrop(Crop):
    """A crop of the geometry `face`: a box of whole pixels, black outside the image, is resized, and its contrast is
    stretched until it has both 0 and 255. Places in the image are whole pixels that count from 1.

    Source: HRNet-Facial-Landmark-Detection, lib/utils/transforms.py (crop, transform_pixel), whose resizing, a function
    that SciPy no longer has, stretches the contrast. Here OpenCV resizes, by areas where a crop is made smaller. A
    rotated crop is cut as in the geometry `standard`."""

    def to_image(self, points: NDArray, width: int, height: int) -> Floats:
        exact = super().to_image(points, width, height)
        return np.trunc(exact.round(6)) + 1  # rounded, so that 2 is not 1.9999999

    def cut(self, image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        if self.degrees:
            return super().cut(image, width, height)
        ends = Crop.to_image(self, np.array([[-1, -1], [width - 1, height - 1]]), width, height)
        (x1, y1), (x2, y2) = np.trunc(ends.round(6)).astype(int) + 1
        x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
        rows, columns = image.shape[:2]
        if max(x2 - x1, y2 - y1) > 4 * max(rows, columns, width, height):  # mostly black, and too large to be made
            return super().cut(image, width, height)
        box = np.zeros((y2 - y1, x2 - x1, image.shape[2]), np.uint8)
        inside = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
        top, left = max(-y1, 0), max(-x1, 0)
        box[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        low, high = int(box.min()), int(box.max())
        if high > low:
            box = ((box.astype(np.float32) - low) * np.float32(255 / (high - low)) + np.float32(0.5)).astype(np.uint8)
        smaller = box.shape[0] > height
        out = cv2.resize(box, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        return np.asarray(out, np.uint8).reshape(height, width, -1)


def crop_of_box(
    box: NDArray | tuple[float, ...], aspect: float, padding: float = 1.25, geometry: str = "standard"
) -> Crop:
    """The crop of a box (x, y, w, h): its short side is enlarged until width / height is `aspect`, then both sides are
    multiplied by `padding`."""
    x, y, w, h = (float(v) for v in box)
    centre = (x + w * 0.5, y + h * 0.5)
    if w > aspect * h:
        h = w / aspect
    elif w < aspect * h:
        w = h * aspect
    kind = FaceCrop if geometry == "face" else Crop
    return kind(centre, (w * padding, h * padding), geometry=geometry)
