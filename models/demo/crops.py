"""Training data of the demo networks that see one crop per person or face: augmented crops of drawn images, with
heatmaps."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn
from training import Spread, console

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.geometry import Crop, crop_of_box
from hrnet_deploy.tasks.pose.labels import Keypoints

STRIDE, SIGMA = 4, 1.5  # pixels of the input per pixel of a heatmap; the Gaussian in pixels of the heatmap
MARGIN = 1.45  # how many times larger than the network's input the area of a stored crop is, per side

Batch = tuple[Tensor, Tensor, Tensor]  # input, heatmaps, weight of each pixel in the loss
Drawn = tuple[NDArray[np.uint8], Sequence[dict[str, Any]]]  # an image, and annotations with boxes and keypoints


@dataclass(frozen=True)
class Crops:
    """Crops for the network of a card.

    Attributes:
        card: the card.
        draw: draws an image of a series by its seed and its index. It has to be a function of a module.
    """

    card: ModelCard
    draw: Callable[[int, int], Drawn]

    @property
    def height(self) -> int:
        """The height of the network's input, in pixels."""
        return self.card.input.height

    @property
    def width(self) -> int:
        """The width of the network's input, in pixels."""
        return self.card.input.width

    @property
    def store(self) -> int:
        """The side of a stored crop, in pixels."""
        return self.height * 3 // 2

    @cached_property
    def labels(self) -> Keypoints:
        """The keypoints of the card."""
        return self.card.labels_as(Keypoints)

    @cached_property
    def swap(self) -> NDArray[np.intp]:
        """(K,) which keypoint each one is in a mirror image."""
        order = np.arange(len(self.labels.names))
        for left, right in self.labels.flip_pairs:
            order[[left, right]] = order[[right, left]]
        return order

    def _cut(self, arguments: tuple[int, int]) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        """What is on one image: for each a square crop with a margin for augmentation, and (K, 3) keypoints in it."""
        image, annotations = self.draw(*arguments)
        found = []
        for annotation in annotations:
            if annotation["num_keypoints"] < 4:
                continue
            box = crop_of_box(annotation["bbox"], self.width / self.height)
            crop = Crop(box.centre, (box.size[1] * MARGIN,) * 2)
            points = np.array(annotation["keypoints"], np.float32).reshape(-1, 3)
            matrix = crop.matrix(self.store, self.store)
            points[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
            found.append((crop.cut(image, self.store, self.store), points))
        return found

    def drawn(self, work: Path, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Stored crops and their keypoints. They are drawn on the first call and memory-mapped afterwards.

        Args:
            work: the folder to keep them in.
            count: the number of crops.
            seed: the seed of the series of images.

        Returns:
            images (count, store, store, 3) uint8 RGB, and keypoints (count, K, 3) as x, y in pixels and COCO's
            visibility.
        """
        images, points = work / f"people-{seed}-{count}.npy", work / f"points-{seed}-{count}.npy"
        if not points.exists():
            shape = (count, self.store, self.store, 3)
            store = np.lib.format.open_memmap(images, "w+", np.uint8, shape)
            known = np.zeros((count, len(self.labels.names), 3), np.float32)
            filled = 0
            with multiprocessing.Pool() as pool:
                each = pool.imap(self._cut, ((seed, i) for i in range(count)), chunksize=16)
                for _ in track(range(count), "drawing", console=console):
                    if filled < count:
                        for image, at in next(each)[: count - filled]:
                            store[filled], known[filled] = image, at
                            filled += 1
                pool.terminate()
            store.flush()
            np.save(points, known)
        return np.load(images, mmap_mode="r"), np.load(points)

    def augmented(
        self, image: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """A randomly shifted, scaled, rotated and mirrored view of a stored crop in the input's size, and keypoints."""
        zoom = self.store / MARGIN * math.exp(rng.uniform(-0.3, 0.3))
        centre = self.store / 2 + rng.normal(0, 0.03, 2) * self.store
        turn = rng.uniform(-35, 35) if rng.random() < 0.6 else 0.0
        crop = Crop((centre[0], centre[1]), (zoom * self.width / self.height, zoom), turn)
        matrix = crop.matrix(self.width, self.height)
        out = crop.cut(image, self.width, self.height)
        at = points.copy()
        at[:, :2] = at[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        if rng.random() < 0.5:
            out, at = out[:, ::-1], at[self.swap]
            at[:, 0] = self.width - 1 - at[:, 0]
        return out, at

    def normalised(self, images: NDArray[np.uint8]) -> Tensor:
        """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float32 normalised, as a view with channels last in memory."""
        mean, std = torch.tensor(self.card.input.mean), torch.tensor(self.card.input.std)
        x = (torch.from_numpy(images).float() / 255 - mean) / std
        return x.permute(0, 3, 1, 2)

    def batches(
        self, images: NDArray[np.uint8], points: NDArray[np.float32], size: int, seed: int, first: int, last: int
    ) -> Iterator[Batch]:
        """The batches of steps `first` to `last`, each made while the one before is used.

        A batch depends on the seed and its step only, so a resumed run sees the same batches as an uninterrupted one.
        """

        def batch(step: int) -> Batch:
            rng = np.random.default_rng([seed, 1, step])
            chosen = rng.integers(0, len(points), size)
            pairs = [self.augmented(images[i], points[i], rng) for i in chosen]
            x = self.normalised(np.stack([p[0] for p in pairs]))
            gain = 1 + 0.15 * rng.standard_normal((size, 3, 1, 1))
            shift = 0.15 * rng.standard_normal((size, 3, 1, 1))
            x = x * torch.from_numpy(gain).float() + torch.from_numpy(shift).float()
            target, weight = self.targets(torch.from_numpy(np.stack([p[1] for p in pairs])))
            return x.contiguous(memory_format=torch.channels_last), target, weight

        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(batch, first)
            for step in range(first, last):
                current = coming.result()
                if step + 1 < last:
                    coming = ahead.submit(batch, step + 1)
                yield current

    def targets(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Gaussian heatmaps of (N, K, 3) keypoints in pixels of the input, and the weight of each pixel in the loss.

        Both are (N, K, H/4, W/4). The weights are 0 for a keypoint that is not labelled or lies outside the crop.
        """
        offset = 0.5 if self.labels.decode == "face" else 0.0  # which this decoding adds
        x, y = points[..., 0:1] / STRIDE - offset, points[..., 1:2] / STRIDE - offset
        gx = torch.exp(-((torch.arange(self.width // STRIDE) - x) ** 2) / (2 * SIGMA**2))
        gy = torch.exp(-((torch.arange(self.height // STRIDE) - y) ** 2) / (2 * SIGMA**2))
        target = gy[..., :, None] * gx[..., None, :]
        inside = (x >= 0) & (x < self.width / STRIDE) & (y >= 0) & (y < self.height / STRIDE) & (points[..., 2:] > 0)
        return target, (1 + 30 * target) * inside[..., None]

    def score(self, net: nn.Module, seed: int, images: int, detail: bool = False) -> dict[str, float]:
        """The metric of the task on images of a series that was not used in training, with given boxes and without
        flip test.

        With `detail` it also gives the spread of activations.
        """
        net.eval()
        task = task_of(self.card)
        spread = Spread(net) if detail else None
        categories = [{"id": 1, "name": self.labels.boxes_of[0]}]
        truth: dict[str, list] = {"images": [], "annotations": [], "categories": categories}
        items, predictions = [], []
        for index in track(range(images), "scoring", console=console):
            image, annotations = self.draw(seed, index)
            truth["images"].append({"id": index})
            truth["annotations"] += [{**a, "image_id": index} for a in annotations]
            items.append(Item(Path(), index, tuple(annotations)))
            samples = task.samples(image, items[-1])
            with torch.inference_mode():
                outputs = [{"heatmaps": net(torch.from_numpy(s.feed["image"])).numpy()} for s in samples]
            predictions += task.decode(outputs, samples)
        figures: dict[str, float] = task.score(predictions, Dataset(tuple(items), truth)).figures()
        if spread is not None:
            figures["spread"] = spread.close()
        return figures


def loss(net: nn.Module, batch: Batch) -> Tensor:
    """The mean squared error of the heatmaps, weighted per pixel."""
    x, target, weight = batch
    with torch.autocast("cpu", torch.bfloat16):
        heatmaps = net(x)
    return (weight * (heatmaps.float() - target) ** 2).mean()
