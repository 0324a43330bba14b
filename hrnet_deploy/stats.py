"""Statistics of measured times. No sample is discarded, and each median has a confidence interval.

The samples of one round follow each other directly and are not independent. Rounds are seconds apart, with measurements
of other rows between them, and are nearly independent. So intervals are computed over rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
# Memory is measured once per run, so it has no interval. Peaks of equal runs differ because allocators round and caches
# fill differently; differences below this share of the base are taken for that.
MEMORY_TOLERANCE = 0.05
# A computed figure (a score on the same images) differs wherever it is not equal, but for the order in which another
# machine adds up floating-point numbers: this share of the figure, or this much if the figure is below 1.
COMPUTED_TOLERANCE = 1e-6
FEWEST_ROUNDS = 6  # with fewer rounds there is no 95% interval of a median
UNSTABLE = 0.10  # a row is marked as unstable if the spread of its rounds' medians is larger


@dataclass(frozen=True)
class Summary:
    """Statistics of one row and region. Times are in milliseconds.

    Attributes:
        n: the number of samples.
        min, p50, p90, p95, p99, mean: the smallest sample, percentiles and the mean of all samples.
        cv: the coefficient of variation, the standard deviation divided by the mean.
        low, high: the 95% interval of the median of the rounds' medians.
        spread: the interquartile range of the rounds' medians divided by their median.
    """

    n: int
    min: float
    p50: float
    p90: float
    p95: float
    p99: float
    mean: float
    cv: float
    low: float
    high: float
    spread: float

    @property
    def unstable(self) -> bool:
        """Whether the rounds differ so much that the figures should not be relied on."""
        return self.spread > UNSTABLE

    def differs(self, other: Summary) -> bool:
        """Whether the 95% intervals of the two medians lie apart. The two are of separate runs, so their rounds cannot
        be paired as `faster` pairs those of one run."""
        return self.high < other.low or other.high < self.low


def summarise(rounds: Sequence[Sequence[float]]) -> Summary:
    """The statistics of the samples of all rounds. Each round is a list of milliseconds."""
    samples = np.concatenate([np.asarray(r, float) for r in rounds])
    medians = np.sort([np.median(r) for r in rounds])
    low, high = median_interval(len(medians))
    quartiles = np.quantile(medians, [0.25, 0.75])
    p50, p90, p95, p99 = np.quantile(samples, [0.5, 0.9, 0.95, 0.99])
    mean = float(samples.mean())
    return Summary(
        n=len(samples),
        min=float(samples.min()),
        p50=float(p50),
        p90=float(p90),
        p95=float(p95),
        p99=float(p99),
        mean=mean,
        cv=float(samples.std() / mean) if mean else 0.0,
        low=float(min(medians[low], p50)),
        high=float(max(medians[high], p50)),
        spread=float((quartiles[1] - quartiles[0]) / np.median(medians)),
    )


def median_interval(n: int) -> tuple[int, int]:
    """The indices of two of n sorted, independent values between which their median lies with 95% confidence.

    This holds for any distribution, because the number of values below the median is binomial(n, 1/2). With fewer than
    FEWEST_ROUNDS values it gives the smallest and the largest, whose confidence is lower.
    """
    below, term = 0.0, 0.5**n
    k = 0
    while k < n // 2 and below + term <= (1 - LEVEL) / 2:
        below += term
        term *= (n - k) / (k + 1)
        k += 1
    first = max(0, k - 1)
    return first, n - 1 - first


@dataclass(frozen=True)
class Ratio:
    """How many times faster one row is than another, with the bounds of its 95% interval."""

    ratio: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 1, so that the rows differ."""
        return not self.low <= 1 <= self.high


def faster(base: Sequence[Sequence[float]], row: Sequence[Sequence[float]]) -> Ratio:
    """The time of `base` divided by the time of `row`, each a list of rounds in milliseconds.

    Rounds are compared in pairs. The two rounds of a pair were measured one after the other, so drift of the machine
    cancels out.
    """
    pairs = np.sort([np.median(b) / np.median(r) for b, r in zip(base, row, strict=False)])
    low, high = median_interval(len(pairs))
    return Ratio(float(np.median(pairs)), float(pairs[low]), float(pairs[high]))
