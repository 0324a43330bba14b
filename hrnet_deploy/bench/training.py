"""What a training step costs: forward pass, the task's loss, backward pass and optimizer. It runs in its own process.

The paper trains on four large GPUs with batches that fit them. If such a batch does not fit into this machine's memory
or takes over a minute per step, a smaller batch is measured and labelled with its size. Targets are random, which costs
as much as real ones.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hrnet_deploy.bench import memory
from hrnet_deploy.bench.machine import Machine
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import DeployError, Unavailable
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.training import TrainingResult, TrainingRow
from hrnet_deploy.tasks.base import noise, training_of

SMALLEST_BATCH = 2  # batch normalisation over pooled features needs more than one image
STEPS, QUICK_STEPS = 5, 2
MOST_SECONDS = 60.0  # the longest step that is still measured
MEMORY_SHARE = 0.6  # share of the free memory that a step may take


@dataclass(frozen=True)
class TrainingSpec:
    """A network to train for a few steps, on "cpu" or "cuda"."""

    card: ModelCard
    batch: int
    threads: int
    device: str = "cpu"

    def open(self) -> TrainedNetwork:
        return TrainedNetwork(self)


class TrainedNetwork:
    """Runs in the worker: the network, an optimizer and one random batch. Its public methods are the requests."""

    def __init__(self, spec: TrainingSpec) -> None:
        import torch

        if spec.device == "cuda" and not torch.cuda.is_available():
            raise Unavailable("PyTorch sees no GPU — remove the GPU engines")

        from hrnet_deploy.networks import build_network, random_weights

        torch.manual_seed(0)
        torch.set_num_threads(spec.threads)
        self.before = memory.resident()
        memory.reset_peak()
        network = build_network(spec.card.architecture)
        random_weights(network)
        on_gpu = spec.device == "cuda"
        libraries: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
        for library in libraries:
            library.allow_tf32 = False  # float32 throughout, because the paper's GPUs had no TF32
        self.wait: Callable[[], None] = torch.cuda.synchronize if on_gpu else lambda: None
        self.peak: Callable[[], int] = (
            torch.cuda.max_memory_allocated if on_gpu else lambda: max(0, memory.peak() - self.before)
        )
        self.network = network.train().to(spec.device)
        self.image = torch.from_numpy(noise(spec.card, spec.batch, 0)["image"]).to(spec.device)
        how = training_of(spec.card)
        self.loss = how.random_loss(network, spec.card.architecture, self.image)
        self.optimizer = how.optimizer(network.parameters())

    def step(self) -> float:
        """Run one training step. Returns its seconds."""
        begin = time.perf_counter()
        loss = self.loss()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.wait()
        seconds = time.perf_counter() - begin
        if not bool(loss.isfinite()):
            raise DeployError("the loss is not finite — the network or its weights are broken")
        return seconds

    def peak_bytes(self) -> int:
        """The peak of the memory, less what the process held before the network was built. On a GPU, the peak that
        PyTorch allocated."""
        return self.peak()


def measure_training(
    card: ModelCard,
    batch: int,
    machine: Machine,
    quick: bool = False,
    device: str = "cpu",
    progress: Progress = SILENT,
) -> TrainingResult:
    """Measure training steps with the smallest batch, and with the largest up to `batch` that the machine can take.

    Args:
        card: the network, at the input size to train with.
        batch: the largest batch that is tried, in images.
        machine: where the steps run.
        quick: whether only the smallest batch is measured, with fewer steps.
        device: "cpu" or "cuda".
        progress: is notified of each step.
    """
    threads, steps = machine.threads(), QUICK_STEPS if quick else STEPS
    first = _row(TrainingSpec(card, SMALLEST_BATCH, threads, device), steps, machine, progress)
    rows = [first]
    if first.status == "ok" and not quick:
        largest, free = SMALLEST_BATCH, MEMORY_SHARE * machine.free_memory(device)
        while largest * 2 <= batch:
            factor = largest * 2 / SMALLEST_BATCH
            if first.peak_bytes * factor > free or first.seconds * factor > MOST_SECONDS:
                break
            largest *= 2
        if largest > SMALLEST_BATCH:
            rows.append(_row(TrainingSpec(card, largest, threads, device), steps, machine, progress))
    return TrainingResult(rows=rows, device=device, card=card.name)


def _row(spec: TrainingSpec, steps: int, machine: Machine, progress: Progress) -> TrainingRow:
    """A row with the median of several steps. The first step allocates memory and is not counted."""
    progress.stage(f"training steps with a batch of {spec.batch}", steps + 1)
    row = TrainingRow(spec.batch, spec.card.input.size)
    session = machine.launcher.start(spec)
    try:
        times = []
        for number in range(steps + 1):
            seconds = session.call("step")
            times += [seconds] if number else []
            progress.advance()
        rounds = [[1e3 * t] for t in times]
        median = sorted(times)[len(times) // 2]
        return dataclasses.replace(row, seconds=median, rounds=rounds, peak_bytes=session.call("peak_bytes"))
    except DeployError as error:
        return dataclasses.replace(row, status="failed", reason=str(error))
    finally:
        session.close()
