"""Histograms, calibration methods and scales agree with plain numpy on the raw values; outliers are removed exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph import ranges
from hrnet_deploy.graph.calibrate import (
    BINS,
    HALF,
    LOWEST,
    MANTISSA,
    CalibrationResult,
    NamedInput,
    Statistics,
    calibrate,
    centres,
    histogram,
)
from hrnet_deploy.graph.ranges import S8, U8, Grid, scale_of

RELU, SIGNED = "relu", "signed"


def drawn(number: int, seed: int = 0, count: int = 20_000) -> list[NDArray[np.float32]]:
    """Two tensors of one image: half-normal values with zeros, as after a ReLU, and signed values with heavy tails."""
    rng = np.random.default_rng([seed, number])
    return [
        np.maximum(rng.standard_normal(count), 0).astype(np.float32),
        (0.5 + rng.standard_t(5, count)).astype(np.float32),
    ]


def inputs_of(count: int, scaled: dict[int, float] | None = None) -> list[NamedInput]:
    """Inputs that hold the number of an image and the factor its tensors are multiplied by."""
    return [(f"{i}.png", {"x": np.array([i, (scaled or {}).get(i, 1.0)], np.float32)}) for i in range(count)]


def run(arrays: Mapping[str, NDArray]) -> list[NDArray[np.float32]]:
    number, factor = arrays["x"]
    return [t * factor for t in drawn(int(number))]


def calibrated(inputs: list[NamedInput]) -> CalibrationResult:
    return calibrate(Statistics.empty("digest", (RELU, SIGNED)), run, lambda: inputs)


def test_a_histogram_keeps_every_value_at_a_relative_resolution() -> None:
    rng = np.random.default_rng(0)
    values = (rng.standard_normal(50_000) * 10.0 ** rng.uniform(-5, 8, 50_000)).astype(np.float32)
    counts = histogram(values)
    assert counts.sum() == len(values)
    for value in values[:500]:
        (index,) = np.flatnonzero(histogram(np.array([value])))
        assert abs(centres()[index] / value - 1) < 1 / 64


def test_zero_and_very_small_values_share_the_middle_bin() -> None:
    counts = histogram(np.array([0.0, -0.0, 1e-30, -1e-30], np.float32))
    assert counts[BINS // 2] == 4


@pytest.mark.parametrize("count", [1, 1000, 65_536, 65_537, 300_000])
def test_a_large_tensor_is_sampled_by_an_odd_step(count: int) -> None:
    values = np.maximum(np.random.default_rng(count).standard_normal(count), -0.5).astype(np.float32)
    step = 1 if count <= 65_536 else -(-count // 65_536) | 1
    edges = np.append(
        (np.arange(HALF + 1) + ((127 + LOWEST) << MANTISSA) << 23 - MANTISSA).astype(np.int32).view(np.float32)[:-1],
        np.inf,
    )
    bins = np.digitize(np.abs(values[::step]), edges)
    want = np.bincount(HALF + np.where(values[::step] < 0, -bins, bins), minlength=BINS)
    assert np.array_equal(histogram(values), want)


def test_very_large_values_are_counted_in_the_outermost_bins() -> None:
    counts = histogram(np.array([3e38, -3e38], np.float32))
    assert counts[-1] == counts[0] == 1


@pytest.mark.parametrize("grid", [U8, S8])
@pytest.mark.parametrize("method", ranges.METHODS)
def test_each_method_agrees_with_numpy_on_the_raw_values(method: str, grid: Grid) -> None:
    inputs = inputs_of(8)
    found, all_zero = ranges.ranges(calibrated(inputs), method, grid)
    assert not all_zero
    for t, name in enumerate((RELU, SIGNED)):
        raw = np.stack([run(arrays)[t] for _, arrays in inputs])
        low, high = found[name]
        if method == "minmax":
            assert (low, high) == (min(raw.min(), 0), raw.max())
        elif method == "average":
            assert (low, high) == pytest.approx((min(raw.min(axis=1).mean(), 0), raw.max(axis=1).mean()))
        elif method == "percentile":
            tail = (1 - ranges.PERCENTILE / 100) / 2
            want = np.quantile(raw, [tail, 1 - tail], method="inverted_cdf")
            assert (low, high) == pytest.approx((min(want[0], 0), want[1]), rel=1 / 64)
        elif method == "mse":
            best = min(
                error(raw, raw.min() * a, raw.max() * b, grid)
                for a in np.linspace(0.2, 1, 33)
                for b in np.linspace(0.2, 1, 33)
            )
            assert error(raw, low, high, grid) <= 1.03 * best
        else:
            assert method == "entropy"
            peak = np.abs(raw).max()
            best = min(divergence(raw, peak * end / 2048) for end in range(128, 2049, 64))
            assert divergence(raw, max(-low, high)) <= 1.1 * best


def error(raw: NDArray, low: float, high: float, grid: Grid) -> float:
    scale, zero = scale_of(low, high, grid)
    levels = np.clip(np.round(raw / scale) + zero, grid.low, grid.high)
    return float((((levels - zero) * scale - raw) ** 2).sum())


def divergence(raw: NDArray, threshold: float, bins: int = 2048, levels: int = 128) -> float:
    """The information lost by clipping at a threshold, as TensorRT describes it, on a histogram of raw values."""
    peak = np.abs(raw).max()
    counts, _ = np.histogram(np.abs(raw), bins, (0, peak))
    counts[0] = 0
    end = round(threshold / peak * bins)
    p = counts[:end].astype(float)
    p[-1] += counts[end:].sum()
    q = np.zeros(end)
    for chunk in np.array_split(np.arange(end), levels):
        part = counts[chunk].astype(float)
        if part.any():
            q[chunk[part > 0]] = part.sum() / (part > 0).sum()
    p, q = p / p.sum(), q / q.sum()
    return float(sum(a * np.log(a / max(b, 1e-9)) for a, b in zip(p, q, strict=True) if a > 0))


@pytest.mark.parametrize("at", [0, 3, 15])
def test_an_image_a_thousand_times_larger_is_named_and_changes_nothing(at: int) -> None:
    """This holds wherever the image comes, even first, when there is nothing to compare it with."""
    wild = calibrated(inputs_of(16, {at: 1000.0}))
    assert list(wild.outliers) == [f"{at}.png"]
    tensor, times = wild.outliers[f"{at}.png"]
    assert tensor in (RELU, SIGNED) and times > 300
    clean = calibrated([f for i, f in enumerate(inputs_of(16)) if i != at])
    assert not clean.outliers
    assert np.array_equal(wild.counts, clean.counts)
    for method in ranges.METHODS:
        assert ranges.ranges(wild, method, U8) == ranges.ranges(clean, method, U8)


def test_an_outlier_in_one_tensor_counts_in_the_others() -> None:
    names = tuple(f"t{i}" for i in range(40))

    def forty(arrays: Mapping[str, NDArray]) -> list[NDArray[np.float32]]:
        tensors = [drawn(int(arrays["x"][0]), seed=i, count=500)[1] for i in range(40)]
        tensors[7] = tensors[7] * arrays["x"][1]
        return tensors

    inputs = inputs_of(8, {2: 1000.0})
    found = calibrate(Statistics.empty("d", names), forty, lambda: inputs)
    assert not found.kept[2, 7]
    assert found.kept.sum() == found.kept.size - 1
    assert found.outliers["2.png"][0] == "t7"


def test_an_interrupted_calibration_continues_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "statistics.npz"
    first = Statistics.empty("digest", (RELU, SIGNED))
    calibrate(first, run, lambda: inputs_of(5), keep=lambda: first.save(path))
    resumed = Statistics.load(path)
    ran: list[int] = []

    def watched(arrays: Mapping[str, NDArray]) -> list[NDArray[np.float32]]:
        ran.append(int(arrays["x"][0]))
        return run(arrays)

    calibrate(resumed, watched, lambda: inputs_of(8))
    assert ran == [5, 6, 7]
    whole = calibrated(inputs_of(8)).statistics
    assert np.array_equal(resumed.counts, whole.counts)
    assert resumed.digest == whole.digest
    assert np.array_equal(resumed.peaks, whole.peaks)


def test_ctrl_c_keeps_what_was_added(tmp_path: Path) -> None:
    """The interrupt comes while the other thread adds an image. That image is added completely."""
    path = tmp_path / "statistics.npz"
    first = Statistics.empty("digest", (RELU, SIGNED))

    def interrupted(arrays: Mapping[str, NDArray]) -> list[NDArray[np.float32]]:
        if arrays["x"][0] == 5:
            raise KeyboardInterrupt
        return run(arrays)

    with pytest.raises(KeyboardInterrupt):
        calibrate(first, interrupted, lambda: inputs_of(8), keep=lambda: first.save(path))
    resumed = Statistics.load(path)
    assert len(resumed.done) == 5
    calibrate(resumed, run, lambda: inputs_of(8))
    assert np.array_equal(resumed.counts, calibrated(inputs_of(8)).statistics.counts)


def test_statistics_of_other_images_are_not_mixed_in() -> None:
    kept = calibrated(inputs_of(5)).statistics
    with pytest.raises(BadInput, match="belong to other images"):
        calibrate(kept, run, lambda: inputs_of(5, {1: 2.0}))
    assert len(kept.done) == 5


def test_the_digest_depends_on_the_inputs() -> None:
    assert calibrated(inputs_of(4)).statistics.digest != calibrated(inputs_of(4, {1: 1.5})).statistics.digest


def test_memory_does_not_grow_with_the_images() -> None:
    few, many = (calibrated(inputs_of(n)).statistics for n in (4, 32))
    assert few.counts.nbytes == many.counts.nbytes
    assert sum(v.nbytes for v in (*many.low, *many.high)) == 32 * 2 * 2 * 4  # two float32 extremes per tensor and image


@pytest.mark.parametrize("content", [b"", b"not numpy", b"PK\x03\x04 truncated"])
def test_a_file_without_statistics_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "statistics.npz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="holds no calibration statistics"):
        Statistics.load(path)


def test_an_image_that_makes_a_tensor_infinite_is_named() -> None:
    with pytest.raises(BadInput, match=r"2\.png makes relu infinite or NaN"), np.errstate(invalid="ignore"):
        calibrated(inputs_of(4, {2: float("inf")}))


def test_a_tensor_that_is_always_zero_gets_a_smallest_range_and_is_named() -> None:
    all_zero = calibrate(Statistics.empty("d", ("dead",)), lambda _: [np.zeros(10, np.float32)], lambda: inputs_of(3))
    for method in ranges.METHODS:
        found, names = ranges.ranges(all_zero, method, U8)
        assert names == ["dead"]
        scale, zero = scale_of(*found["dead"], U8)
        assert 0 < scale < 1 and zero == 0


@pytest.mark.parametrize("grid", [U8, S8, Grid(-64, 64, symmetric=True)])
def test_scale_and_zero_point_put_a_range_on_the_grid(grid: Grid) -> None:
    rng = np.random.default_rng(0)
    bounds = rng.standard_normal((500, 2)) * 10.0 ** rng.uniform(-8, 8, (500, 1))
    for low, high in [*np.sort(bounds, axis=1), (0.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (2.0, 3.0), (-3.0, -2.0)]:
        scale, zero = scale_of(float(low), float(high), grid)
        assert np.isfinite(scale) and scale > 0
        assert grid.low <= zero <= grid.high
        assert not grid.symmetric or zero == 0
        for end in (min(low, 0.0), 0.0, max(high, 0.0)):
            level = np.clip(np.round(end / scale) + zero, grid.low, grid.high)
            assert abs((level - zero) * scale - end) <= 0.5001 * scale + 1e-6 * abs(end)
        assert (np.clip(np.round(0.0 / scale) + zero, grid.low, grid.high) - zero) * scale == 0.0
