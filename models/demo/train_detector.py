"""Train the demo detector, people and five kinds of things: `python models/demo/train_detector.py`.

Seeded; interrupted runs go on where they were. Draws its scenes once (into --work), trains a small Faster R-CNN on HRNetV2p
on augmented views of them, measures the statistics of every batch norm, settles the network with those fixed (see
`training`), scores box AP on images it has never seen, and writes the checkpoint with its figures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from drawn import scene
from drawn.scene import CATEGORIES
from rich.progress import track
from scenes import Scenes, View, ahead, fill_of, network_input, scenes
from torch import Tensor, nn
from training import Phase, Run, Spread, console, fit, measure_batch_statistics, save

from hrnet_deploy.cards import card
from hrnet_deploy.engines.base import Arrays
from hrnet_deploy.networks import build
from hrnet_deploy.networks.losses import detection_loss
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.dataset import Dataset, Item

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("det_hrnetv2p_w16.safetensors"))
    parser.add_argument("--work", type=Path, default=Path("build/demo-scenes"), help="scenes and the state of the run")
    parser.add_argument("--scenes", type=int, default=9_000)
    parser.add_argument("--steps", type=int, default=4_000)
    parser.add_argument("--settle", type=int, default=0, help="steps with fixed batch statistics; its activations are steady without")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--images", type=int, default=300, help="unseen images to score on")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    drawn = scenes(args.work, args.scenes, args.seed)
    run = Run(
        args.work,
        lambda first, last: batches(drawn, args.batch, args.seed, first, last),
        loss,
        lambda net: f"AP50 {score(net, 60)['AP50']:.3f} on 60 images",
        args.batch,
        args.save_every,
    )
    net = build(CARD.architecture)
    net = fit(net, Phase("detector", 0, args.steps, lr=1.5e-3), run)
    end = args.steps + args.settle
    measure_batch_statistics(net, lambda n, batch: n.backbone(batch[0]), run.batches(end, end + 128), 128)  # type: ignore[operator]
    console.print_json(json.dumps({"before settling": score(net, args.images, detail=True)}))
    net = fit(net, Phase("detector-settle", args.steps, end, lr=3e-4, settle=True), run)
    save(net, args.output)
    figures = score(net, args.images, detail=True)
    console.print_json(json.dumps(figures))
    facts = {"images": args.images, "steps": args.steps, "settle": args.settle, "scenes": args.scenes, "seed": args.seed}
    args.output.with_suffix(".json").write_text(json.dumps({**facts, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
