"""The result of `bench` without a model: the cost table of the HRNet paper on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hrnet_deploy.results.base import Result, Skipped
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.training import TrainingResult


@dataclass(frozen=True)
class PaperFigures:
    """The paper's figures for one network: gigabytes, seconds (per iteration, per image) and the score in points.

    `inference_static_s` is the time of a static graph in MXNet, if the paper has it. `hardware` names the machine of
    each figure.
    """

    training_memory_gb: float
    inference_memory_gb: float
    training_s: float
    inference_s: float
    inference_static_s: float | None
    score: float
    metric: str
    training_input: str
    training_batch: int
    hardware: Mapping[str, str]


@dataclass(frozen=True)
class Score:
    """The metric of trained weights, in points, and the data it was measured on, without the images of `skipped`, which
    could not be read."""

    metric: str
    value: float
    data: str
    skipped: Sequence[Skipped] = ()


@dataclass(frozen=True)
class Parity:
    """How much the exported graph differs from PyTorch at the network's own input size: `relative` to the largest
    output (None if outputs cannot be compared number by number), and the task's distance in a sentence."""

    relative: float | None
    sentence: str


@dataclass(frozen=True)
class CostTableEntry:
    """One network of the table. `reason` says why it was not measured, or not completely."""

    name: str
    task: str
    card: str
    input_size: str
    paper: PaperFigures
    result: BenchResult | None = None
    training: TrainingResult | None = None
    score: Score | None = None
    parity: Parity | None = None
    reason: str = ""


@dataclass(frozen=True)
class CostTableSettings:
    """Settings that must be equal in all parts of one table."""

    engines: Sequence[str]
    quick: bool
    checkpoints: str
    data: str
    seconds: float
    rounds: int
    threads: int


@dataclass(frozen=True)
class CostTableResult(Result):
    """Every network that has been measured so far, in the order of the paper."""

    kind: ClassVar[str] = "cost_table"

    settings: CostTableSettings
    columns: Sequence[CostTableEntry]

    def derived(self) -> dict[str, Any]:
        return {}
