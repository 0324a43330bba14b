"""The results of `quantize`: the int8 file, and the table of what each block costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import ClassVar, Literal

from hrnet_deploy.results.base import Result
from hrnet_deploy.results.figures import Check, TaskFigures, all_passed
from hrnet_deploy.stats import Ratio

Part = Literal["validation", "test"]  # images a search chooses by, or images that nothing was chosen by


@dataclass(frozen=True)
class BlockCost:
    """What quantizing one block of the network alone costs.

    Attributes:
        pattern: the name of the block, as `--exclude` takes it.
        convolutions: how many it has.
        sqnr_db: signal to quantization noise ratio at the outputs of the network, in dB; None where nothing changes.
        in_float: whether the block stays in float in the file that was made.
    """

    pattern: str
    convolutions: int
    sqnr_db: float | None
    in_float: bool = False


@dataclass(frozen=True)
class Trial:
    """One graph judged on some images.

    Attributes:
        excluded: patterns of what stays in float.
        convolutions: how many are int8.
        on: whether the images are the validation set a search chooses by, or the test set.
    """

    excluded: Sequence[str]
    convolutions: int
    figures: TaskFigures
    checks: Sequence[Check]
    on: Part = "test"

    @property
    def passed(self) -> bool:
        return all_passed(self.checks)


@dataclass(frozen=True)
class SpeedComparison:
    """What blocks left in float cost in speed.

    Attributes:
        milliseconds: median per batch, by "float", "all int8" and "as made".
        over_float: how many times faster the file made is than float.
        over_int8: how many times the latency of all int8 it takes; None where nothing was left in float.
        missing: why nothing was measured; empty where it was.
    """

    engine: str
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    over_float: Ratio | None = None
    over_int8: Ratio | None = None
    missing: str = ""


def worst_first(blocks: Sequence[BlockCost]) -> list[BlockCost]:
    """Blocks by falling cost; those that change nothing are last."""
    return sorted(blocks, key=lambda b: math.inf if b.sqnr_db is None else b.sqnr_db)


def is_excluded(pattern: str, excluded: Sequence[str]) -> bool:
    """Whether a block is among patterns of `--exclude`."""
    return any(pattern == e or fnmatch(pattern, e) for e in excluded)


@dataclass(frozen=True)
class QuantizeResult(Result):
    """An int8 file and the way to it.

    Attributes:
        path: the file written; None where the verdict is no. size: its bytes.
        target, method: what the placement is for, and how ranges follow from what was seen.
        images, samples: images calibrated on, and inputs made of them.
        tensors: activations that carry a range.
        trials: every graph that was judged, the verdict last.
        blocks: in the order of the network; empty where no block was looked at.
        convolutions: of the network.
        outliers: image to its worst tensor and how many times that tensor's median peak it reaches.
        all_zero: tensors that were zero on every image, whose scale is a floor.
    """

    kind: ClassVar[str] = "quantize"

    path: str | None
    card: str
    target: str
    method: str
    images: int
    samples: int
    tensors: int
    trials: Sequence[Trial]
    blocks: Sequence[BlockCost]
    convolutions: int
    outliers: Mapping[str, tuple[str, float]]
    all_zero: Sequence[str]
    warnings: Sequence[str]
    speed: SpeedComparison | None = None
    size: int = 0

    def __post_init__(self) -> None:
        if not self.trials:
            raise ValueError("Expected at least one trial")

    @property
    def passed(self) -> bool:
        """The last trial passed, and it was judged on the test set."""
        return self.trials[-1].passed and self.trials[-1].on == "test"

    @property
    def worst(self) -> list[BlockCost]:
        return worst_first(self.blocks)


@dataclass(frozen=True)
class SensitivityResult(Result):
    """What `quantize --sensitivity X.json` writes: each block quantized alone, in the order of the network."""

    kind: ClassVar[str] = "sensitivity"

    card: str
    target: str
    method: str
    written: bool
    blocks: Sequence[BlockCost]
    speed: SpeedComparison | None = None
