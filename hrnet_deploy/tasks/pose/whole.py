"""Regions of an image that are whole pixels and are resized, as DeepLabCut cuts them out.

Source: DeepLabCut 3, pose_estimation_pytorch/data/image.py (top_down_crop) and data/transforms.py (build_auto_padding
and build_resize_transforms). Places in the image are places in the region times its scale plus its corner, without half
pixels, although the pixels themselves are resized with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks.geometry import Crop, Floats


@dataclass(frozen=True)
class Region(Crop):
    """A region of an image. `centre` and `size` are such that its corners are whole pixels; they may lie outside the
    image. What is there is black, or with `reflected` mirrors the image (OpenCV's BORDER_REFLECT_101)."""

    reflected: bool = False

    @classmethod
    def of(cls, left: float, top: float, width: float, height: float, reflected: bool = False) -> Region:
        """The region whose upper left pixel is at (left, top)."""
        return cls((left + width / 2, top + height / 2), (width, height), reflected=reflected)

    @property
    def corner(self) -> tuple[float, float]:
        """Its upper left pixel, x and y."""
        return self.centre[0] - self.size[0] / 2, self.centre[1] - self.size[1] / 2

    def matrix(self, width: int, height: int) -> Floats:
        zoom = np.diag([width / self.size[0], height / self.size[1]])
        return np.column_stack([zoom, -zoom @ np.array(self.corner)])

    def cut(self, image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        rows, columns = image.shape[:2]
        left, top = (round(v) for v in self.corner)
        right, bottom = left + round(self.size[0]), top + round(self.size[1])
        inside = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        if not inside.size:
            return np.zeros((height, width, image.shape[2]), np.uint8)
        edges = max(0, -top), max(0, bottom - rows), max(0, -left), max(0, right - columns)
        kind = cv2.BORDER_REFLECT_101 if self.reflected else cv2.BORDER_CONSTANT
        whole = cv2.copyMakeBorder(inside, *edges, kind)
        resized = cv2.resize(whole, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, np.uint8).reshape(height, width, -1)  # OpenCV drops an axis of one channel


def of_box(box: tuple[float, ...], spec: Input) -> Region:
    """The region of a box (x, y, w, h): enlarged to the proportions of the input, then rounded to whole pixels."""
    x, y, w, h = (float(v) for v in box)
    aspect = spec.width / spec.height
    centre = x + w / 2, y + h / 2
    w, h = max(w, h * aspect), max(h, w / aspect)
    left, top = round(centre[0] - w / 2), round(centre[1] - h / 2)
    right, bottom = round(centre[0] + w / 2), round(centre[1] + h / 2)
    return Region.of(left, top, max(1, right - left), max(1, bottom - top))


def of_image(height: int, width: int, spec: Input) -> Region:
    """The region that is a whole image of `height` x `width` as `spec.fit` brings it to the input: at the upper left,
    in its proportions unless stretched. Only `place` fills the rest with a mirror image, as DeepLabCut pads."""
    if spec.fit == "stretch":
        return Region.of(0, 0, width, height)
    zoom = min(spec.width / width, spec.height / height)
    if spec.fit == "place":
        zoom = min(zoom, 1.0)
    return Region.of(0, 0, round(spec.width / zoom), round(spec.height / zoom), reflected=spec.fit == "place")
