"""How every demo network is trained: seeded steps, an average of the weights, and settling with fixed batch statistics.

In training a batch norm divides by what its own batch holds, so an image that drives activations up without end is tamed
by being there; at inference it is not, and of the first pose network one image in a hundred came out a thousand times
larger than the median. Settling goes on with the statistics fixed: the loss sees such an image as inference will, and a
penalty on large activations pulls it in.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from rich.console import Console
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor, nn

LARGE = 10.0  # what a batch norm gives is of the order of 1; settling penalises what is over this
HELP = {
    "images": "unseen images to score on",
    "steps": "steps of training; where there are even ones, with rare classes weighted up",
    "even": "steps with every pixel counting alike",
    "settle": "steps with fixed batch statistics; where activations are steady without, none",
}
console = Console()

B = TypeVar("B")


@dataclass(frozen=True)
class Phase:
    """Steps `first` to `last` at a cosine from `lr`; with `settle` batch norms keep their statistics."""

    name: str
    first: int
    last: int
    lr: float
    settle: bool = False


@dataclass(frozen=True)
class Run(Generic[B]):
    """What differs between networks. `batches(first, last)` gives a batch a step, a function of the step alone, so that a
    resumed run sees what it would have; `loss(network, batch)`; `score` says how a network does, now and then."""

    work: Path
    batches: Callable[[int, int], Iterable[B]]
    loss: Callable[[nn.Module, B], Tensor]
    score: Callable[[nn.Module], str]
    size: int  # of a batch
    save_every: int = 500


def options(about: str, output: Path, work: Path, **defaults: int) -> argparse.Namespace:
    """What every training is told, as the command line says it. defaults: what else a training has, and other values."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=output)
    parser.add_argument("--work", type=Path, default=work, help="what is drawn, and the state of the run")
    for name, value in {"settle": 0, "seed": 1, "save_every": 250, "images": 300, **defaults}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=HELP.get(name))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    return args


def fit(net: nn.Module, phase: Phase, run: Run[B]) -> nn.Module:
    """AdamW with warm-up and cosine decay, bfloat16. Gives the exponential average of the weights. Saves its state now and
    then and goes on from there."""
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(net).eval()
    groups = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.01},
    ]
    optimizer = torch.optim.AdamW(groups, lr=phase.lr)
    saved, first = run.work / f"{phase.name}.pt", phase.first
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
    for step, batch in enumerate(run.batches(first, phase.last), start=first):
        done = step - phase.first
        for group in optimizer.param_groups:
            decay = 0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * done / (phase.last - phase.first)))
            group["lr"] = phase.lr * min(1.0, (done + 1) / 300) * decay
        net.train()
        if phase.settle:
            for norm in norms_of(net):
                norm.eval()
        excess.clear()
        loss = run.loss(net, batch)
        if excess:
            loss = loss + 0.01 * torch.stack(excess).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            keep = min(0.999, (done + 1) / (done + 20))
            for a, b in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                if a.is_floating_point():
                    a.lerp_(b, 1 - keep)
        running = running * 0.98 + float(loss.detach()) * 0.02 if running else float(loss.detach())
        if (step + 1) % 100 == 0:
            rate = (step + 1 - first) / (time.monotonic() - started)
            left = (phase.last - step - 1) / rate / 60
            console.print(
                f"{phase.name} {step + 1}/{phase.last}  loss {running:.4f}  {rate * run.size:.0f} a second  {left:.0f} min left"
            )
        if (step + 1) % run.save_every == 0 or step + 1 == phase.last:
            state = {
                "net": net.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step + 1,
            }
            torch.save(state, saved.with_suffix(".new"))
            saved.with_suffix(".new").replace(saved)
            if (step + 1) % (5 * run.save_every) == 0:
                console.print(f"  {run.score(average)}")
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


def measure_batch_statistics(
    net: nn.Module, forward: Callable[[nn.Module, B], Any], batches: Iterable[B], count: int
) -> None:
    """Mean and variance of every batch norm over many images training has not seen, in float32."""
    for norm in norms_of(net):
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over everything seen
    net.train()
    with torch.inference_mode():
        for batch in track(batches, "batch statistics", count, console=console):
            forward(net, batch)
    net.eval()


def finish(
    net: nn.Module,
    run: Run[B],
    settling: Phase,
    forward: Callable[[nn.Module, B], Any],
    score: Callable[[nn.Module], dict[str, float]],
    args: argparse.Namespace,
) -> None:
    """From trained weights to the checkpoint: batch statistics measured, settled with those, saved, and scored as it was saved."""
    measure_batch_statistics(net, forward, run.batches(settling.last, settling.last + 128), 128)
    console.print_json(json.dumps({"before settling": score(net)}))
    net = fit(net, settling, run)
    save(net, args.output)
    figures = score(net)
    console.print_json(json.dumps(figures))
    told = {k: v for k, v in vars(args).items() if k not in ("output", "work", "save_every")}
    args.output.with_suffix(".json").write_text(json.dumps({**told, **figures}, indent=1) + "\n")


class Spread:
    """While it is watched: how far the largest image of the worst batch norm is over that norm's median image."""

    def __init__(self, net: nn.Module) -> None:
        self.peaks: list[list[float]] = [[] for _ in norms_of(net)]
        self._hooks = [
            norm.register_forward_hook(lambda _, __, y, seen=seen: seen.append(float(y.abs().max())))
            for norm, seen in zip(norms_of(net), self.peaks, strict=True)
        ]

    def close(self) -> float:
        for hook in self._hooks:
            hook.remove()
        return max(max(v) / sorted(v)[len(v) // 2] for v in self.peaks)


def save(net: nn.Module, path: Path) -> None:
    """Matrices and convolutions in float16 (half the size), everything else in float32; the network becomes what was saved."""
    state = {k: v.contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    state = {k: v.half() if v.ndim > 1 else v.float() for k, v in state.items()}
    save_file(state, path, metadata={"format": "pt"})
    net.load_state_dict({**net.state_dict(), **{k: v.float() for k, v in state.items()}})
