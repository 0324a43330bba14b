"""What a step of training costs: forward, the task's loss, backward, optimizer; in a process of its own.

The paper trains with batches that took four large GPUs. Where this machine's memory or a minute a step does not allow that,
a smaller batch is measured, and labelled with it. Targets are random, which costs what real ones cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hrnet_deploy.bench import memory
from hrnet_deploy.bench.run import Worker
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import DeployError, Unavailable
from hrnet_deploy.tasks.base import noise, training_of
from hrnet_deploy.threads import available_threads

Say = Callable[[str], None]
FEWEST = 2  # a batch norm over pooled features has nothing to normalise in a batch of one
STEPS, QUICK_STEPS = 5, 2
MOST_SECONDS = 60.0  # a step
SHARE = 0.6  # of the memory that is free, which a step may take


@dataclass(frozen=True)
class TrainingJob:
    """A network to train for some steps."""

    card: ModelCard
    batch: int
    threads: int
    device: str = "cpu"

    def opened(self) -> TrainingRow:
        return TrainingRow(self)


class TrainingRow:
    """In the worker: the network, an optimizer and one random batch."""

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
            library.allow_tf32 = False  # float32, as the paper's GPUs had no other
        self.wait: Callable[[], None] = torch.cuda.synchronize if on_gpu else lambda: None
        self.peak: Callable[[], int] = (
            torch.cuda.max_memory_allocated if on_gpu else lambda: max(0, memory.peak() - self.before)
        )
        self.network = network.train().to(job.device)
        self.image = torch.from_numpy(noise(job.card, job.batch, 0)["image"]).to(job.device)
        how = training_of(job.card)
        self.loss = how.random_loss(network, job.card.architecture, self.image)
        self.optimizer = how.optimizer(network.parameters())

    def step(self) -> float:
        """Seconds of one iteration."""
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
        """The most over what the process held before the network was built; on a GPU, what PyTorch took of it."""
        return self.peak()


def training(
    card: ModelCard, paper: Mapping[str, Any], quick: bool, say: Say = lambda _: None, device: str = "cpu"
) -> dict[str, Any]:
    """Rows by batch: the smallest, and the largest up to the paper's that this machine takes."""
    if not quick:
        card = card.resized(*map(int, paper["training_input"].split("x")))
    first = _row(card, FEWEST, quick, say, device)
    rows = [first]
    batch, free = FEWEST, _free(device)
    while first["status"] == "ok" and not quick and batch * 2 <= paper["training_batch"]:
        factor = batch * 2 / FEWEST
        if first["peak_bytes"] * factor > SHARE * free or first["seconds"] * factor > MOST_SECONDS:
            break
        batch *= 2
    if batch > FEWEST:
        rows.append(_row(card, batch, quick, say, device))
    return {"rows": rows, "device": device}


def _free(device: str) -> int:
    """Bytes a step may look for: of the machine, or of its GPU."""
    if device == "cpu":
        return memory.available()
    from hrnet_deploy.engines.driver import probe

    return probe().memory


def _row(card: ModelCard, batch: int, quick: bool, say: Say, device: str) -> dict[str, Any]:
    say(f"training with a batch of {batch}")
    row: dict[str, Any] = {
        "batch": batch,
        "input_size": card.input.size,
        "peak_bytes": 0,
        "seconds": 0.0,
        "rounds": [],
        "status": "ok",
        "reason": "",
    }
    worker = Worker(TrainingJob(card, batch, available_threads(), device))
    try:
        worker.ask("step")  # the first one allocates, and is not counted
        times = [worker.ask("step") for _ in range(QUICK_STEPS if quick else STEPS)]
        row |= {
            "seconds": sorted(times)[len(times) // 2],
            "rounds": [[1e3 * t] for t in times],
            "peak_bytes": worker.ask("peak_bytes"),
        }
    except DeployError as error:
        row |= {"status": "failed", "reason": str(error)}
    finally:
        worker.close()
    return row
