"""From calibration statistics to the range each tensor is quantized over, and from a range to scale and zero point.

A range always holds zero, so that zero (padding, a all_zero ReLU) is exact.

minmax      what was seen
average     the mean of each image's extremes (what a moving average over many images tends to)
percentile  what all but 0.001% of the values lie in
mse         the least expected squared error: clipping the tail against rounding the rest
entropy     the least information lost, by Kullback-Leibler divergence (as TensorRT's calibrator of that name)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.graph.calibrate import BINS, Calibrated, centres

Counts = NDArray[np.int64]
Range = tuple[float, float]
SMALLEST = 1e-6  # a range narrower than this is of a tensor that is all_zero: a floor keeps its scale a number
PERCENTILE = 99.999
_CENTRES = centres()
_WIDTHS = np.gradient(_CENTRES)


@dataclass(frozen=True)
class Grid:
    """The integers a tensor is rounded to."""

    low: int
    high: int
    symmetric: bool  # zero point 0

    @property
    def levels(self) -> int:
        return self.high - self.low


U8, S8 = Grid(0, 255, symmetric=False), Grid(-127, 127, symmetric=True)


def scale_of(low: float, high: float, grid: Grid) -> tuple[np.float32, int]:
    """Scale and zero point that put [low, high], widened to hold zero, on a grid. Never zero, infinite or NaN."""
    low, high = min(low, 0.0), max(high, 0.0)
    if grid.symmetric:
        return np.float32(max(-low, high, SMALLEST / 2) / grid.high), 0
    scale = np.float32(max(high - low, SMALLEST) / grid.levels)
    return scale, int(np.clip(round(grid.low - low / float(scale)), grid.low, grid.high))


def ranges(calibrated: Calibrated, method: str, grid: Grid) -> tuple[dict[str, Range], list[str]]:
    """The range of every tensor by one of METHODS, and the names of tensors that were all_zero on all images."""
    found, all_zero = {}, []
    lows, highs = np.stack(calibrated.statistics.low), np.stack(calibrated.statistics.high)
    for t, name in enumerate(calibrated.statistics.names):
        keep = calibrated.kept[:, t]
        low, high = METHODS[method](calibrated.counts[t], lows[keep, t], highs[keep, t], grid)
        found[name] = min(float(low), 0.0), max(float(high), 0.0)
        if found[name][1] - found[name][0] < SMALLEST:
            all_zero.append(name)
    return found, all_zero


def minmax(_: Counts, low: NDArray, high: NDArray, __: Grid) -> Range:
    return low.min(), high.max()


def average(_: Counts, low: NDArray, high: NDArray, __: Grid) -> Range:
    return low.mean(), high.mean()


def percentile(counts: Counts, low: NDArray, high: NDArray, _: Grid, share: float = PERCENTILE) -> Range:
    """Each tail loses half of the rest, where there is a tail: a ReLU has one."""
    cumulative = np.cumsum(counts)
    tail = cumulative[-1] * (1 - share / 100) / 2
    first = int(np.searchsorted(cumulative, tail, side="right"))
    last = int(np.searchsorted(cumulative, cumulative[-1] - tail, side="left"))
    return max(_CENTRES[first], low.min()), min(_CENTRES[last], high.max())


def mse(counts: Counts, low: NDArray, high: NDArray, grid: Grid) -> Range:
    """Both ends shrunk together, then each alone."""
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
    """Expected squared rounding and clipping error of a histogram. Bins wider than a step hold every remainder alike."""
    step = float(scale)
    levels = np.round(values / step) + zero
    rounded = (np.clip(levels, grid.low, grid.high) - zero) * step
    error = (values - rounded) ** 2
    inside = (levels >= grid.low) & (levels <= grid.high) & (widths > step)
    return float(weights @ np.where(inside, step**2 / 12, error))


def entropy(counts: Counts, low: NDArray, high: NDArray, grid: Grid, bins: int = 2048, levels: int = 128) -> Range:
    """The magnitude at which clipping loses the least: the distribution's divergence from itself on `levels` levels."""
    lowest, highest = float(min(low.min(), 0.0)), float(max(high.max(), 0.0))
    peak = max(-lowest, highest)
    if peak < SMALLEST:
        return lowest, highest
    magnitudes = _linear(counts, peak, bins)
    magnitudes[0] = 0  # exact zeros are exact whatever the range
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
    """Magnitudes in bins of one width up to `peak`: each bin's count spread evenly over where it lies."""
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
    """KL divergence of the first `end` bins, the rest put on the last, from what `levels` levels keep of them."""
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
