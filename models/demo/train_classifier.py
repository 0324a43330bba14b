"""Train the demo classifier on drawn things: `python models/demo/train_classifier.py`.

It draws its images once, into the folder --work, and trains a small HRNet with augmented views of them. It measures the
statistics of all batch norms, trains on with these fixed ("settling", see `training`), scores top-1 on unseen images,
and writes the checkpoint and its figures. The run is seeded, and an interrupted run continues where it stopped.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from drawn.things import NAMES, thing
from numpy.typing import NDArray
from rich.progress import track
from scenes import ahead, network_input
from torch import Tensor, nn
from training import Phase, Run, Spread, console, finish, fit, options

from hrnet_deploy.cards import card
from hrnet_deploy.networks import build_network
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.dataset import Item

CARD = card("cls_hrnet_w16_demo_64x64")
TASK = task_of(CARD)
SIDE = CARD.input.height
STORE = 80  # side of a stored image in pixels, which is the shorter side of the drawn one
VALIDATION_SEED = 10_000  # must not be used for training
SMOOTHING = 0.05  # of the labels

Batch = tuple[Tensor, Tensor]  # the input, and the class of each image


def _draw(arguments: tuple[int, int]) -> tuple[NDArray[np.uint8], int]:
    """The square in the middle of one image, and its class."""
    image, label = thing(*arguments)
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    return np.asarray(cv2.resize(square, (STORE, STORE), interpolation=cv2.INTER_AREA), np.uint8), label


def things(work: Path, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` images of the series `seed`, (count, STORE, STORE, 3) uint8 RGB, and their classes. They are drawn on the
    first call and memory-mapped afterwards."""
    images, labels = work / f"things-{seed}-{count}.npy", work / f"classes-{seed}-{count}.npy"
    if not labels.exists():
        store = np.lib.format.open_memmap(images, "w+", np.uint8, (count, STORE, STORE, 3))
        known = np.zeros(count, np.int64)
        with multiprocessing.Pool() as pool:
            drawn = pool.imap(_draw, ((seed, i) for i in range(count)), chunksize=32)
            for i, one in enumerate(track(drawn, "drawing things", count, console=console)):
                store[i], known[i] = one
        store.flush()
        np.save(labels, known)
    return np.load(images, mmap_mode="r"), np.load(labels)


def view(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A randomly scaled, shifted, turned and mirrored view of a stored image, (SIDE, SIDE, 3)."""
    zoom = SIDE / CARD.input.crop_ratio / STORE * math.exp(rng.normal(0, 0.1))
    turn = rng.normal(0, 8)
    matrix = np.asarray(cv2.getRotationMatrix2D((STORE / 2, STORE / 2), turn, zoom), np.float64)
    matrix[:, 2] += SIDE / 2 - STORE / 2 + rng.normal(0, 0.04, 2) * SIDE
    out = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(out[:, ::-1] if rng.random() < 0.5 else out, np.uint8)


def batches(
    images: NDArray[np.uint8], labels: NDArray[np.int64], size: int, seed: int, first: int, last: int
) -> Iterator[Batch]:
    """The batches of steps `first` to `last`; each depends on the seed and its step only."""

    def batch(step: int) -> Batch:
        rng = np.random.default_rng([seed, 1, step])
        chosen = rng.integers(0, len(labels), size)
        views = np.stack([view(images[i], rng) for i in chosen])
        return network_input(views, CARD.input, rng), torch.from_numpy(labels[chosen])

    return ahead(batch, first, last)


def loss(net: nn.Module, batch: Batch) -> Tensor:
    """The cross-entropy, with smoothed labels."""
    x, labels = batch
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(x)
    return F.cross_entropy(logits.float(), labels, label_smoothing=SMOOTHING)


def score(net: nn.Module, images: int, detail: bool = False) -> dict[str, float]:
    """top-1 and top-5 on generated images that were not used in training.

    With `detail` it also gives the accuracy for each class, and the spread of activations.
    """
    net.eval()
    spread = Spread(net) if detail else None
    hits, truth = [], []
    for index in track(range(images), "scoring", console=console):
        image, label = thing(VALIDATION_SEED, index)
        (sample,) = TASK.samples(image, Item(Path(), index))
        with torch.inference_mode():
            outputs = [{"logits": net(torch.from_numpy(sample.feed["image"])).numpy()}]
        (found,) = TASK.decode(outputs, [sample])
        hits.append(found.classes == label)
        truth.append(label)
    right, of = np.array(hits), np.array(truth)
    figures = {"top-1": float(right[:, 0].mean()), "top-5": float(right.any(1).mean())}
    if spread is not None:
        figures |= {f"top-1 {n}": float(right[of == i, 0].mean()) for i, n in enumerate(NAMES)}
        figures["spread"] = spread.close()
    return figures


def main() -> None:
    output = Path(__file__).with_name("cls_hrnet_w16.safetensors")
    defaults = {"things": 10_000, "steps": 2_000, "batch": 64}
    args = options(__doc__ or "", output, Path("build/demo-things"), **defaults)
    drawn = things(args.work, args.things, args.seed)
    run = Run(
        args.work,
        lambda first, last: batches(*drawn, args.batch, args.seed, first, last),
        loss,
        lambda net: f"top-1 {score(net, 100)['top-1']:.3f} on 100 images",
        args.batch,
        args.save_every,
    )
    net = fit(build_network(CARD.architecture), Phase("things", 0, args.steps, lr=2e-3), run)
    settling = Phase("things-settle", args.steps, args.steps + args.settle, lr=5e-4, settle=True)
    finish(net, run, settling, lambda n, batch: n(batch[0]), lambda n: score(n, args.images, detail=True), args)


if __name__ == "__main__":
    main()
