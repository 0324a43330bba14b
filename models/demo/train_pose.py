"""Train the demo pose network on drawn people: `python models/demo/train_pose.py`.

Seeded; interrupted runs go on where they were. Draws its people once (into --work), trains a small HRNetV1 on augmented
crops of them, measures the statistics of every batch norm, settles the network with those fixed (see `training`), scores
OKS-AP on images it has never seen, and writes the checkpoint with its figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from crops import CARD, Batch, batches, people
from drawn import scene
from rich.progress import track
from torch import Tensor, nn
from training import Phase, Run, Spread, console, fit, measure_batch_statistics, save

from hrnet_deploy.networks import build
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.dataset import Dataset, Item

TASK = task_of(CARD)
VALIDATION_SEED = 10_000  # never a training seed


def loss(net: nn.Module, batch: Batch) -> Tensor:
    """Squared difference of the heatmaps, weighted by pixel."""
    x, target, weight = batch
    with torch.autocast("cpu", torch.bfloat16):
        heatmaps = net(x)
    return (weight * (heatmaps.float() - target) ** 2).mean()


def score(net: nn.Module, images: int, detail: bool = False) -> dict[str, float]:
    """OKS-AP on generated images nobody trained on, one crop a person, no flip test; with `detail` the spread of
    activations too."""
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("pose_hrnet_w16.safetensors"))
    parser.add_argument("--work", type=Path, default=Path("build/demo-pose"), help="crops and the state of the run")
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--steps", type=int, default=14_000)
    parser.add_argument("--settle", type=int, default=3_000, help="steps with fixed batch statistics")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=500)
    parser.add_argument("--images", type=int, default=500, help="unseen images to score on")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    drawn = people(args.work, args.people, args.seed)
    run = Run(
        args.work,
        lambda first, last: batches(*drawn, args.batch, args.seed, first, last),
        loss,
        lambda net: f"AP {score(net, 100)['AP']:.3f} on 100 images",
        args.batch,
        args.save_every,
    )
    net = fit(build(CARD.architecture), Phase("train", 0, args.steps, lr=2e-3), run)
    end = args.steps + args.settle
    measure_batch_statistics(net, lambda n, batch: n(batch[0]), run.batches(end, end + 128), 128)
    console.print_json(json.dumps({"before settling": score(net, args.images, detail=True)}))
    net = fit(net, Phase("settle", args.steps, end, lr=5e-4, settle=True), run)
    save(net, args.output)
    figures = score(net, args.images, detail=True)
    console.print_json(json.dumps(figures))
    facts = {"images": args.images, "steps": args.steps, "settle": args.settle, "people": args.people, "seed": args.seed}
    args.output.with_suffix(".json").write_text(json.dumps({**facts, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
