"""Train the demo detector, people and five kinds of things: `python models/demo/train_detector.py`.

Seeded; interrupted runs go on where they were. Draws its scenes once (into --work), trains a small Faster R-CNN on HRNetV2p
on augmented views of them, measures the statistics of every batch norm (see `training`), scores box AP on images it has never
seen, and writes the checkpoint with its figures.
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
VALIDATION_SEED = 10_000  # never a training seed
CANDIDATES, SAMPLED = 200, 128  # an image, where mmdetection takes 2000 and 512: the scenes are small

Batch = tuple[Tensor, list[Tensor]]  # input, and of each image class and corners of every thing


def batches(drawn: Scenes, size: int, seed: int, first: int, last: int) -> Iterator[Batch]:
    def batch(step: int) -> Batch:
        rng = np.random.default_rng([seed, 2, step])
        chosen = rng.integers(0, len(drawn.sizes), size)
        views = [View.drawn(rng, drawn.sizes[i], FRAME, stretch=False) for i in chosen]
        images = np.stack([v.image(drawn.images[i], FILL) for v, i in zip(views, chosen, strict=True)])
        things = [torch.from_numpy(v.boxes(drawn.things[i])) for v, i in zip(views, chosen, strict=True)]
        return network_input(images, CARD.input, rng), things

    return ahead(batch, first, last)


def loss(net: nn.Module, batch: Batch) -> Tensor:
    x, things = batch
    with torch.autocast("cpu", torch.bfloat16):
        return detection_loss(net, x, things, CANDIDATES, SAMPLED)  # type: ignore[arg-type]


def score(net: nn.Module, images: int, detail: bool = False) -> dict[str, float]:
    """Box AP on generated images nobody trained on; with `detail` the spread of activations too."""
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
