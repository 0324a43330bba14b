"""What values the tensors of a graph take on real input: running statistics, in memory that no image adds to.

A histogram's bins are the leading bits of a float32 (sign, exponent, first bits of the mantissa), so one array of
counts holds any range at a resolution relative to the value. Nothing has to be known beforehand, and an image a
thousand times larger than the rest leaves the resolution of the rest alone. Counts add up, so such an image can be
taken out again afterwards by running it once more: that is how outliers are dropped, whatever the order.
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
from numpy.typing import NDArray

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write

MANTISSA = 6  # bits: 64 bins an octave, each 1.6% to 0.8% of its value wide
LOWEST, OCTAVES = -24, 64  # magnitudes from 2**-24; below counts as zero, above in the last bin
HALF = OCTAVES << MANTISSA
BINS = 2 * HALF + 1  # negative values, zero, positive values
SAMPLE = 65_536  # values of a tensor that one image adds to its histogram; extremes are of all
KEEP_EVERY = 10.0  # seconds of work a killed run may lose
SPREAD = 10.0  # an image whose peak is over this many times a tensor's median peak says nothing of that tensor
EVERYWHERE = 0.05  # and where that is so of this share of the tensors, it says nothing of any

Feed = tuple[str, Mapping[str, NDArray]]  # the name of an image, and what the network takes, (passes, ...) each
Feeds = Callable[[], Iterable[Feed]]
Run = Callable[[Mapping[str, NDArray]], Sequence[NDArray]]


def histogram(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """(BINS,) counts of a flat contiguous array, of at most SAMPLE values of it, evenly spaced by a step that is odd,
    so that it meets every column.

    Only the leading half of a float32 decides its bin, and halves can be sorted by radix: several times faster than
    counting the values as they come, where equal ones in a row (a ReLU's zeros) wait for each other.
    """
    step = -(-len(values) // SAMPLE)
    halves = np.sort(values.view(np.uint16)[sys.byteorder == "little" :: 2 * (step | 1 if step > 1 else 1)])
    last = np.append(np.flatnonzero(halves[1:] != halves[:-1]), len(halves) - 1)  # of each run of equal ones
    return np.bincount(_BIN_OF[halves[last]], np.diff(last, prepend=-1), BINS).astype(np.int64)


def _bins() -> NDArray[np.intp]:
    """(65536,) the bin of every float32, by its leading half."""
    magnitude = np.arange(1 << 16) & 0x7FFF
    index = np.clip((magnitude >> (7 - MANTISSA)) - ((127 + LOWEST) << MANTISSA) + 1, 0, HALF)
    return HALF + np.where(np.arange(1 << 16) >> 15, -index, index)


_BIN_OF = _bins()


def centres() -> NDArray[np.float64]:
    """(BINS,) the middle of each bin."""
    edges = ((np.arange(HALF + 1, dtype=np.int64) + ((127 + LOWEST) << MANTISSA)) << (23 - MANTISSA)).astype(np.int32)
    values = edges.view(np.float32).astype(np.float64)
    positive = (values[:-1] + values[1:]) / 2
    return np.concatenate([-positive[::-1], [0.0], positive])


@dataclass
class Statistics:
    """Of each tensor: a histogram, and the extremes of each image. `done` names the inputs that are in."""

    model: str  # sha256 of the graph they are of
    names: tuple[str, ...]
    counts: NDArray[np.int64] = field(repr=False)  # (tensors, BINS)
    low: list[NDArray[np.float32]] = field(default_factory=list)  # (tensors,) an input
    high: list[NDArray[np.float32]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, model: str, names: Sequence[str]) -> Statistics:
        return cls(model, tuple(names), np.zeros((len(names), BINS), np.int64))

    def add(self, key: str, tensors: Sequence[NDArray]) -> None:
        low, high = np.empty((2, len(self.names)), np.float32)
        fresh = []
        for t, tensor in enumerate(tensors):
            flat = np.ascontiguousarray(tensor, np.float32).ravel()
            low[t], high[t] = flat.min(), flat.max()
            fresh.append(histogram(flat))
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            bad = self.names[int(np.argmin(np.isfinite(low) & np.isfinite(high)))]
            raise BadInput(
                f"{key.rpartition(':')[0]} makes {bad} infinite or NaN — leave that image out, or look at the checkpoint"
            )
        for row, counts in zip(self.counts, fresh, strict=True):
            row += counts
        self.low.append(low)
        self.high.append(high)
        self.done.append(key)

    @property
    def peaks(self) -> NDArray[np.float32]:
        """(inputs, tensors) largest magnitude."""
        return np.maximum(-np.stack(self.low), np.stack(self.high))

    @property
    def digest(self) -> str:
        """Of the calibration set: what the network was fed, in whatever order."""
        return hashlib.sha256("\n".join(sorted(self.done)).encode()).hexdigest()

    def save(self, path: Path) -> None:
        meta = json.dumps({"model": self.model, "names": self.names, "done": self.done})
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez_compressed(
                file, meta=np.array(meta), counts=self.counts, low=np.array(self.low), high=np.array(self.high)
            )

    @classmethod
    def load(cls, path: Path) -> Statistics:
        try:
            with np.load(path, allow_pickle=False) as saved:
                meta = json.loads(str(saved["meta"]))
                counts, low, high = saved["counts"], list(saved["low"]), list(saved["high"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BadInput(
                f"{path} holds no calibration statistics ({type(error).__name__}) — delete it, or name another file"
            ) from error
        if counts.shape != (len(meta["names"]), BINS) or not len(low) == len(high) == len(meta["done"]):
            raise BadInput(f"{path} is damaged or from another version — delete it, or name another file")
        return cls(meta["model"], tuple(meta["names"]), counts, low, high, meta["done"])


@dataclass(frozen=True)
class Calibrated:
    """Statistics without what was out of all proportion. `outliers` maps an image's name to the worst of its tensors
    and how many times that tensor's median peak it reached."""

    statistics: Statistics
    counts: NDArray[np.int64]  # (tensors, BINS)
    kept: NDArray[np.bool_]  # (inputs, tensors)
    outliers: dict[str, tuple[str, float]]


def calibrate(
    statistics: Statistics,
    run: Run,
    feeds: Feeds,
    tick: Callable[[], None] = lambda: None,
    keep: Callable[[], None] = lambda: None,
) -> Calibrated:
    """Feed a network's inputs one at a time into `statistics`, those it holds already excepted, then take out what
    is out of all proportion. `run` gives the tensors of `statistics.names`; `tick` is called at each image, `keep` now and
    then and when interrupted, to save."""
    done = set(statistics.done)
    if done and done - {_key(*f) for f in feeds()}:
        raise BadInput("the statistics kept are of other images — name another file, or give the images they are of")
    try:
        _add_all(statistics, run, feeds, tick, keep)
    except KeyboardInterrupt:
        keep()
        raise
    if not statistics.done:
        raise BadInput("no image to calibrate on has anything on it — check the annotations")
    keep()
    return without_outliers(statistics, run, feeds)


def _add_all(
    statistics: Statistics, run: Run, feeds: Feeds, tick: Callable[[], None], keep: Callable[[], None]
) -> None:
    """One thread runs the network, another adds up what it gave the time before: it costs next to no time, and no
    interrupt, which reaches the main thread alone, leaves an input half added."""
    done = set(statistics.done)
    image, kept = "", time.monotonic()
    with ThreadPoolExecutor(1) as adder:
        adding: Future[None] | None = None
        for name, feed in feeds():
            if name != image:
                tick()
                image = name
            key = _key(name, feed)
            if key in done:
                continue
            tensors = run(feed)
            if adding is not None:
                adding.result()
            if time.monotonic() - kept > KEEP_EVERY:
                keep()
                kept = time.monotonic()
            adding = adder.submit(statistics.add, key, tensors)
            del tensors
        if adding is not None:
            adding.result()


def without_outliers(statistics: Statistics, run: Run, feeds: Feeds) -> Calibrated:
    """Where an input's peak in a tensor is over SPREAD times the tensor's median peak, it is taken out of that tensor;
    where that holds for many tensors, out of all: in some of them it will be large without being out of proportion."""
    peaks = statistics.peaks
    typical = np.array([np.median(p[p > 0]) if (p > 0).any() else 0.0 for p in peaks.T])
    kept = (peaks <= SPREAD * typical) | (typical == 0)
    kept[(~kept).mean(axis=1) > EVERYWHERE] = False
    kept[:, ~kept.any(axis=0)] = True  # a tensor nothing else is known of
    counts = statistics.counts.copy()
    outliers: dict[str, tuple[str, float]] = {}
    wild = {statistics.done[i]: i for i in np.flatnonzero(~kept.all(axis=1))}
    for name, feed in feeds() if wild else ():
        index = wild.get(_key(name, feed))
        if index is None:
            continue
        tensors = run(feed)
        for t in np.flatnonzero(~kept[index]):
            counts[t] -= histogram(np.ascontiguousarray(tensors[int(t)], np.float32).ravel())
        ratio = peaks[index] / np.where(typical > 0, typical, np.inf)
        worst = int(ratio.argmax())
        if ratio[worst] > outliers.get(name, ("", 0.0))[1]:
            outliers[name] = (statistics.names[worst], float(ratio[worst]))
    return Calibrated(statistics, counts, kept, outliers)


def _key(name: str, feed: Mapping[str, NDArray]) -> str:
    return f"{name}:{hashlib.sha256(b''.join(v.tobytes() for v in feed.values())).hexdigest()[:16]}"


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy of a model that gives these tensors too."""
    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    have = {o.name for o in wider.graph.output} | {i.name for i in wider.graph.input}
    for name in names:
        if name not in have:
            wider.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return wider
