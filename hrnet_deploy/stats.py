"""What a list of times says. Nothing is clipped; a median comes with its interval.

Samples of one round are neighbours in time and not independent; rounds, which are seconds apart and have other rows
between them, nearly are. So intervals are taken over rounds.
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
# machine adds up floating-point numbers: this share of the figure, or this much where it is below 1.
COMPUTED_TOLERANCE = 1e-6
FEWEST_ROUNDS = 6  # fewer cannot bound a median at 95%
UNSTABLE = 0.10  # spread of the rounds' medians, over which a row is flagged


@dataclass(frozen=True)
class Summary:
    """Milliseconds. p50 is of all samples; low and high bound the rounds' median at 95%; cv is the standard deviation
    over the mean; spread is the interquartile range of the rounds' medians over their median."""

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
        return self.spread > UNSTABLE

    def differs(self, other: Summary) -> bool:
        """Whether the 95% intervals of the two medians lie apart. The two are of separate runs, so their rounds cannot
        be paired as `faster` pairs those of one run."""
        return self.high < other.low or other.high < self.low


def summarise(rounds: Sequence[Sequence[float]]) -> Summary:
    """All samples of all rounds, each a list of milliseconds."""
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
    """Indices into n sorted independent values that bound their median at 95%, whatever its distribution: the number
    of values below the median is binomial(n, 1/2). With fewer than six it is all there is, and bounds it less."""
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
    """How many times faster `row` is than `base`, with a 95% interval."""

    ratio: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        return not self.low <= 1 <= self.high


def faster(base: Sequence[Sequence[float]], row: Sequence[Sequence[float]]) -> Ratio:
    """base time over row time, paired by round: neighbours in time are compared, so drift of the machine cancels."""
    pairs = np.sort([np.median(b) / np.median(r) for b, r in zip(base, row, strict=False)])
    low, high = median_interval(len(pairs))
    return Ratio(float(np.median(pairs)), float(pairs[low]), float(pairs[high]))
