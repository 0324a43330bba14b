"""The cost of a training step: a part of the cost table, or a separate result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import Result
from hrnet_deploy.results.bench import Status


@dataclass(frozen=True)
class TrainingRow:
    """One batch size. `seconds` is the median of an iteration, `rounds` the milliseconds of each (one list per step),
    `peak_bytes` the peak of the memory, less what the process held before the network was built."""

    batch: int
    input_size: str
    peak_bytes: int = 0
    seconds: float = 0.0
    rounds: Sequence[Sequence[float]] = ()
    status: Status = "ok"
    reason: str = ""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError("Expected a batch of at least 1")


@dataclass(frozen=True)
class TrainingResult(Result):
    """Training steps of one network, the smallest batch first."""

    kind: ClassVar[str] = "training"

    rows: Sequence[TrainingRow]
    device: str = "cpu"
    card: str = ""
