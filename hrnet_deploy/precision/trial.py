"""Compares an int8 graph on images with the float graph that it was made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Arrays, Engine, Source, run_rows
from hrnet_deploy.graph.calibrate import with_outputs
from hrnet_deploy.graph.metadata import save_model
from hrnet_deploy.parity import as_figures, compare_on_images, judge
from hrnet_deploy.precision.recipe import Recipe, graph_digest
from hrnet_deploy.progress import Progress
from hrnet_deploy.results.figures import Budget
from hrnet_deploy.results.quantization import Part, Trial
from hrnet_deploy.tasks.base import Feed, Task
from hrnet_deploy.workflow.findings import FindingsCache
from hrnet_deploy.workflow.identity import images_digest
from hrnet_deploy.workflow.split import Parts


class GraphRunner:
    """Runs a float graph, and graphs made from it, in ONNX Runtime. Their files are in one folder."""

    def __init__(self, folder: Path, model: onnx.ModelProto, card: ModelCard, threads: int | None) -> None:
        self.folder, self.model, self.card, self.threads = folder, model, card, threads
        self.reference = self.open_in_ort(model, "reference")

    def open_in_ort(self, model: onnx.ModelProto, name: str) -> Engine:
        """Open a graph in ONNX Runtime, from a file of that name in the folder."""
        path = self.folder / f"{name}.onnx"
        save_model(model, path)
        return open_engine("ort", Source(self.card, path), self.threads)

    def with_extra_outputs(
        self, names: Sequence[str], model: onnx.ModelProto | None = None
    ) -> Callable[[Feed], list[NDArray]]:
        """A function that runs a graph on one input and returns these tensors. The graph is the float one unless
        given."""
        engine = self.open_in_ort(with_outputs(model or self.model, names), "extra_outputs")

        def run(feed: Feed) -> list[NDArray]:
            outputs: Arrays = {**run_rows(engine, feed), **feed}
            return [outputs[n] for n in names]

        return run


@dataclass(frozen=True)
class Judge:
    """Judges graphs of one recipe.

    Attributes:
        runner: runs the float graph, which is the reference.
        recipe: makes the int8 graphs.
        task: prepares images and compares results.
        parts: the images for calibration, validation and test.
        budget: how much an int8 graph may differ at most.
        cache: findings of this job and of earlier ones.
        progress: is notified of each graph and each image.
    """

    runner: GraphRunner
    recipe: Recipe
    task: Task
    parts: Parts
    budget: Budget
    cache: FindingsCache
    progress: Progress

    @property
    def cache_key(self) -> dict[str, Any]:
        """What every finding of this judge depends on, besides the graph and the images."""
        task = [type(self.task).__qualname__, self.task.protocol()]
        return {"parent": graph_digest(self.runner.model), "task": task}

    def trial(self, excluded: Sequence[str], on: Part) -> Trial:
        """Judge the int8 graph that leaves these operators in float, on one part of the images."""
        dataset = getattr(self.parts, on)
        made = self.recipe.quantized(excluded)

        def find() -> dict[str, Any]:
            self.progress.stage(f"judging on {len(dataset)} images", len(dataset))
            engine = self.runner.open_in_ort(made, "candidate")
            reference = self.runner.reference
            return dataclasses.asdict(
                compare_on_images(reference, self.task, engine, self.task, dataset, self.progress)
            )

        key = {**self.cache_key, "trial": graph_digest(made), "images": images_digest(dataset)}
        figures = as_figures(self.cache.get_or_compute(key, find))
        convolutions = len(self.recipe.placement(excluded).weighted)
        return Trial(tuple(excluded), convolutions, figures, judge(self.budget, [], figures), on)
