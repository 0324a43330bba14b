"""Runs of a graph of another exporter, with which the file that was made of it is compared."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.architecture import IMAGE_SIZE, INPUT
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Arrays, Engine, Source
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.foreign.adoption import Understood, feed_of, probe, wanted_of
from hrnet_deploy.parity import TensorComparison
from hrnet_deploy.results.figures import TensorFigures
from hrnet_deploy.tasks.base import Feed

if TYPE_CHECKING:
    import onnxruntime


class WholeInput:
    """An engine that is told that nothing of its input is padding, as a file of another exporter takes it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, feeds: Feed) -> Arrays:
        if IMAGE_SIZE not in feeds:
            return self._engine.run(feeds)
        whole = np.tile(np.array(feeds[INPUT].shape[2:], np.float32), (len(feeds[INPUT]), 1))
        return self._engine.run({**feeds, IMAGE_SIZE: whole})


@dataclass(frozen=True)
class Sample:
    """One run of the source: what its network read, and what it gave, by the names in `Understood.ends`."""

    prepared: NDArray[np.float32]
    given: Feed


def settled(understood: Understood, path: Path) -> tuple[Understood, list[Sample], list[TensorFigures]]:
    """Run the source on seeded values: on one row and, if its batch is open, on two.

    A graph may declare an open batch and still compute with a batch of one; its batch is then fixed.

    Returns:
        What was understood, the runs, and how far the preparation of images inside the graph is from the card's.
    """
    session = _session(understood, path)
    comparison = TensorComparison()
    samples: list[Sample] = []
    batches = [1, 2] if isinstance(understood.batch, str) else [understood.batch]
    for batch in batches:
        raw = understood.raw(batch, seed=batch)
        try:
            sample = _run(session, understood, raw)
        except Exception as error:  # onnxruntime has an unrelated type for each error code
            first = str(error).strip().splitlines()[0][:200]
            if batch == 1 or not samples:
                raise BadInput(f"ONNX Runtime cannot run {path} ({first}) — export it again") from error
            return _with_one_row(understood), samples, _figures(comparison, understood)
        samples.append(sample)
        if understood.before.resized is None:
            comparison.add(understood.normalised(raw), understood.image(sample.prepared))
    if len({len(next(iter(s.given.values()))) for s in samples}) < len(samples):
        return _with_one_row(understood), samples[:1], _figures(comparison, understood)
    return understood, samples, _figures(comparison, understood)


def _with_one_row(understood: Understood) -> Understood:
    fixed = understood.with_batch(1)
    remark = "its batch is declared open, but the graph computes with one image, so the batch is fixed to 1"
    return dataclasses.replace(fixed, changed=(*fixed.changed, remark))


def _figures(comparison: TensorComparison, understood: Understood) -> list[TensorFigures]:
    compared = understood.before.resized is None and not (understood.before.plain and not understood.before.swapped)
    return [comparison.figures("the prepared image", "noise")] if compared else []


def _session(understood: Understood, path: Path) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = probe(understood).SerializeToString()
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an unrelated type for each error code
        first = str(error).strip().splitlines()[0][:200]
        raise BadInput(f"ONNX Runtime cannot open {path} ({first}) — export it again") from error


def _run(session: onnxruntime.InferenceSession, understood: Understood, raw: Feed) -> Sample:
    names = [o.name for o in session.get_outputs()]
    found = dict(raw) | dict(zip(names, session.run(names, dict(raw)), strict=True))
    given = {new: np.asarray(found[old]) for new, old in understood.ends.items()}
    return Sample(np.asarray(found[understood.before.tensor], np.float32), given)


def compared(understood: Understood, samples: list[Sample], path: Path) -> list[TensorFigures]:
    """How far the adopted file is from the source, on what the source's network read."""
    engine = open_engine("ort", Source(understood.card, path))
    sums: dict[str, TensorComparison] = {}
    for sample in samples:
        got = engine.run(feed_of(understood, sample.prepared))
        for name, array in wanted_of(understood, sample.given, got).items():
            sums.setdefault(name, TensorComparison()).add(array, got[name])
    engine.close()
    return [s.figures(name, "noise, against the file") for name, s in sums.items()]
