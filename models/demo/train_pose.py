"""Train the demo pose network on drawn people: `python models/demo/train_pose.py`.

It draws its people once, into the folder --work, and trains a small HRNetV1 with augmented crops of them. It measures
the statistics of all batch norms, trains on with these fixed ("settling", see `training`), scores OKS-AP on unseen
images, and writes the checkpoint and its figures. The run is seeded, and an interrupted run continues where it stopped.
"""

from __future__ import annotations

from pathlib import Path

import torch
from crops import CARD, Batch, batches, people
from drawn import scene
from rich.progress import track
from torch import Tensor, nn
from training import Phase, Run, Spread, console, finish, fit, options

from hrnet_deploy.networks import build_network
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.dataset import Dataset, Item

TASK = task_of(CARD)
VALIDATION_SEED = 10_000  # must not be used for training


def loss(net: nn.Module, batch: Batch) -> Tensor:
    """The mean squared error of the heatmaps, weighted per pixel."""
    x, target, weight = batch
    with torch.autocast("cpu", torch.bfloat16):
        heatmaps = net(x)
    return (weight * (heatmaps.float() - target) ** 2).mean()


def score(net: nn.Module, images: int, detail: bool = False) -> dict[str, float]:
    """OKS-AP on generated images that were not used in training, with given boxes and without flip test.

    With `detail` it also gives the spread of activations.
    """
    net.eval()
    spread = Spread(net) if detail else None
    truth: dict[str, list] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    predictions = []
    for index in track(range(images), "scoring", console=console):
        drawn = scene(VALIDATION_SEED, index)
        truth["images"].append({"id": index})
        truth["annotations"] += [{**person, "image_id": index} for person in drawn.people]
        samples = TASK.samples(drawn.image, Item(Path(), index, tuple(drawn.people)))
        with torch.inference_mode():
            outputs = [{"heatmaps": net(torch.from_numpy(s.feed["image"])).numpy()} for s in samples]
        predictions += TASK.decode(outputs, samples)
    figures: dict[str, float] = TASK.score(predictions, Dataset((), truth)).figures()
    if spread is not None:
        figures["spread"] = spread.close()
    return figures


def main() -> None:
    output = Path(__file__).with_name("pose_hrnet_w16.safetensors")
    defaults = {"people": 50_000, "steps": 14_000, "settle": 3_000, "batch": 64, "save_every": 500, "images": 500}
    args = options(__doc__ or "", output, Path("build/demo-pose"), **defaults)
    drawn = people(args.work, args.people, args.seed)
    run = Run(
        args.work,
        lambda first, last: batches(*drawn, args.batch, args.seed, first, last),
        loss,
        lambda net: f"AP {score(net, 100)['AP']:.3f} on 100 images",
        args.batch,
        args.save_every,
    )
    net = fit(build_network(CARD.architecture), Phase("train", 0, args.steps, lr=2e-3), run)
    settling = Phase("settle", args.steps, args.steps + args.settle, lr=5e-4, settle=True)
    finish(net, run, settling, lambda n, batch: n(batch[0]), lambda n: score(n, args.images, detail=True), args)


if __name__ == "__main__":
    main()
