"""What a training step costs: forward pass, the task's loss, backward pass and optimizer, in a process of its own.

The paper trains with batches that took four large GPUs. Where this machine's memory, or a minute per step, does not
allow that, a smaller batch is measured and labelled with its size. Targets are random, which costs as much as real
ones.
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
from hrnet_deploy.tasks.base import noise

SMALLEST_BATCH = 2  # batch normalisation over pooled features needs more than one image
STEPS, QUICK_STEPS = 5, 2
MOST_SECONDS = 60.0  # the longest step that is still measured
MEMORY_SHARE = 0.6  # share of the free memory that a step may take
BOXES = 8  # ground-truth boxes per image


@dataclass(frozen=True)
class TrainingJob:
    """A network to train for some steps, on "cpu" or "cuda"."""

    card: ModelCard
    batch: int
    threads: int
    device: str = "cpu"

    def open(self) -> TrainedNetwork:
        return TrainedNetwork(self)


class TrainedNetwork:
    """Runs in the worker: the network, an optimizer and one random batch. Its public methods are the requests."""

    def __init__(self, job: TrainingJob) -> None:
        import torch

        if job.device == "cuda" and not torch.cuda.is_available():
            raise Unavailable("PyTorch sees no GPU — leave the engines of a GPU out")

        from hrnet_deploy.networks import build_network, random_weights

        torch.manual_seed(0)
        torch.set_num_threads(job.threads)
        self.before = memory.resident()
        memory.reset_peak()
        network = build_network(job.card.architecture)
        random_weights(network)
        on_gpu = job.device == "cuda"
        libraries: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
        for library in libraries:
            library.allow_tf32 = False  # float32 throughout, because the paper's GPUs had no TF32
        self.wait: Callable[[], None] = torch.cuda.synchronize if on_gpu else lambda: None
        self.peak: Callable[[], int] = (
            torch.cuda.max_memory_allocated if on_gpu else lambda: max(0, memory.peak() - self.before)
        )
        self.network = network.train().to(job.device)
        self.image = torch.from_numpy(noise(job.card, job.batch, 0)["image"]).to(job.device)
        self.loss = _loss(job, network, self.image)
        adam = job.card.task == "pose"  # the optimizers that the papers' own repositories train with
        parameters = network.parameters()
        self.optimizer: Any = (
            torch.optim.Adam(parameters, 1e-5) if adam else torch.optim.SGD(parameters, 1e-6, momentum=0.9)
        )

    def step(self) -> float:
        """Run one training step. Gives its seconds."""
        begin = time.perf_counter()
        loss = self.loss()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.wait()
        seconds = time.perf_counter() - begin
        if not bool(loss.isfinite()):
            raise DeployError("the loss is not finite — the network or its weights are broken")
        return seconds

    def peak_bytes(self) -> int:
        """The most memory over what the process held before the network was built. On a GPU, the most PyTorch
        allocated."""
        return self.peak()


def _loss(job: TrainingJob, network: Any, image: Any) -> Callable[[], Any]:
    """A call that gives the task's loss on random targets. `image` is (N, 3, H, W)."""
    import torch

    from hrnet_deploy.networks import losses

    architecture, (batch, _, height, width) = job.card.architecture, image.shape
    if architecture.task == "pose":
        target = torch.rand(batch, architecture.labels, height // 4, width // 4, device=job.device)
        weight = torch.ones(batch, architecture.labels, device=job.device)
        return lambda: losses.pose_loss(network(image), target, weight)
    if architecture.task == "segmentation":
        labels = torch.randint(0, architecture.labels, (batch, height, width), device=job.device)
        return lambda: losses.segmentation_loss(network(image), labels)
    corner = torch.rand(batch, BOXES, 2) * torch.tensor([width, height]) * 0.5
    side = (0.1 + 0.4 * torch.rand(batch, BOXES, 2)) * torch.tensor([width, height])
    kinds = torch.randint(0, architecture.labels, (batch, BOXES, 1))
    boxes = torch.cat([kinds, corner, corner + side], -1).to(job.device)
    return lambda: losses.detection_loss(network, image, list(boxes))


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
        progress: told of each step.
    """
    threads, steps = machine.threads(), QUICK_STEPS if quick else STEPS
    first = _row(TrainingJob(card, SMALLEST_BATCH, threads, device), steps, machine, progress)
    rows = [first]
    if first.status == "ok" and not quick:
        largest, free = SMALLEST_BATCH, MEMORY_SHARE * machine.free_memory(device)
        while largest * 2 <= batch:
            factor = largest * 2 / SMALLEST_BATCH
            if first.peak_bytes * factor > free or first.seconds * factor > MOST_SECONDS:
                break
            largest *= 2
        if largest > SMALLEST_BATCH:
            rows.append(_row(TrainingJob(card, largest, threads, device), steps, machine, progress))
    return TrainingResult(rows=rows, device=device, card=card.name)


def _row(job: TrainingJob, steps: int, machine: Machine, progress: Progress) -> TrainingRow:
    """The median of some steps. The first step allocates memory and is not counted."""
    progress.stage(f"training steps with a batch of {job.batch}", steps + 1)
    row = TrainingRow(job.batch, job.card.input.size)
    session = machine.launcher.start(job)
    try:
        times = []
        for number in range(steps + 1):
            seconds = session.ask("step")
            times += [seconds] if number else []
            progress.advance()
        rounds = [[1e3 * t] for t in times]
        median = sorted(times)[len(times) // 2]
        return dataclasses.replace(row, seconds=median, rounds=rounds, peak_bytes=session.ask("peak_bytes"))
    except DeployError as error:
        return dataclasses.replace(row, status="failed", reason=str(error))
    finally:
        session.close()
