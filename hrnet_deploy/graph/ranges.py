"""Calibration methods: from statistics to the range of each tensor, and from a range to scale and zero point.

A range always includes zero, so that zero (padding, the output of an inactive ReLU) is represented exactly.

minmax      from the smallest to the largest value seen
average     the mean over images of the smallest and of the largest value (what a moving average converges to)
percentile  the interval that holds all but 0.001% of the values
mse         the range with the smallest expected squared error, which weighs clipping the tails against coarser rounding
entropy     the range that loses least information by Kullback-Leibler divergence, as in TensorRT's entropy calibrator
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.graph.calibrate import BINS, CalibrationResult, centres

Counts = NDArray[np.int64]
Range = tuple[float, float]
SMALLEST = 1e-6  # a narrower range belongs to a tensor that is always zero; this floor keeps its scale above zero
PERCENTILE = 99.999  # the share of values, in percent, that the percentile method keeps
_CENTRES = centres()
_WIDTHS = np.gradient(_CENTRES)


@dataclass(frozen=True)
class Grid:
    """The integers a tensor is rounded to: `low` to `high`, both included. A symmetric grid has a zero point of 0."""

    low: int
    high: int
    symmetric: bool

    @property
    def levels(self) -> int:
        """The number of steps from the lowest integer to the highest."""
        return self.high - self.low


U8, S8 = Grid(0, 255, symmetric=False), Grid(-127, 127, symmetric=True)


def scale_of(low: float, high: float, grid: Grid) -> tuple[np.float32, int]:
    """Scale and zero point that map the range [low, high], extended to include zero, to a grid.

    The scale is never zero, infinite or NaN if the range is finite.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if grid.symmetric:
        return np.float32(max(-low, high, SMALLEST / 2) / grid.high), 0
    scale = np.float32(max(high - low, SMALLEST) / grid.levels)
    return scale, int(np.clip(round(grid.low - low / float(scale)), grid.low, grid.high))


def ranges(calibrated: CalibrationResult, method: str, grid: Grid) -> tuple[dict[str, Range], list[str]]:
    """The range of every tensor, and the names of the tensors that are zero on all images.

    Args:
        calibrated: what `calibrate` gave.
        method: one of METHODS.
        grid: the integers to round to.
    """
    found, all_zero = {}, []
    lows, highs = np.stack(calibrated.statistics.low), np.stack(calibrated.statistics.high)
    for t, name in enumerate(calibrated.statistics.names):
        keep = calibrated.kept[:, t]
        low, high = METHODS[method](calibrated.counts[t], lows[keep, t], highs[keep, t], grid)
        found[name] = min(float(low), 0.0), max(float(high), 0.0)
        if found[name][1] - found[name][0] < SMALLEST:
            all_zero.append(name)
    return found, all_zero


# Every method takes (BINS,) counts, the (images,) smallest and largest values, and the grid, and gives a range.


def minmax(_: Counts, low: NDArray, high: NDArray, __: Grid) -> Range:
    """From the smallest to the largest value."""
    return low.min(), high.max()


def average(_: Counts, low: NDArray, high: NDArray, __: Grid) -> Range:
    """The mean of the images' smallest values to the mean of their largest."""
    return low.mean(), high.mean()


def percentile(counts: Counts, low: NDArray, high: NDArray, _: Grid, share: float = PERCENTILE) -> Range:
    """The interval that holds `share` percent of the values. Half of the others lie below it, half above.

    After a ReLU the lower bound is zero, so only the upper half is cut.
    """
    cumulative = np.cumsum(counts)
    tail = cumulative[-1] * (1 - share / 100) / 2
    first = int(np.searchsorted(cumulative, tail, side="right"))
    last = int(np.searchsorted(cumulative, cumulative[-1] - tail, side="left"))
    return max(_CENTRES[first], low.min()), min(_CENTRES[last], high.max())


