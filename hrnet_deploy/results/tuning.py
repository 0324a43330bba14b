"""The result of `tune`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import ImagesResult
from hrnet_deploy.results.bench import BenchResult, BenchRow
from hrnet_deploy.results.figures import TaskFigures
from hrnet_deploy.stats import Ratio


@dataclass(frozen=True)
class Candidate:
    """One way to run the network.

    Attributes:
        command: makes its file again; empty if it is the given file.
        figures: on the validation set, on which the choice is based.
        rejected: why it cannot win; empty if it can.
        milliseconds: median end to end per batch; None if it was not measured.
        test_figures: on the test set, on which no choice is based; only for candidates that were judged there.
    """

    engine: str
    threads: int
    precision: str
    command: str
    figures: TaskFigures | None = None
    rejected: str = ""
    milliseconds: float | None = None
    test_figures: TaskFigures | None = None

    @property
    def title(self) -> str:
        return self.engine if self.precision in self.engine else f"{self.engine} {self.precision}"

    @property
    def accepted(self) -> bool:
        return not self.rejected


@dataclass(frozen=True)
class TuneResult(ImagesResult):
    """Every candidate, the winner first.

    Attributes:
        output: the winner's ONNX file.
        result: the measurement in which all accepted candidates took turns.
        faster_than_base: how many times faster the winner is than PyTorch.
        verdict: a sentence on how much faster the winner is.
        commands: make the winner again and measure it.
        seconds: how long it took.
    """

    kind: ClassVar[str] = "tune"

    output: str
    card: str
    candidates: Sequence[Candidate]
    result: BenchResult
    faster_than_base: Ratio | None
    verdict: str
    commands: Sequence[str]
    seconds: float

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ValueError("Expected at least one candidate")

    @property
    def winner(self) -> Candidate:
        return self.candidates[0]

    def row(self, candidate: Candidate) -> BenchRow | None:
        """The row in which a candidate was measured."""
        key = (candidate.engine, candidate.precision, candidate.threads)
        return next((r for r in self.result.rows if (r.engine, r.precision, r.threads) == key), None)
