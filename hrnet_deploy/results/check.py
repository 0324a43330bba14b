"""The result of `check`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import EngineInfo, ImagesResult
from hrnet_deploy.results.figures import Budget, Check, TaskFigures, TensorFigures, all_passed


@dataclass(frozen=True)
class CheckResult(ImagesResult):
    """The comparison of a file in an engine with its reference.

    Attributes:
        model, against: the file, and the checkpoint or file it was compared with.
        images: the folder of images, or the name of the package's own samples.
        tensors: figures of the outputs on noise; those on images are in `task`.
        first_difference: the first tensor that differs, if the check failed and the tensor was found.
        warning: a remark on the file's provenance; may be empty.
    """

    kind: ClassVar[str] = "check"

    model: str
    against: str
    engine: str
    engine_info: EngineInfo
    precision: str
    card: str
    images: str
    flip_test: bool
    tensors: Sequence[TensorFigures]
    task: TaskFigures
    budget: Budget
    checks: Sequence[Check]
    first_difference: str = ""
    warning: str = ""

    @property
    def passed(self) -> bool:
        return all_passed(self.checks)
