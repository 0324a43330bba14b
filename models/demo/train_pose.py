"""Train the demo pose network on drawn people: `python models/demo/train_pose.py`.

Seeded; interrupted runs go on where they were. Draws its people once (into --work), then

1. trains a small HRNetV1 on augmented crops of them and averages its weights;
2. measures the statistics of every batch norm over many people, in float32;
3. settles the network with those statistics fixed. In training a batch norm divides by what its own batch holds, so
   an image that drives activations up without end is tamed by being there; at inference it is not, and one image in a
   hundred came out a thousand times larger than the median (those with a flat black border). With the statistics
   fixed the loss sees such an image as inference will, and a penalty on large activations pulls it in;

scores OKS-AP on images it has never seen, and writes the checkpoint with its figures.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from crops import CARD, batches, console, people
from drawn import scene
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor, nn

from hrnet_deploy.networks import build
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.dataset import Dataset, Item

TASK = task_of(CARD)
VALIDATION_SEED = 10_000  # never a training seed
LARGE = 10.0  # what a batch norm gives is of the order of 1; settling penalises what is over this


@dataclass(frozen=True)
class Phase:
    """Steps `first` to `last` at a cosine from `lr`; with `settle` batch norms keep their statistics."""

    name: str
    first: int
    last: int
    lr: float
    settle: bool = False


def fit(net: nn.Module, phase: Phase, args: argparse.Namespace) -> nn.Module:
    """Heatmap MSE, AdamW with warm-up and cosine decay, bfloat16. Gives the exponential average of the weights."""
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = build(CARD.architecture)
    average.load_state_dict(net.state_dict())
    groups = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.01},
    ]
    optimizer = torch.optim.AdamW(groups, lr=phase.lr)
    saved, first = args.work / f"{phase.name}.pt", phase.first
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
        console.print(f"{phase.name}: going on from step {first}")
    if first >= phase.last:
        return average
    excess = watch_large(net) if phase.settle else []
    started, running = time.monotonic(), 0.0
    coming = batches(*people(args.work, args.people, args.seed), args.batch, args.seed, first, phase.last)
    for step, (x, target, weight) in enumerate(coming, start=first):
        done = step - phase.first
        for group in optimizer.param_groups:
            decay = 0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * done / (phase.last - phase.first)))
            group["lr"] = phase.lr * min(1.0, (done + 1) / 300) * decay
        net.train()
        if phase.settle:
            for norm in norms_of(net):
                norm.eval()
        excess.clear()
        with torch.autocast("cpu", torch.bfloat16):
            heatmaps = net(x)
        loss = (weight * (heatmaps.float() - target) ** 2).mean()
        if excess:
            loss = loss + 0.01 * torch.stack(excess).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            keep = min(0.999, (done + 1) / (done + 20))
            for a, b in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                if a.is_floating_point():
                    a.lerp_(b, 1 - keep)
        running = running * 0.98 + float(loss.detach()) * 0.02
        if (step + 1) % 100 == 0:
            rate = (step + 1 - first) / (time.monotonic() - started)
            left = (phase.last - step - 1) / rate / 60
            console.print(
                f"{phase.name} {step + 1}/{phase.last}  loss {running:.4f}  {rate * args.batch:.0f} people/s  {left:.0f} min left"
            )
        if (step + 1) % args.save_every == 0 or step + 1 == phase.last:
            state = {"net": net.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, saved.with_suffix(".new"))
            saved.with_suffix(".new").replace(saved)
            if (step + 1) % (5 * args.save_every) == 0:
                console.print(f"  AP {score(average, 100)['AP']:.3f} on 100 images")
    return average


def norms_of(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]


def watch_large(net: nn.Module) -> list[Tensor]:
    """A list that holds, after each forward pass, how far batch norms' outputs are past `LARGE`, squared. Most are
    nowhere past it, and looking is cheap where memory is read in order: hence the permuted view."""
    excess: list[Tensor] = []

    def look(_: nn.Module, __: object, y: Tensor) -> None:
        y = y.permute(0, 2, 3, 1)
        if any(abs(float(v)) > LARGE for v in torch.aminmax(y.detach())):
            excess.append((y.float().abs() - LARGE).clamp(min=0).square().mean())

    for norm in norms_of(net):
        norm.register_forward_hook(look)
    return excess


def measure_batch_statistics(net: nn.Module, args: argparse.Namespace, count: int = 128) -> None:
    """Mean and variance of every batch norm over many people training has not seen, in float32."""
    for norm in norms_of(net):
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over everything seen
    net.train()
    first = args.steps + args.settle
    coming = batches(*people(args.work, args.people, args.seed), args.batch, args.seed, first, first + count)
    with torch.inference_mode():
        for x, _, _ in track(coming, "batch statistics", count, console=console):
            net(x)
    net.eval()


def score(net: nn.Module, images: int, detail: bool = False) -> dict[str, float]:
    """OKS-AP on generated images nobody trained on, one crop a person, no flip test; with `detail` the spread of
    activations too: the largest image of the worst batch norm, over that norm's median image."""
    net.eval()
    peaks: list[list[float]] = [[] for _ in norms_of(net)] if detail else []
    hooks = [
        norm.register_forward_hook(lambda _, __, y, seen=seen: seen.append(float(y.abs().max())))
        for norm, seen in zip(norms_of(net), peaks, strict=False)
    ]
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
    for hook in hooks:
        hook.remove()
    if peaks:
        figures["spread"] = max(max(v) / float(np.median(v)) for v in peaks)
    return figures


def save(net: nn.Module, path: Path) -> None:
    """Convolution weights in float16 (half the size), everything else in float32."""
    state = {k: v.contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    state = {k: v.half() if v.ndim == 4 else v.float() for k, v in state.items()}
    save_file(state, path, metadata={"format": "pt"})
    net.load_state_dict({**net.state_dict(), **{k: v.float() for k, v in state.items()}})


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
    net = fit(build(CARD.architecture), Phase("train", 0, args.steps, lr=2e-3), args)
    measure_batch_statistics(net, args)
    console.print_json(json.dumps({"before settling": score(net, args.images, detail=True)}))
    net = fit(net, Phase("settle", args.steps, args.steps + args.settle, lr=5e-4, settle=True), args)
    save(net, args.output)
    figures = score(net, args.images, detail=True)
    console.print_json(json.dumps(figures))
    facts = {"images": args.images, "steps": args.steps, "settle": args.settle, "people": args.people, "seed": args.seed}
    args.output.with_suffix(".json").write_text(json.dumps({**facts, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