def mse(counts: Counts, low: NDArray, high: NDArray, grid: Grid) -> Range:
    """The range with the smallest expected squared error.

    Both ends are scaled by the same factor first, then each end alone, by factors from 0.2 to 1.
    """
    best = (float(min(low.min(), 0.0)), float(max(high.max(), 0.0)))
    used = np.flatnonzero(counts)
    values, widths, weights = _CENTRES[used], _WIDTHS[used], counts[used]
    shrink = np.linspace(0.2, 1.0, 81)
    ends = [(1, 1)] if grid.symmetric else [(1, 1), (1, 0), (0, 1)]
    for moves_low, moves_high in ends:
        tried = [(best[0] * (s if moves_low else 1), best[1] * (s if moves_high else 1)) for s in shrink]
        best = min(tried, key=lambda r: squared_error(values, widths, weights, *scale_of(r[0], r[1], grid), grid))
    return best


def squared_error(
    values: NDArray, widths: NDArray, weights: NDArray, scale: np.float32, zero: int, grid: Grid
) -> float:
    """The expected squared error of rounding and clipping a histogram, summed over its values.

    In a bin wider than one step of the grid, values are taken to be spread evenly, with an error of step²/12.

    Args:
        values: (k,) the centres of the bins.
        widths: (k,) their widths.
        weights: (k,) their counts.
        scale: the step of the grid.
        zero: its zero point.
        grid: its integers.
    """
    step = float(scale)
    levels = np.round(values / step) + zero
    rounded = (np.clip(levels, grid.low, grid.high) - zero) * step
    error = (values - rounded) ** 2
    inside = (levels >= grid.low) & (levels <= grid.high) & (widths > step)
    return float(weights @ np.where(inside, step**2 / 12, error))


def entropy(counts: Counts, low: NDArray, high: NDArray, grid: Grid, bins: int = 2048, levels: int = 128) -> Range:
    """The range that clips magnitudes where the least information is lost.

    Every threshold is tried that is a multiple of 1/128 of the largest magnitude, from `levels` bins on. The
    information lost is the divergence between the clipped distribution and the same distribution on `levels` levels.

    Args:
        counts, low, high, grid: as every method takes them. The grid makes no difference.
        bins: the number of bins of equal width that magnitudes are counted in.
        levels: the number of levels of the quantized distribution.
    """
    lowest, highest = float(min(low.min(), 0.0)), float(max(high.max(), 0.0))
    peak = max(-lowest, highest)
    if peak < SMALLEST:
        return lowest, highest
    magnitudes = _linear(counts, peak, bins)
    magnitudes[0] = 0  # zeros are represented exactly with every range
    if not magnitudes.any():
        return lowest, highest
    best, threshold = np.inf, bins
    for end in range(levels, bins + 1, bins // 128):
        lost = _divergence(magnitudes, end, levels)
        if lost < best:
            best, threshold = lost, end
    limit = peak * threshold / bins
    return max(lowest, -limit), min(highest, limit)


def _linear(counts: Counts, peak: float, bins: int) -> NDArray[np.float64]:
    """(bins,) counts of magnitudes up to `peak` in bins of equal width.

    The counts of each bin of the histogram are spread evenly over its width.
    """
    half = BINS // 2
    both = counts[half + 1 :] + counts[:half][::-1]
    centre, width = _CENTRES[half + 1 :], _WIDTHS[half + 1 :]
    edges = np.concatenate([[0.0], centre + width / 2])
    cumulative = np.concatenate([[0.0], np.cumsum(both)])
    at = np.interp(np.linspace(0, peak, bins + 1), edges, cumulative)
    at[-1] = cumulative[-1]
    result = np.diff(at)
    result[0] += counts[half]
    return result


def _divergence(magnitudes: NDArray[np.float64], end: int, levels: int) -> float:
    """The KL divergence between a distribution clipped to its first `end` bins and the same on `levels` levels."""
    p = magnitudes[:end].copy()
    q = p.copy()
    p[-1] += magnitudes[end:].sum()
    groups = np.arange(end) * levels // end
    present = q > 0
    share = np.bincount(groups, q, levels) / np.maximum(np.bincount(groups, present, levels), 1)
    q = np.where(present, share[groups], 0.0)
    if p.sum() == 0 or q.sum() == 0:
        return np.inf
    p, q = p / p.sum(), q / q.sum()
    both = p > 0
    return float((p[both] * np.log(p[both] / np.maximum(q[both], 1e-9))).sum())


METHODS: dict[str, Callable[[Counts, NDArray, NDArray, Grid], Range]] = {
    "minmax": minmax,
    "average": average,
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
}
