"""The results of `quantize`: the int8 file, and the table of what each block costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import ClassVar, Literal

from hrnet_deploy.results.base import ImagesResult, Result
from hrnet_deploy.results.figures import Check, TaskFigures, all_passed
from hrnet_deploy.stats import Ratio

Part = Literal[
    "validation", "test"
]  # images on which a search makes its choices, or images on which no choice is based


@dataclass(frozen=True)
class BlockCost:
    """The cost of quantizing only one block of the network.

    Attributes:
        pattern: the name of the block, as `--exclude` takes it.
        convolutions: how many it has.
        sqnr_db: signal to quantization noise ratio at the outputs of the network, in dB; None if nothing changes.
        in_float: whether the block is left in float in the file.
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
        on: whether the images are the validation set of a search or the test set.
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
    """How much slower a file becomes by blocks that are left in float.

    Attributes:
        milliseconds: median per batch, by "float", "all int8" and "as made".
        over_float: how many times faster the file is than float.
        over_int8: the file's latency divided by that of all int8; None if nothing was left in float.
        missing: why nothing was measured; empty if it was.
    """

    engine: str
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    over_float: Ratio | None = None
    over_int8: Ratio | None = None
    missing: str = ""


def worst_first(blocks: Sequence[BlockCost]) -> list[BlockCost]:
    """Blocks by falling cost. Blocks that change nothing are last."""
    return sorted(blocks, key=lambda b: math.inf if b.sqnr_db is None else b.sqnr_db)


def is_excluded(pattern: str, excluded: Sequence[str]) -> bool:
    """Whether one of the `--exclude` patterns matches a block."""
    return any(pattern == e or fnmatch(pattern, e) for e in excluded)


@dataclass(frozen=True)
class QuantizeResult(ImagesResult):
    """An int8 file, and how it was found.

    Attributes:
        path: the written file; None if it failed. size: its bytes.
        target, method: the engine it is quantized for, and how ranges are computed from the calibration statistics.
        images, samples: the number of calibration images, and of the inputs made from them.
        tensors: the number of activations that are quantized.
        trials: every graph that was judged; the last one decides the verdict.
        blocks: in the order of the network; empty if their cost was not measured.
        convolutions: of the network.
        outliers: for each outlier image, the tensor in which it stands out most, and its peak over the median peak.
        all_zero: tensors that were zero on every image. They get the smallest allowed scale.
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
