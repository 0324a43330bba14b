"""The result of `run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import ImagesResult
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.figures import TaskFigures


@dataclass(frozen=True)
class RunStage:
    """One step of a run.

    Attributes:
        report: name of the stage's own result file, in the folder of the run.
        figures: the differences that the stage found, as in its own result.
        reused: whether the result is that of an earlier run, because nothing that it depends on has changed.
        redone: why the stage ran again although there was an earlier result, for example "the test images changed".
            It is empty if the stage was reused or ran for the first time.
    """

    name: str
    passed: bool
    report: str
    figures: TaskFigures | None = None
    reused: bool = False
    redone: str = ""


@dataclass(frozen=True)
class RunResult(ImagesResult):
    """The stages in order, and the measurement of everything that passed."""

    kind: ClassVar[str] = "run"

    folder: str
    stages: Sequence[RunStage]
    result: BenchResult

    @property
    def passed(self) -> bool:
        return all(s.passed for s in self.stages)
