"""What an engine is: it opens a model, runs arrays, and says what it is. It knows nothing of tasks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import EngineInfo

Feeds = Mapping[str, NDArray]
Arrays = dict[str, NDArray]


@dataclass(frozen=True)
class TensorSpec:
    """An input or output: -1 or a name where an axis is open."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str  # of numpy


@dataclass(frozen=True)
class Source:
    """What an engine opens: an ONNX file or what an engine built of one, and for PyTorch the network with a
    checkpoint's weights or random ones."""

    card: ModelCard
    file: Path | None = None
    checkpoint: Path | None = None
    weights: Literal["trained", "random"] = "trained"


class Engine(Protocol):
    """A model that has been opened.

    An engine that keeps several inferences in flight says so in `info.in_flight` and `info.inferences_per_call`, and then
    also has a method `run_all` (see the function of that name). An engine that can time its layers has `layer_times`.

    Attributes:
        name: the engine's name in the registry, without options.
        device: "cpu" or "cuda".
        inputs, outputs: the tensors of the model.
    """

    name: str
    device: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def info(self) -> EngineInfo:
        """What the engine says of itself. It is frozen: an engine gives another one when something has changed."""

    def run(self, feeds: Feeds) -> Arrays:
        """Host arrays in, host arrays out."""

    def bind(self, feeds: Feeds) -> Callable[[], None]:
        """A call that computes once on inputs already where the engine wants them, leaving outputs there."""

    def close(self) -> None: ...


def batch_of(engine: Engine) -> int | None:
    """The batch an engine's input is fixed to, or None where it is open."""
    first = engine.inputs[0].shape[0]
    return first if isinstance(first, int) and first > 0 else None


def run_all(engine: Engine, feeds: Sequence[Feeds]) -> list[Arrays]:
    """The outputs of several inputs: in flight together where the engine can, else one after the other."""
    together = getattr(engine, "run_all", None)
    return together(feeds) if together is not None else [engine.run(f) for f in feeds]


def run_rows(engine: Engine, feeds: Feeds, most: int = 32) -> Arrays:
    """Any number of rows through an engine, whatever batch it is fixed to.

    feeds: (n, ...) each, split into batches; the last one of a fixed batch is filled up with its own last row, and
    what that gives is dropped. A result may have several rows an input (a tensor of regions).
    """
    fixed = batch_of(engine)
    rows = len(next(iter(feeds.values())))
    parts: list[Arrays] = []
    for start in range(0, rows, fixed or most):
        count = min(rows - start, fixed or most)
        chunk = {k: v[start : start + count] for k, v in feeds.items()}
        if fixed and count < fixed:
            chunk = {k: np.concatenate([v, np.repeat(v[-1:], fixed - count, axis=0)]) for k, v in chunk.items()}
        size = fixed or count
        parts.append({k: v[: len(v) * count // size] for k, v in engine.run(chunk).items()})
    if len(parts) == 1:
        return parts[0]
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}


def run_samples(engine: Engine, feeds: Sequence[Feeds]) -> list[Arrays]:
    """The outputs of each sample, (its passes, ...); neighbours of one size are computed together."""
    results: list[Arrays] = []
    for _, same in itertools.groupby(feeds, key=lambda f: [(k, v.shape[1:]) for k, v in f.items()]):
        group = list(same)
        joined = {k: np.concatenate([f[k] for f in group]) for k in group[0]}
        results += _split(run_rows(engine, joined), [len(next(iter(f.values()))) for f in group])
    return results


def _split(outputs: Arrays, counts: Sequence[int]) -> Iterator[Arrays]:
    start = 0
    for count in counts:
        yield {k: v[start : start + count] for k, v in outputs.items()}
        start += count


def check_feeds(inputs: Sequence[TensorSpec], feeds: Feeds) -> None:
    """Refuse a feed whose name, rank, size or type the model was not made for."""
    for spec in inputs:
        if spec.name not in feeds:
            raise BadInput(f"the model wants an input called {spec.name}, got {', '.join(feeds) or 'none'}")
        given = feeds[spec.name]
        fits = len(given.shape) == len(spec.shape) and all(
            not isinstance(want, int) or want < 0 or want == have
            for want, have in zip(spec.shape, given.shape, strict=False)
        )
        if not fits or str(given.dtype) != spec.dtype:
            raise BadInput(
                f"the model takes {spec.name} as {spec.dtype} {list(spec.shape)}, got {given.dtype} {list(given.shape)} — "
                "export it with that --size and --batch, or with --dynamic"
            )
