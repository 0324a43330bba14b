"""Train the demo detector of people and five kinds of objects: `python models/demo/train_detector.py`.

It draws its scenes once, into the folder --work, and trains a small Faster R-CNN on HRNetV2p with augmented views of
them. Then it measures the statistics of all batch norms (see `training`), scores box AP on unseen images, and writes
the checkpoint and its figures. The run is seeded, and an interrupted run continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from drawn import scene
from drawn.scene import CATEGORIES
from rich.progress import track
from scenes import Scenes, View, ahead, fill_of, network_input, scenes
from torch import Tensor, nn
from training import Phase, Run, Spread, console, finish, fit, options

from hrnet_deploy.cards import card
from hrnet_deploy.engines.base import Arrays
from hrnet_deploy.networks import build_network
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.detection.training import detection_loss

CARD = card("det_hrnetv2p_w16_demo_256x256")
TASK = task_of(CARD)
FRAME = (CARD.input.width, CARD.input.height)
FILL = fill_of(CARD.input)
VALIDATION_SEED = 10_000  # must not be used for training
# Proposals and sampled regions per image in training. mmdetection takes 2000 and 512, but these scenes are small.
CANDIDATES, SAMPLED = 200, 128

Batch = tuple[Tensor, list[Tensor]]  # the input, and for each image (k, 5) classes and corners of its boxes


def batches(drawn: Scenes, size: int, seed: int, first: int, last: int) -> Iterator[Batch]:
    """The batches of steps `first` to `last`; each depends on the seed and its step only."""

    def batch(step: int) -> Batch:
        rng = np.random.default_rng([seed, 2, step])
        chosen = rng.integers(0, len(drawn.sizes), size)
        views = [View.drawn(rng, drawn.sizes[i], FRAME, stretch=False) for i in chosen]
        images = np.stack([v.image(drawn.images[i], FILL) for v, i in zip(views, chosen, strict=True)])
        boxes = [torch.from_numpy(v.boxes(drawn.boxes[i])) for v, i in zip(views, chosen, strict=True)]
        return network_input(images, CARD.input, rng), boxes

    return ahead(batch, first, last)


def loss(net: nn.Module, batch: Batch) -> Tensor:
    """The losses of both stages, summed."""
    x, boxes = batch
    with torch.autocast("cpu", torch.bfloat16):
        return detection_loss(net, x, boxes, CANDIDATES, SAMPLED)  # type: ignore[arg-type]


def score(net: nn.Module, images: int, detail: bool = False) -> dict[str, float]:
    """Box AP on generated images that were not used in training; with `detail` also the spread of activations."""
    net.eval()
    spread = Spread(net) if detail else None
    categories = [{"id": i, "name": n} for i, n in enumerate(CATEGORIES, start=1)]
    truth: dict[str, list] = {"images": [], "annotations": [], "categories": categories}
    predictions = []
    for index in track(range(images), "scoring", console=console):
        drawn = scene(VALIDATION_SEED, index)
        height, width = drawn.parts.shape
        truth["images"].append({"id": index, "height": height, "width": width})
        for annotation in drawn.annotations:
            truth["annotations"].append({**annotation, "image_id": index, "id": len(truth["annotations"]) + 1})
        samples = TASK.samples(drawn.image, Item(Path(), index))
        with torch.inference_mode():
            outputs = [_named(net(*(torch.from_numpy(v) for v in s.feed.values()))) for s in samples]
        predictions += TASK.decode(outputs, samples)
    figures: dict[str, float] = TASK.score(predictions, Dataset((), truth)).figures()
    if spread is not None:
        figures["spread"] = spread.close()
    return figures


def _named(results: tuple[Tensor, ...]) -> Arrays:
    """The network's outputs as arrays by name."""
    return {name: value.numpy() for name, value in zip(CARD.architecture.outputs, results, strict=True)}


def main() -> None:
    output = Path(__file__).with_name("det_hrnetv2p_w16.safetensors")
    args = options(__doc__ or "", output, Path("build/demo-scenes"), scenes=9_000, steps=4_000, batch=8)
    drawn = scenes(args.work, args.scenes, args.seed)
    run = Run(
        args.work,
        lambda first, last: batches(drawn, args.batch, args.seed, first, last),
        loss,
        lambda net: f"AP50 {score(net, 60)['AP50']:.3f} on 60 images",
        args.batch,
        args.save_every,
    )
    net = fit(build_network(CARD.architecture), Phase("detector", 0, args.steps, lr=1.5e-3), run)
    settling = Phase("detector-settle", args.steps, args.steps + args.settle, lr=3e-4, settle=True)
    finish(
        net,
        run,
        settling,
        lambda n, batch: n.backbone(batch[0]),  # type: ignore[operator]
        lambda n: score(n, args.images, detail=True),
        args,
    )


if __name__ == "__main__":
    main()
