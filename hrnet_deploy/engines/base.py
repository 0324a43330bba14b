"""What an engine is: it opens a model, runs it on arrays, and describes itself. It knows nothing about tasks."""

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
    """An input or output of a model. An open axis of the shape is -1 or a name."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str  # of numpy


@dataclass(frozen=True)
class Source:
    """What an engine opens.

    Attributes:
        given_card: the card of the model; None for a file of another exporter, which has none.
        file: an ONNX file, or a plan that was built from one.
        checkpoint: for PyTorch, the weights.
        weights: "random" if PyTorch runs without a checkpoint.
        weights_key: which weights of the checkpoint, if it holds several.
    """

    given_card: ModelCard | None
    file: Path | None = None
    checkpoint: Path | None = None
    weights: Literal["trained", "random"] = "trained"
    weights_key: str = ""

    @property
    def card(self) -> ModelCard:
        """The card of the model. Raises BadInput if the file has none."""
        if self.given_card is None:
            raise BadInput(f"{self.file} has no model card — give it one with `hrnet-deploy adopt`")
        return self.given_card


class Engine(Protocol):
    """A model that has been opened.

    An engine that keeps several inferences in flight states their number in `info.in_flight` and
    `info.inferences_per_call`, and has a method `run_all` (see the function of that name). An engine that can time its
    layers has `layer_times`.

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
        """What the engine reports about itself. It is frozen: if something changes, the engine returns a new one."""

    def run(self, feeds: Feeds) -> Arrays:
        """Host arrays by name of the input -> host arrays by name of the output. Raises BadInput if the inputs do not
        fit."""

    def bind(self, feeds: Feeds) -> Callable[[], None]:
        """A function that computes on inputs that are already on the device, and leaves the outputs there.

        It makes `info.inferences_per_call` inferences.
        """

    def close(self) -> None:
        """Free the engine's resources. Nothing may be run afterwards."""


def batch_of(engine: Engine) -> int | None:
    """The fixed batch of an engine's input, or None if it is open."""
    first = engine.inputs[0].shape[0]
    return first if isinstance(first, int) and first > 0 else None


def run_all(engine: Engine, feeds: Sequence[Feeds]) -> list[Arrays]:
    """The outputs of several inputs, which are in flight together if the engine supports that."""
    together = getattr(engine, "run_all", None)
    return together(feeds) if together is not None else [engine.run(f) for f in feeds]


def run_rows(engine: Engine, feeds: Feeds, most: int = 32) -> Arrays:
    """Run any number of rows, whatever batch the engine is fixed to.

    If the batch is fixed, the last batch is filled up with copies of its last row, whose outputs are dropped.

    Args:
        engine: the engine.
        feeds: (n, ...) each.
        most: the largest batch if the batch is open.

    Returns:
        (n, ...) each; or a multiple of n rows, if an output has several rows per input.
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
    """The outputs of each sample, (passes, ...) each. Consecutive samples of the same size are computed together."""
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
    """Raise BadInput for inputs whose name, rank, size or type does not fit the model."""
    for spec in inputs:
        if spec.name not in feeds:
            raise BadInput(
                f"the model needs an input called {spec.name}, got {', '.join(feeds) or 'none'} — "
                "name the inputs as it does"
            )
        given = feeds[spec.name]
        fits = len(given.shape) == len(spec.shape) and all(
            not isinstance(want, int) or want < 0 or want == have
            for want, have in zip(spec.shape, given.shape, strict=False)
        )
        if not fits or str(given.dtype) != spec.dtype:
            raise BadInput(
                f"the model takes {spec.name} as {spec.dtype} {list(spec.shape)}, got {given.dtype} "
                f"{list(given.shape)} — "
                "export it with that --size and --batch, or with --dynamic"
            )
