"""Figures that several kinds of result hold: tensors and scores against a reference, and their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hrnet_deploy.results.base import Figure, Setting

ERRORS = ("NME", "FR@")  # how the names of scores begin of which less is better


def more_is_better(score: str) -> bool:
    """Whether a larger value of a score is better, by its name: not of an error, and not of a distance in pixels."""
    return not score.startswith(ERRORS) and not score.endswith(" px")


@dataclass(frozen=True)
class TensorFigures:
    """The comparison of one output with that of the reference, over all inputs.

    Attributes:
        output: name of the tensor.
        inputs: on which inputs, for example "noise" or "images".
        maximum: largest absolute difference.
        relative: `maximum` over the reference's largest magnitude.
        cosine: cosine similarity of the two as vectors.
        sqnr_db: signal to quantization noise ratio in dB, 10 log10(sum r^2 / sum (r-x)^2); None if they are equal.
        finite: whether every value of both is a number.
    """

    output: str
    inputs: str
    maximum: Figure
    relative: Figure
    cosine: Figure
    sqnr_db: float | None
    finite: bool


@dataclass(frozen=True)
class Distance:
    """How much predictions differ, in the task's own terms.

    Attributes:
        figures: by name; `Task.limits` has limits for some of them. NaN if a figure could not be computed.
        sentence: the same in words.
    """

    figures: Mapping[str, Figure]
    sentence: str


@dataclass(frozen=True)
class TaskFigures:
    """The comparison of an engine with the reference on real images.

    Attributes:
        images, samples: how many were compared.
        tensors: figures of the outputs.
        distance: how much the predictions differ (see `Task.compare`).
        metric: name of the task's metric; empty if nothing was scored.
        reference, engine: scores of each by name, in 0..1.
        difference: engine minus reference, in points of the metric.
        interval: 95% bootstrap interval of the difference, in points.
        protocol: what the scores depend on besides the weights.
        unscored: why there is no score.
    """

    images: int
    samples: int
    tensors: Sequence[TensorFigures]
    distance: Distance
    metric: str = ""
    reference: Mapping[str, Figure] = field(default_factory=dict)
    engine: Mapping[str, Figure] = field(default_factory=dict)
    difference: float | None = None
    interval: tuple[float, float] | None = None
    protocol: Mapping[str, Setting] = field(default_factory=dict)
    unscored: str = ""

    def __post_init__(self) -> None:
        if (self.difference is None) != (self.interval is None):
            raise ValueError("Expected a difference and its interval together")
        if list(self.reference) != list(self.engine):
            raise ValueError("Expected the same scores of the reference and of the engine")
        if self.difference is not None and self.metric not in self.engine:
            raise ValueError("Expected the metric among the scores")


@dataclass(frozen=True)
class Budget:
    """How much a file of a precision may differ from its reference. A figure without a limit (None) is not judged.

    Attributes:
        relative: largest difference of an output over its largest magnitude.
        drop: change of the metric in points, up or down.
        distances: limits on figures of `Distance`, by name.
    """

    relative: float | None = None
    drop: float | None = None
    distances: Mapping[str, float] = field(default_factory=dict)

    def replaced_by(self, limits: Budget) -> Budget:
        """This budget, with those limits replaced that another one has."""
        return Budget(
            self.relative if limits.relative is None else limits.relative,
            self.drop if limits.drop is None else limits.drop,
            {**self.distances, **limits.distances},
        )


@dataclass(frozen=True)
class Check:
    """The comparison of one figure with its limit. It fails if `value` is NaN because it could not be computed."""

    name: str
    value: Figure
    limit: float
    passed: bool


def all_passed(checks: Sequence[Check]) -> bool:
    """Whether every check passed. If there is no check, the verdict is also False."""
    return bool(checks) and all(c.passed for c in checks)
