"""Collect statistics of the activations of a graph on real inputs, in memory that does not grow with their number.

The bins of a histogram are the leading bits of a float32: its sign, its exponent and the first bits of its mantissa.
So one array of counts covers any range, at a resolution relative to the value. The range need not be known beforehand,
and an image with values a thousand times larger than the rest does not coarsen the bins of the rest.

Counts of several images add up, so an image can also be subtracted again by running it once more. This is how outlier
images are removed, whatever their position in the data set.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import DTypeLike, NDArray

from hrnet_deploy.errors import BadInput
from hrnet_deploy.fields import made
from hrnet_deploy.files import atomic_write

MANTISSA = 6  # bits of the mantissa in a bin: 64 bins per octave, each 0.8% to 1.6% of its value wide
LOWEST, OCTAVES = -24, 64  # magnitudes below 2**-24 count as zero, magnitudes above the last octave in the last bin
HALF = OCTAVES << MANTISSA
BINS = 2 * HALF + 1  # negative values, zero, positive values
SAMPLE = 65_536  # the most values per tensor and image that enter a histogram; minimum and maximum are of all values
MOST_TEXT = 2**28  # bytes of the names of all tensors and images in a file
KEEP_EVERY = 10.0  # seconds between two calls of `keep`, which is the most work that a killed process loses
SPREAD = 10.0  # an image is an outlier in a tensor if its peak is more than this many times the tensor's median peak
EVERYWHERE = 0.05  # an image that is an outlier in more than this share of the tensors is ignored in all of them

NamedInput = tuple[str, Mapping[str, NDArray]]  # the name of an image, and arrays by the names of the network's inputs
InputStream = Callable[[], Iterable[NamedInput]]  # every call starts again from the first input
Run = Callable[[Mapping[str, NDArray]], Sequence[NDArray]]


def histogram(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count values by bin.

    At most SAMPLE values are counted. They are evenly spaced in the array, by an odd step, so that no column of a
    feature map is left out. Only the upper 16 bits of a float32 decide its bin, and 16-bit values can be sorted by
    radix. This is several times faster than counting values in the order they come.

    Args:
        values: a flat, contiguous array without NaN.

    Returns:
        (BINS,) counts.
    """
    step = -(-len(values) // SAMPLE)
    halves = np.sort(values.view(np.uint16)[sys.byteorder == "little" :: 2 * (step | 1 if step > 1 else 1)])
    last = np.append(np.flatnonzero(halves[1:] != halves[:-1]), len(halves) - 1)  # the end of each run of equal values
    return np.bincount(_BIN_OF[halves[last]], np.diff(last, prepend=-1), BINS).astype(np.int64)


def _bins() -> NDArray[np.intp]:
    """(65536,) the bin of a float32 by its upper 16 bits."""
    magnitude = np.arange(1 << 16) & 0x7FFF
    index = np.clip((magnitude >> (7 - MANTISSA)) - ((127 + LOWEST) << MANTISSA) + 1, 0, HALF)
    return HALF + np.where(np.arange(1 << 16) >> 15, -index, index)


_BIN_OF = _bins()


def centres() -> NDArray[np.float64]:
    """(BINS,) the value in the middle of each bin."""
    edges = ((np.arange(HALF + 1, dtype=np.int64) + ((127 + LOWEST) << MANTISSA)) << (23 - MANTISSA)).astype(np.int32)
    values = edges.view(np.float32).astype(np.float64)
    positive = (values[:-1] + values[1:]) / 2
    return np.concatenate([-positive[::-1], [0.0], positive])


@dataclass
class Statistics:
    """A histogram of each tensor, and the minimum and maximum of each tensor on each input.

    Attributes:
        model: the sha256 of the ONNX file the tensors belong to.
        names: the names of the tensors.
        counts: (tensors, BINS) the histograms over all inputs.
        low: per input, (tensors,) the smallest values.
        high: per input, (tensors,) the largest values.
        done: per input, a key of the image's name and the digest of its arrays.
    """

    model: str
    names: tuple[str, ...]
    counts: NDArray[np.int64] = field(repr=False)
    low: list[NDArray[np.float32]] = field(default_factory=list)
    high: list[NDArray[np.float32]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, model: str, names: Sequence[str]) -> Statistics:
        """Statistics of these tensors before the first input."""
        return cls(model, tuple(names), np.zeros((len(names), BINS), np.int64))

    def add(self, key: str, tensors: Sequence[NDArray]) -> None:
        """Add the values of all tensors on one input.

        Raises:
            BadInput: a value is infinite or NaN. Nothing of this input is added then.
        """
        low, high = np.empty((2, len(self.names)), np.float32)
        fresh = []
        for t, tensor in enumerate(tensors):
            flat = np.ascontiguousarray(tensor, np.float32).ravel()
            low[t], high[t] = flat.min(), flat.max()
            fresh.append(histogram(flat))
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            bad = self.names[int(np.argmin(np.isfinite(low) & np.isfinite(high)))]
            raise BadInput(
                f"{key.rpartition(':')[0]} makes {bad} infinite or NaN — leave that image out, or check the checkpoint"
            )
        for row, counts in zip(self.counts, fresh, strict=True):
            row += counts
        self.low.append(low)
        self.high.append(high)
        self.done.append(key)

    @property
    def peaks(self) -> NDArray[np.float32]:
        """(inputs, tensors) the largest magnitudes."""
        return np.maximum(-np.stack(self.low), np.stack(self.high))

    @property
    def digest(self) -> str:
        """The sha256 of the calibration set. It depends on the inputs, not on their order."""
        return hashlib.sha256("\n".join(sorted(self.done)).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write a compressed `.npz` file, replacing an existing one."""
        meta = json.dumps({"model": self.model, "names": self.names, "done": self.done})
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez_compressed(
                file, meta=np.array(meta), counts=self.counts, low=np.array(self.low), high=np.array(self.high)
            )

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """Read what `save` wrote. Raises BadInput if the file holds something else."""
        try:
            with zipfile.ZipFile(path) as archive:
                meta = made(_Meta, json.loads(str(_array(archive, "meta", "U", ()))), "meta")
                seen = (len(meta.done), len(meta.names))
                counts = _array(archive, "counts", np.int64, (len(meta.names), BINS))
                none = [np.zeros(seen, np.float32)] * 2  # before the first input there are no extremes
                low, high = [_array(archive, n, np.float32, seen) for n in ("low", "high")] if meta.done else none
        except Exception as error:  # numpy and zlib raise unrelated types, and each of them means the same
            said = str(error) or type(error).__name__
            raise BadInput(
                f"{path} holds no calibration statistics ({said[:120]}) — delete it, or name another file"
            ) from error
        if (counts < 0).any() or not (np.isfinite(low) & np.isfinite(high) & (low <= high)).all():
            raise BadInput(f"{path} is damaged: its figures fit no activations — delete it, or name another file")
        return cls(meta.model, meta.names, counts, list(low), list(high), list(meta.done))


@dataclass(frozen=True)
class _Meta:
    """What a file of statistics says of its arrays: see `Statistics`."""

    model: str
    names: tuple[str, ...]
    done: tuple[str, ...]


def _array(archive: zipfile.ZipFile, name: str, kind: DTypeLike, shape: tuple[int, ...]) -> NDArray:
    """An array of an `.npz` file. Raises ValueError, before memory is taken for it, if it is of another shape or
    type."""
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        found, _, dtype = read(file)
    same = dtype.kind == "U" and dtype.itemsize <= MOST_TEXT if kind == "U" else dtype == np.dtype(kind)
    if found != shape or not same:
        raise ValueError(f"{name} is an array {found} of {dtype}, expected {shape}")
    with archive.open(f"{name}.npy") as file:
        made: NDArray = np.lib.format.read_array(file, allow_pickle=False)
        return made


@dataclass(frozen=True)
class CalibrationResult:
    """Statistics, and the same without outliers.

    Attributes:
        statistics: the statistics of all inputs.
        counts: (tensors, BINS) the histograms without the outliers.
        kept: (inputs, tensors) False if an input is an outlier.
        outliers: by the name of an image, the tensor in which it stands out most, and how many times that tensor's
            median peak it reaches.
    """

    statistics: Statistics
    counts: NDArray[np.int64]
    kept: NDArray[np.bool_]
    outliers: dict[str, tuple[str, float]]


def calibrate(
    statistics: Statistics,
    run: Run,
    inputs: InputStream,
    tick: Callable[[], None] = lambda: None,
    keep: Callable[[], None] = lambda: None,
) -> CalibrationResult:
    """Run the network on every input, add its activations to `statistics`, and remove the outliers.

    Inputs that `statistics` already holds are skipped, so an interrupted calibration continues where it stopped.

    Args:
        statistics: is added to in place.
        run: gives the tensors of `statistics.names` for the arrays of one input.
        inputs: starts the stream of inputs. Several inputs in a row may belong to one image.
        tick: is called once per image.
        keep: is called every KEEP_EVERY seconds, at the end and when interrupted, to save `statistics`.

    Raises:
        BadInput: `statistics` holds an input that is not in the stream, there is no input, or an activation is not
            finite.
    """
    done = set(statistics.done)
    if done and done - {_key(*i) for i in inputs()}:
        raise BadInput("the statistics in the file belong to other images — name another file, or give those images")
    try:
        _add_all(statistics, run, inputs, tick, keep)
    except KeyboardInterrupt:
        keep()
        raise
    if not statistics.done:
        raise BadInput("no calibration image has anything annotated — check the annotations")
    keep()
    return without_outliers(statistics, run, inputs)


def _add_all(
    statistics: Statistics, run: Run, inputs: InputStream, tick: Callable[[], None], keep: Callable[[], None]
) -> None:
    """Add every new input. The network runs in this thread while a second one adds the activations of the input before.

    Adding costs next to no time this way. An interrupt reaches this thread only, so it never leaves an input half
    added.
    """
    done = set(statistics.done)
    image, kept = "", time.monotonic()
    with ThreadPoolExecutor(1) as adder:
        adding: Future[None] | None = None
        for name, arrays in inputs():
            if name != image:
                tick()
                image = name
            key = _key(name, arrays)
            if key in done:
                continue
            tensors = run(arrays)
            if adding is not None:
                adding.result()
            if time.monotonic() - kept > KEEP_EVERY:
                keep()
                kept = time.monotonic()
            adding = adder.submit(statistics.add, key, tensors)
            del tensors
        if adding is not None:
            adding.result()


def without_outliers(statistics: Statistics, run: Run, inputs: InputStream) -> CalibrationResult:
    """Remove outlier images from the histograms, by running them once more and subtracting their counts.

    An image whose peak in a tensor is more than SPREAD times the tensor's median peak is ignored for that tensor. If
    this is so in more than EVERYWHERE of the tensors, the image is ignored for all of them, because its values are then
    likely to be too large in the other tensors as well, though by less than SPREAD.
    """
    peaks = statistics.peaks
    typical = np.array([np.median(p[p > 0]) if (p > 0).any() else 0.0 for p in peaks.T])
    kept = (peaks <= SPREAD * typical) | (typical == 0)
    kept[(~kept).mean(axis=1) > EVERYWHERE] = False
    kept[:, ~kept.any(axis=0)] = True  # if all inputs are outliers in a tensor, all are kept
    counts = statistics.counts.copy()
    outliers: dict[str, tuple[str, float]] = {}
    wild = {statistics.done[i]: i for i in np.flatnonzero(~kept.all(axis=1))}
    for name, arrays in inputs() if wild else ():
        index = wild.get(_key(name, arrays))
        if index is None:
            continue
        tensors = run(arrays)
        for t in np.flatnonzero(~kept[index]):
            counts[t] -= histogram(np.ascontiguousarray(tensors[int(t)], np.float32).ravel())
        ratio = peaks[index] / np.where(typical > 0, typical, np.inf)
        worst = int(ratio.argmax())
        if ratio[worst] > outliers.get(name, ("", 0.0))[1]:
            outliers[name] = (statistics.names[worst], float(ratio[worst]))
    return CalibrationResult(statistics, counts, kept, outliers)


def _key(name: str, arrays: Mapping[str, NDArray]) -> str:
    """What identifies an input: the image's name and a digest of the arrays."""
    return f"{name}:{hashlib.sha256(b''.join(v.tobytes() for v in arrays.values())).hexdigest()[:16]}"


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy of a model that has these float32 tensors as additional outputs. Inputs are not repeated as outputs."""
    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    have = {o.name for o in wider.graph.output} | {i.name for i in wider.graph.input}
    for name in names:
        if name not in have:
            wider.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return wider
