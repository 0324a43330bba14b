"""Training data of the demo pose network: augmented crops of drawn people, with heatmaps."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from drawn import scene
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from training import console

from hrnet_deploy.cards import card
from hrnet_deploy.tasks.geometry import Crop, crop_of_box
from hrnet_deploy.tasks.pose.labels import Keypoints

CARD = card("pose_hrnet_w16_demo_128x96")
HEIGHT, WIDTH, STRIDE, SIGMA = CARD.input.height, CARD.input.width, 4, 1.5
STORE = 192  # side of a stored crop in pixels
MARGIN = 1.45  # how many times larger than the network's input the area of a stored crop is, per side
PAIRS = CARD.labels_as(Keypoints).flip_pairs
SWAP = np.arange(17)
for left, right in PAIRS:
    SWAP[[left, right]] = SWAP[[right, left]]
MEAN, STD = torch.tensor(CARD.input.mean), torch.tensor(CARD.input.std)


Batch = tuple[Tensor, Tensor, Tensor]  # input, heatmaps, weight of each pixel in the loss


def _draw(arguments: tuple[int, int]) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """The people of one scene: for each a square crop with a margin for augmentation, and (17, 3) keypoints in it."""
    drawn = scene(*arguments)
    people = []
    for person in drawn.people:
        if person["num_keypoints"] < 4:
            continue
        box = crop_of_box(person["bbox"], WIDTH / HEIGHT)
        crop = Crop(box.centre, (box.size[1] * MARGIN,) * 2)
        points = np.array(person["keypoints"], np.float32).reshape(-1, 3)
        matrix = crop.matrix(STORE, STORE)
        points[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        people.append((crop.cut(drawn.image, STORE, STORE), points))
    return people


def people(work: Path, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Crops of people and their keypoints. They are drawn on the first call and memory-mapped afterwards.

    Args:
        work: the folder to keep them in.
        count: the number of people.
        seed: the seed of the series of scenes.

    Returns:
        images (count, STORE, STORE, 3) uint8 RGB, and keypoints (count, 17, 3) as x, y in pixels and COCO's visibility.
    """
    images, points = work / f"people-{seed}-{count}.npy", work / f"points-{seed}-{count}.npy"
    if not points.exists():
        store = np.lib.format.open_memmap(images, "w+", np.uint8, (count, STORE, STORE, 3))
        known = np.zeros((count, 17, 3), np.float32)
        filled = 0
        with multiprocessing.Pool() as pool:
            scenes = pool.imap(_draw, ((seed, i) for i in range(count)), chunksize=16)
            for _ in track(range(count), "drawing people", console=console):
                if filled < count:
                    for image, at in next(scenes)[: count - filled]:
                        store[filled], known[filled] = image, at
                        filled += 1
            pool.terminate()
        store.flush()
        np.save(points, known)
    return np.load(images, mmap_mode="r"), np.load(points)


def augmented(
    image: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A randomly shifted, scaled, rotated and mirrored view of a stored crop, with keypoints, at the input's size."""
    zoom = STORE / MARGIN * math.exp(rng.uniform(-0.3, 0.3))
    centre = STORE / 2 + rng.normal(0, 0.03, 2) * STORE
    turn = rng.uniform(-35, 35) if rng.random() < 0.6 else 0.0
    crop = Crop((centre[0], centre[1]), (zoom * WIDTH / HEIGHT, zoom), turn)
    matrix = crop.matrix(WIDTH, HEIGHT)
    out = crop.cut(image, WIDTH, HEIGHT)
    at = points.copy()
    at[:, :2] = at[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    if rng.random() < 0.5:
        out, at = out[:, ::-1], at[SWAP]
        at[:, 0] = WIDTH - 1 - at[:, 0]
    return out, at


def normalised(images: NDArray[np.uint8]) -> Tensor:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float32 normalised, as a view with channels last in memory."""
    x = (torch.from_numpy(images).float() / 255 - MEAN) / STD
    return x.permute(0, 3, 1, 2)


def batches(
    images: NDArray[np.uint8], points: NDArray[np.float32], size: int, seed: int, first: int, last: int
) -> Iterator[Batch]:
    """The batches of steps `first` to `last`, each made while the one before is used.

    A batch depends on the seed and its step only, so a resumed run sees the same batches as an uninterrupted one.
    """

    def batch(step: int) -> Batch:
        rng = np.random.default_rng([seed, 1, step])
        chosen = rng.integers(0, len(points), size)
        pairs = [augmented(images[i], points[i], rng) for i in chosen]
        x = normalised(np.stack([p[0] for p in pairs]))
        gain = 1 + 0.15 * rng.standard_normal((size, 3, 1, 1))
        x = x * torch.from_numpy(gain).float() + torch.from_numpy(0.15 * rng.standard_normal((size, 3, 1, 1))).float()
        target, weight = targets(torch.from_numpy(np.stack([p[1] for p in pairs])))
        return x.contiguous(memory_format=torch.channels_last), target, weight

    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(batch, first)
        for step in range(first, last):
            current = coming.result()
            if step + 1 < last:
                coming = ahead.submit(batch, step + 1)
            yield current


def targets(points: Tensor) -> tuple[Tensor, Tensor]:
    """Gaussian heatmaps of (N, 17, 3) keypoints in pixels of the input, and the weight of each pixel in the loss.

    Both are (N, 17, H/4, W/4). The weights are 0 for a keypoint that is not labelled or lies outside the crop.
    """
    x, y = points[..., 0:1] / STRIDE, points[..., 1:2] / STRIDE
    gx = torch.exp(-((torch.arange(WIDTH // STRIDE) - x) ** 2) / (2 * SIGMA**2))
    gy = torch.exp(-((torch.arange(HEIGHT // STRIDE) - y) ** 2) / (2 * SIGMA**2))
    target = gy[..., :, None] * gx[..., None, :]
    inside = (x >= 0) & (x < WIDTH / STRIDE) & (y >= 0) & (y < HEIGHT / STRIDE) & (points[..., 2:] > 0)
    return target, (1 + 30 * target) * inside[..., None]
