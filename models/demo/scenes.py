"""Drawn scenes as the demo parser and the demo detector are trained on them: drawn once, augmented as they are used."""

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

from hrnet_deploy.cards import Input

STORE = 320  # side in pixels that a scene's longer side is brought to
MOST = 12  # things in a scene, and some to spare
SMALL = 0.35  # a thing of which less is left after a crop is not looked for
IGNORED = 255


T = TypeVar("T")


@dataclass(frozen=True)
class Scenes:
    """images (n, STORE, STORE, 3) uint8, parts (n, STORE, STORE) uint8, sizes (n, 2) of the picture in its top left
    corner, things (n, MOST, 5): category from 0 (-1 where there is none) and x1, y1, x2, y2."""

    images: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    things: NDArray[np.float32]


def _draw(arguments: tuple[int, int]) -> tuple[NDArray, NDArray, tuple[int, int], NDArray[np.float32]]:
    drawn = scene(*arguments)
    height, width = drawn.parts.shape
    scale = STORE / max(height, width)
    size = (round(height * scale), round(width * scale))
    image = np.zeros((STORE, STORE, 3), np.uint8)
    parts = np.full((STORE, STORE), IGNORED, np.uint8)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image[: size[0], : size[1]] = cv2.resize(drawn.image, size[::-1], interpolation=how)
    parts[: size[0], : size[1]] = cv2.resize(drawn.parts, size[::-1], interpolation=cv2.INTER_NEAREST)
    things = np.full((MOST, 5), -1, np.float32)
    for row, annotation in zip(things, drawn.annotations, strict=False):
        box = np.array(annotation["bbox"], np.float32) * np.tile([size[1] / width, size[0] / height], 2)
        row[:] = [annotation["category_id"] - 1, *box[:2], *(box[:2] + box[2:])]
    return image, parts, size, things


def scenes(work: Path, count: int, seed: int) -> Scenes:
    """`count` scenes, drawn on the first call, memory-mapped afterwards."""
    paths = [work / f"{kind}-{seed}-{count}.npy" for kind in ("images", "parts", "sizes", "things")]
    if not paths[-1].exists():
        images = np.lib.format.open_memmap(paths[0], "w+", np.uint8, (count, STORE, STORE, 3))
        parts = np.lib.format.open_memmap(paths[1], "w+", np.uint8, (count, STORE, STORE))
        sizes, things = np.zeros((count, 2), np.int64), np.zeros((count, MOST, 5), np.float32)
        with multiprocessing.Pool() as pool:
            drawn = pool.imap(_draw, ((seed, i) for i in range(count)), chunksize=16)
            for i, one in enumerate(track(drawn, "drawing scenes", count, console=console)):
                images[i], parts[i], sizes[i], things[i] = one
        images.flush()
        parts.flush()
        np.save(paths[2], sizes)
        np.save(paths[3], things)
    images, parts = (np.load(p, mmap_mode="r") for p in paths[:2])
    return Scenes(images, parts, np.load(paths[2]), np.load(paths[3]))


@dataclass(frozen=True)
class View:
    """How a scene is looked at: the matrix from stored pixels to the frame's, and whether it is mirrored."""

    size: NDArray[np.int64]  # height, width of the scene
    matrix: NDArray[np.float64]  # (2, 3)
    mirrored: bool
    frame: tuple[int, int]  # width, height

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: NDArray[np.int64], frame: tuple[int, int], stretch: bool) -> View:
        """Scaled by 0.7 to 1.4 and shifted. `stretch`: the whole scene fills the frame, whatever its aspect, as at
        inference; else its longer side does, and its corner lies in the frame's."""
        scale = np.array(frame) / size[::-1] if stretch else np.full(2, min(frame[0] / size[1], frame[1] / size[0]))
        scale = scale * math.exp(rng.uniform(-0.35, 0.35)) * np.exp(rng.uniform(-0.1, 0.1, 2))
        room = np.array(frame) - scale * size[::-1]
        low, high = np.minimum(room, 0), np.maximum(room, 0)
        if not stretch and rng.random() < 0.5:
            high = np.zeros(2)
        shift = rng.uniform(low, high)
        return cls(size, np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]]), bool(rng.random() < 0.5), frame)

    def image(self, stored: NDArray[np.uint8], fill: tuple[int, int, int]) -> NDArray[np.uint8]:
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

    def boxes(self, things: NDArray[np.float32]) -> NDArray[np.float32]:
        """The things still to be seen, (k, 5): category and corners in the frame."""
        scale, shift = self.matrix[[0, 1], [0, 1]], self.matrix[:, 2]
        kept = things[things[:, 0] >= 0].copy()
        kept[:, 1:] = kept[:, 1:] * np.tile(scale, 2) + np.tile(shift, 2)
        before = np.prod(kept[:, 3:] - kept[:, 1:3], axis=1)
        kept[:, 1:] = np.clip(kept[:, 1:], 0, np.tile(self.frame, 2))
        after = np.prod(kept[:, 3:] - kept[:, 1:3], axis=1)
        kept = kept[after > SMALL * before]
        if self.mirrored:
            kept[:, [1, 3]] = self.frame[0] - kept[:, [3, 1]]
        return kept


def fill_of(of: Input) -> tuple[int, int, int]:
    """What is zero once it is normalised: the colour of padding."""
    red, green, blue = (round(255 * m) for m in of.mean)
    return red, green, blue


def network_input(images: NDArray[np.uint8], of: Input, rng: np.random.Generator) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 normalised, light and colour varied, channels_last."""
    mean, std = torch.tensor(of.mean), torch.tensor(of.std)
    x = ((torch.from_numpy(images).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    gain, shift = (torch.from_numpy(0.15 * rng.standard_normal((len(images), 3, 1, 1))).float() for _ in range(2))
    return (x * (1 + gain) + shift).contiguous(memory_format=torch.channels_last)


def ahead(make: Callable[[int], T], first: int, last: int) -> Iterator[T]:
    """`make(step)` of each step, the next one made while this one is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(make, first)
        for step in range(first, last):
            current = coming.result()
            if step + 1 < last:
                coming = pool.submit(make, step + 1)
            yield current
