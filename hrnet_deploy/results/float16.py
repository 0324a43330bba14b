"""The result of `half`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import ImagesResult
from hrnet_deploy.results.figures import Check, TaskFigures, all_passed


@dataclass(frozen=True)
class HalfResult(ImagesResult):
    """A float16 file, and how much it differs from the file it was made from.

    Attributes:
        path: the written file; None if it failed. size: its bytes.
        precision: of the file: "fp16", or "int8" if only the float part of an int8 file was converted.
        kept: operators that stay in float32, because of the tensors in `large`.
        large: tensors that float16 cannot hold, each with its largest magnitude on the images.
    """

    kind: ClassVar[str] = "half"

    path: str | None
    card: str
    precision: str
    kept: Sequence[str]
    large: Sequence[tuple[str, float]]
    figures: TaskFigures
    checks: Sequence[Check]
    size: int = 0

    @property
    def passed(self) -> bool:
        return all_passed(self.checks)
