"""Resizes an image and cuts out its centre, as classifiers are trained and tested.

Source: Pillow, src/libImaging/Resample.c (which torchvision, timm and mmpretrain use): an image that becomes smaller is
smoothed, first along its rows and then along its columns, and each time rounded to 8 bits. Where the crop lies is that
of torchvision's Resize and CenterCrop. A test compares both with Pillow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks.images import Image

Floats = NDArray[np.float64]


def _bilinear(x: Floats) -> Floats:
    return np.maximum(1 - np.abs(x), 0)


def _bicubic(x: Floats) -> Floats:
    x, a = np.abs(x), -0.5
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


KERNELS: dict[str, tuple[Callable[[Floats], Floats], float]] = {
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
}


def centre_crop(image: Image, spec: Input) -> Image:
    """The crop of an image (H, W, C) that an input with `fit: centre` takes, at the size of the input."""
    height, width = image.shape[:2]
    wanted = (int(spec.height / spec.crop_ratio), int(spec.width / spec.crop_ratio))
    # the smallest size that covers the wanted one; int() of the other side, as torchvision computes it
    if wanted[0] * width >= wanted[1] * height:
        size = (wanted[0], max(spec.width, int(wanted[0] * width / height)))
    else:
        size = (max(spec.height, int(wanted[1] * height / width)), wanted[1])
    top, left = round((size[0] - spec.height) / 2), round((size[1] - spec.width) / 2)
    rows = _taps(height, size[0], top, spec.height, spec.interpolation)
    columns = _taps(width, size[1], left, spec.width, spec.interpolation)
    first, last = int(rows[0].min()), int(rows[0].max()) + 1
    wide = _weighted(image[first:last].transpose(1, 0, 2), columns).transpose(1, 0, 2)
    return np.ascontiguousarray(_weighted(wide, (rows[0] - first, rows[1])))


def _taps(inside: int, outside: int, first: int, count: int, interpolation: str) -> tuple[NDArray[np.int64], Floats]:
    """Which of `inside` pixels each of the pixels `first` to `first + count` of `outside` ones is made from, and with
    which weights: (count, taps) each."""
    kernel, support = KERNELS[interpolation]
    scale = inside / outside
    stretch = max(scale, 1.0)
    centre = (np.arange(first, first + count) + 0.5) * scale
    begin = np.maximum((centre - support * stretch + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + support * stretch + 0.5).astype(np.int64), inside)
    at = begin[:, None] + np.arange(int((end - begin).max()))
    weights = kernel((at - centre[:, None] + 0.5) / stretch) * (at < end[:, None])
    return np.minimum(at, inside - 1), weights / weights.sum(1, keepdims=True)


def _weighted(image: Image, taps: tuple[NDArray[np.int64], Floats]) -> Image:
    """The first axis of an image (n, m, C) made from the weighted sums of its pixels, rounded."""
    at, weights = taps
    total = np.zeros((len(at), *image.shape[1:]), np.float32)
    for i in range(at.shape[1]):
        total += image[at[:, i]] * weights[:, i, None, None].astype(np.float32)
    return np.asarray((total + 0.5).clip(0, 255), np.uint8)
