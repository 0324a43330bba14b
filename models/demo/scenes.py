"""Training data of the demo parsing network and the demo detector: drawn scenes, augmented when they are used."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from drawn import scene
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from training import console

from hrnet_deploy.image_input import Input

STORE = 320  # the longer side of a stored scene, in pixels
MOST = 12  # a scene has fewer objects than this
SMALL = 0.35  # an object with a smaller share of its box inside the view is not annotated
IGNORED = 255  # the label of pixels that do not count


T = TypeVar("T")


@dataclass(frozen=True)
class Scenes:
    """Stored scenes.

    Attributes:
        images: (n, STORE, STORE, 3) uint8 RGB; the scene is in the top left corner.
        parts: (n, STORE, STORE) uint8 label maps of body parts.
        sizes: (n, 2) height and width of each scene, in pixels.
        boxes: (n, MOST, 5) the class, from 0, and x1, y1, x2, y2 in pixels. The class of unused rows is -1.
    """

    images: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    boxes: NDArray[np.float32]


def _draw(arguments: tuple[int, int]) -> tuple[NDArray, NDArray, tuple[int, int], NDArray[np.float32]]:
    """Image, label map, size and boxes of one scene, as `Scenes` stores them."""
    drawn = scene(*arguments)
    height, width = drawn.parts.shape
    scale = STORE / max(height, width)
    size = (round(height * scale), round(width * scale))
    image = np.zeros((STORE, STORE, 3), np.uint8)
    parts = np.full((STORE, STORE), IGNORED, np.uint8)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image[: size[0], : size[1]] = cv2.resize(drawn.image, size[::-1], interpolation=interpolation)
    parts[: size[0], : size[1]] = cv2.resize(drawn.parts, size[::-1], interpolation=cv2.INTER_NEAREST)
    boxes = np.full((MOST, 5), -1, np.float32)
    for row, annotation in zip(boxes, drawn.annotations, strict=False):
        box = np.array(annotation["bbox"], np.float32) * np.tile([size[1] / width, size[0] / height], 2)
        row[:] = [annotation["category_id"] - 1, *box[:2], *(box[:2] + box[2:])]
    return image, parts, size, boxes


def scenes(work: Path, count: int, seed: int) -> Scenes:
    """`count` scenes of the series `seed`. They are drawn on the first call and memory-mapped afterwards."""
    paths = [work / f"{kind}-{seed}-{count}.npy" for kind in ("images", "parts", "sizes", "boxes")]
    if not paths[-1].exists():
        images = np.lib.format.open_memmap(paths[0], "w+", np.uint8, (count, STORE, STORE, 3))
        parts = np.lib.format.open_memmap(paths[1], "w+", np.uint8, (count, STORE, STORE))
        sizes, boxes = np.zeros((count, 2), np.int64), np.zeros((count, MOST, 5), np.float32)
        with multiprocessing.Pool() as pool:
            drawn = pool.imap(_draw, ((seed, i) for i in range(count)), chunksize=16)
            for i, one in enumerate(track(drawn, "drawing scenes", count, console=console)):
                images[i], parts[i], sizes[i], boxes[i] = one
        images.flush()
        parts.flush()
        np.save(paths[2], sizes)
        np.save(paths[3], boxes)
    images, parts = (np.load(p, mmap_mode="r") for p in paths[:2])
    return Scenes(images, parts, np.load(paths[2]), np.load(paths[3]))


@dataclass(frozen=True)
class View:
    """A randomly scaled, shifted and mirrored view of a scene.

    Attributes:
        size: (2,) height and width of the stored scene, in pixels.
        matrix: (2, 3) from pixels of the stored scene to pixels of the frame, before mirroring.
        mirrored: whether the view is mirrored horizontally.
        frame: width and height of the network's input, in pixels.
    """

    size: NDArray[np.int64]
    matrix: NDArray[np.float64]
    mirrored: bool
    frame: tuple[int, int]

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: NDArray[np.int64], frame: tuple[int, int], stretch: bool) -> View:
        """Draw a random view, scaled by 0.7 to 1.4 and shifted.

        Args:
            rng: the random generator.
            size: (2,) height and width of the stored scene.
            frame: width and height of the network's input.
            stretch: True stretches the scene to the frame before scaling, as the task does at inference. False keeps
                its aspect ratio; half of the scenes that are smaller than the frame then lie in its top left corner.
        """
        scale = np.array(frame) / size[::-1] if stretch else np.full(2, min(frame[0] / size[1], frame[1] / size[0]))
        scale = scale * math.exp(rng.uniform(-0.35, 0.35)) * np.exp(rng.uniform(-0.1, 0.1, 2))
        room = np.array(frame) - scale * size[::-1]
        low, high = np.minimum(room, 0), np.maximum(room, 0)
        if not stretch and rng.random() < 0.5:
            high = np.zeros(2)
        shift = rng.uniform(low, high)
        return cls(size, np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]]), bool(rng.random() < 0.5), frame)

    def image(self, stored: NDArray[np.uint8], fill: tuple[int, int, int]) -> NDArray[np.uint8]:
        """The image in this view. Pixels outside the scene have the colour `fill`."""
        out = np.asarray(
            cv2.warpAffine(
                stored[: self.size[0], : self.size[1]],
                self.matrix,
                self.frame,
                flags=cv2.INTER_LINEAR,
                borderValue=fill,
            )
        )
        return np.asarray(out[:, ::-1] if self.mirrored else out, np.uint8)

    def parts(self, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The label map in this view. Pixels outside the scene have the label IGNORED."""
        out = np.asarray(
            cv2.warpAffine(
                stored[: self.size[0], : self.size[1]],
                self.matrix,
                self.frame,
                flags=cv2.INTER_NEAREST,
                borderValue=(IGNORED,),
            )
        )
        return np.asarray(out[:, ::-1] if self.mirrored else out, np.uint8)

    def boxes(self, stored: NDArray[np.float32]) -> NDArray[np.float32]:
        """(k, 5) the boxes of the objects that are visible in this view: class and corners in pixels of the frame."""
        scale, shift = self.matrix[[0, 1], [0, 1]], self.matrix[:, 2]
        kept = stored[stored[:, 0] >= 0].copy()
        kept[:, 1:] = kept[:, 1:] * np.tile(scale, 2) + np.tile(shift, 2)
        before = np.prod(kept[:, 3:] - kept[:, 1:3], axis=1)
        kept[:, 1:] = np.clip(kept[:, 1:], 0, np.tile(self.frame, 2))
        after = np.prod(kept[:, 3:] - kept[:, 1:3], axis=1)
        kept = kept[after > SMALL * before]
        if self.mirrored:
            kept[:, [1, 3]] = self.frame[0] - kept[:, [3, 1]]
        return kept


def fill_of(of: Input) -> tuple[int, int, int]:
    """The colour of padding, RGB: the mean colour, which becomes zero when it is normalised."""
    red, green, blue = (round(255 * m) for m in of.mean)
    return red, green, blue


def network_input(images: NDArray[np.uint8], of: Input, rng: np.random.Generator) -> Tensor:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float32 normalised, with random brightness and colour, channels last."""
    mean, std = torch.tensor(of.mean), torch.tensor(of.std)
    x = ((torch.from_numpy(images).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    gain, shift = (torch.from_numpy(0.15 * rng.standard_normal((len(images), 3, 1, 1))).float() for _ in range(2))
    return (x * (1 + gain) + shift).contiguous(memory_format=torch.channels_last)


def ahead(make: Callable[[int], T], first: int, last: int) -> Iterator[T]:
    """`make(step)` for steps `first` to `last`. Each is made in a thread while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(make, first)
        for step in range(first, last):
            current = coming.result()
            if step + 1 < last:
                coming = pool.submit(make, step + 1)
            yield current
