"""Train the demo network that parses drawn people into body parts: `python models/demo/train_parsing.py`.

It draws its scenes once, into the folder --work, and trains a small HRNetV2 with augmented views of them. Rare parts
first have larger weights, so that the network learns them at all; then all pixels have the same weight, as in the
metric. It measures the statistics of all batch norms (see `training`), scores mIoU on unseen images, and writes the
checkpoint and its figures. The run is seeded, and an interrupted run continues where it stopped.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from drawn import scene
from drawn.person import PARTS
from rich.progress import track
from scenes import IGNORED, Scenes, View, ahead, fill_of, network_input, scenes
from torch import Tensor, nn
from training import Phase, Run, Spread, console, finish, fit, options

from hrnet_deploy.cards import card
from hrnet_deploy.networks import build_network
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.segmentation.confusion import counts_of, figures_of
from hrnet_deploy.tasks.segmentation.training import segmentation_loss

CARD = card("seg_hrnetv2_w16_demo_256x256")
TASK = task_of(CARD)
FRAME = (CARD.input.width, CARD.input.height)
FILL = fill_of(CARD.input)
VALIDATION_SEED = 10_000  # must not be used for training
# weights of the classes: the background fills most of each image, and shoes fill very little
WEIGHTS = torch.tensor([0.5 if p == "background" else 2.0 if "shoe" in p else 1.0 for p in PARTS])

Batch = tuple[Tensor, Tensor]  # the input, and the label of each pixel


def batches(drawn: Scenes, size: int, seed: int, first: int, last: int) -> Iterator[Batch]:
    """The batches of steps `first` to `last`; each depends on the seed and its step only."""

    def batch(step: int) -> Batch:
        rng = np.random.default_rng([seed, 1, step])
        chosen = rng.integers(0, len(drawn.sizes), size)
        views = [View.drawn(rng, drawn.sizes[i], FRAME, stretch=True) for i in chosen]
        images = np.stack([v.image(drawn.images[i], FILL) for v, i in zip(views, chosen, strict=True)])
        labels = np.stack([v.parts(drawn.parts[i]) for v, i in zip(views, chosen, strict=True)])
        return network_input(images, CARD.input, rng), torch.from_numpy(labels.astype(np.int64))

    return ahead(batch, first, last)


def loss(net: nn.Module, batch: Batch, weight: Tensor | None = None) -> Tensor:
    """The cross-entropy over the pixels of the input; `weight` is (classes,)."""
    x, labels = batch
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(x)
    return segmentation_loss(logits.float(), labels, weight)


def score(net: nn.Module, images: int, detail: bool = False) -> dict[str, float]:
    """mIoU and IoU per class on generated images that were not used in training, at the size of the images.

    With `detail` it also gives the spread of activations.
    """
    net.eval()
    spread = Spread(net) if detail else None
    counts = np.zeros((3, len(PARTS)), np.int64)
    for index in track(range(images), "scoring", console=console):
        drawn = scene(VALIDATION_SEED, index)
        (sample,) = TASK.samples(drawn.image, Item(Path(), index))
        with torch.inference_mode():
            outputs = [{"logits": net(torch.from_numpy(sample.feed["image"])).numpy()}]
        (found,) = TASK.decode(outputs, [sample])
        counts += counts_of(drawn.parts, found.labels, len(PARTS), IGNORED)
    figures = figures_of(counts)
    correct, labelled, predicted = counts
    ious = correct / (labelled + predicted - correct)
    figures |= {f"IoU {name}": float(v) for name, v in zip(PARTS, ious, strict=True)}
    if spread is not None:
        figures["spread"] = spread.close()
    return figures


def main() -> None:
    output = Path(__file__).with_name("seg_hrnetv2_w16.safetensors")
    args = options(__doc__ or "", output, Path("build/demo-scenes"), scenes=9_000, steps=4_400, even=1_800, batch=16)
    drawn = scenes(args.work, args.scenes, args.seed)
    run = Run(
        args.work,
        lambda first, last: batches(drawn, args.batch, args.seed, first, last),
        loss,
        lambda net: f"mIoU {score(net, 60)['mIoU']:.3f} on 60 images",
        args.batch,
        args.save_every,
    )
    weighted = dataclasses.replace(run, loss=functools.partial(loss, weight=WEIGHTS))
    net = fit(build_network(CARD.architecture), Phase("parsing", 0, args.steps, lr=2e-3), weighted)
    trained = args.steps + args.even
    net = fit(net, Phase("parsing-even", args.steps, trained, lr=1.2e-3), run)
    settling = Phase("parsing-settle", trained, trained + args.settle, lr=5e-4, settle=True)
    finish(net, run, settling, lambda n, batch: n(batch[0]), lambda n: score(n, args.images, detail=True), args)


if __name__ == "__main__":
    main()
