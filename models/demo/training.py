"""The training loop of the demo networks: seeded steps, averaged weights, and "settling" with fixed batch statistics.

In training, a batch norm is normalised by the statistics of its own batch. An image with very large activations raises
these statistics and so limits itself. At inference the statistics are fixed, and nothing limits it: in the first pose
network the activations of one image in a hundred were a thousand times larger than those of the median image.

Settling continues the training with fixed statistics. The loss then sees such an image as inference does, and a penalty
on large activations reduces them.
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

LARGE = 10.0  # settling penalises outputs of batch norms above this; they are of the order of 1
HELP = {
    "images": "number of unseen images to score on",
    "steps": "training steps; if there is --even, these have larger weights for rare classes",
    "even": "further training steps with the same weight for all pixels",
    "settle": "further training steps with fixed batch statistics, for networks with outliers in their activations",
}
console = Console()

B = TypeVar("B")


@dataclass(frozen=True)
class Phase:
    """Training steps `first` to `last`. The learning rate decays from `lr` by a cosine.

    `name` is that of the file with the state of an unfinished run. With `settle`, batch norms keep their statistics.
    """

    name: str
    first: int
    last: int
    lr: float
    settle: bool = False


@dataclass(frozen=True)
class Run(Generic[B]):
    """What differs between the trainings.

    Attributes:
        work: the folder for the state of the run.
        batches: gives the batches from a first to a last step. A batch depends on its step only, so that a resumed run
            sees the same batches.
        loss: the loss of a network on a batch.
        score: a short text with the network's score, which is printed from time to time.
        size: the batch size.
        save_every: the number of steps between two saves.
    """

    work: Path
    batches: Callable[[int, int], Iterable[B]]
    loss: Callable[[nn.Module, B], Tensor]
    score: Callable[[nn.Module], str]
    size: int
    save_every: int = 500


def options(about: str, output: Path, work: Path, **defaults: int) -> argparse.Namespace:
    """Parse the command line, create the work folder and set the seed.

    Args:
        about: the description in the help text.
        output: the default path of the checkpoint.
        work: the default work folder.
        defaults: further integer options with their defaults, or other defaults of the common ones.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=output)
    parser.add_argument("--work", type=Path, default=work, help="folder for drawn images and for the state of the run")
    for name, value in {"settle": 0, "seed": 1, "save_every": 250, "images": 300, **defaults}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=HELP.get(name))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    return args


def fit(net: nn.Module, phase: Phase, run: Run[B]) -> nn.Module:
    """Train a network and give the exponential moving average of its weights.

    It uses AdamW with warm-up and cosine decay. The state is saved every `run.save_every` steps, and a saved state is
    continued.
    """
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
        console.print(f"{phase.name}: continuing from step {first}")
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
                f"{phase.name} {step + 1}/{phase.last}  loss {running:.4f}  {rate * run.size:.0f} samples/s  "
                f"{left:.0f} min left"
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
    """All batch norms of a network."""
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]


def watch_large(net: nn.Module) -> list[Tensor]:
    """A list to which each forward pass appends the mean squared excess over LARGE of each batch norm's output.

    Most outputs do not exceed it. The check for this reads memory in order, through a permuted view, because it is much
    faster that way.
    """
    excess: list[Tensor] = []

    def add_excess(_: nn.Module, __: object, y: Tensor) -> None:
        y = y.permute(0, 2, 3, 1)
        if any(abs(float(v)) > LARGE for v in torch.aminmax(y.detach())):
            excess.append((y.float().abs() - LARGE).clamp(min=0).square().mean())

    for norm in norms_of(net):
        norm.register_forward_hook(add_excess)
    return excess


def measure_batch_statistics(
    net: nn.Module, forward: Callable[[nn.Module, B], Any], batches: Iterable[B], count: int
) -> None:
    """Set the mean and variance of all batch norms from `count` batches that were not used in training, in float32."""
    for norm in norms_of(net):
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches, not a moving average
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
    """Make the checkpoint: measure batch statistics, settle, save, and score the network as it was saved.

    Args:
        net: the trained network.
        run: what differs between the trainings.
        settling: the phase with fixed statistics; it may have no steps.
        forward: runs the network, or the part of it with batch norms, on a batch.
        score: the figures of a network, which are written beside the checkpoint.
        args: the command line.
    """
    measure_batch_statistics(net, forward, run.batches(settling.last, settling.last + 128), 128)
    console.print_json(json.dumps({"before settling": score(net)}))
    net = fit(net, settling, run)
    save(net, args.output)
    figures = score(net)
    console.print_json(json.dumps(figures))
    settings = {k: v for k, v in vars(args).items() if k not in ("output", "work", "save_every")}
    args.output.with_suffix(".json").write_text(json.dumps({**settings, **figures}, indent=1) + "\n")


class Spread:
    """Measures how far activations of single images stand out, until it is closed.

    The spread of a batch norm is its largest output magnitude over all images, divided by that of the median image.
    """

    def __init__(self, net: nn.Module) -> None:
        self.peaks: list[list[float]] = [[] for _ in norms_of(net)]
        self._hooks = [
            norm.register_forward_hook(lambda _, __, y, seen=seen: seen.append(float(y.abs().max())))
            for norm, seen in zip(norms_of(net), self.peaks, strict=True)
        ]

    def close(self) -> float:
        """Stop measuring, and give the largest spread of a batch norm."""
        for hook in self._hooks:
            hook.remove()
        return max(max(v) / sorted(v)[len(v) // 2] for v in self.peaks)


def save(net: nn.Module, path: Path) -> None:
    """Save the weights as safetensors: matrices and convolutions in float16, which halves the file, the rest in
    float32.

    The network gets the rounded weights.
    """
    state = {k: v.contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    state = {k: v.half() if v.ndim > 1 else v.float() for k, v in state.items()}
    save_file(state, path, metadata={"format": "pt"})
    net.load_state_dict({**net.state_dict(), **{k: v.float() for k, v in state.items()}})
