"""One int8 graph judged on images against the float graph it was made from."""

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
from hrnet_deploy.workflow.findings import SavedFindings
from hrnet_deploy.workflow.identity import images_digest
from hrnet_deploy.workflow.split import Parts


class Workbench:
    """A float graph opened in ONNX Runtime, and graphs made of it, in a folder of their own."""

    def __init__(self, folder: Path, model: onnx.ModelProto, card: ModelCard, threads: int | None) -> None:
        self.folder, self.model, self.card, self.threads = folder, model, card, threads
        self.reference = self.opened(model, "reference")

    def opened(self, model: onnx.ModelProto, name: str) -> Engine:
        """A graph in ONNX Runtime; its file in the folder gets that name."""
        path = self.folder / f"{name}.onnx"
        save_model(model, path)
        return open_engine("ort", Source(self.card, path), self.threads)

    def tapped(self, names: Sequence[str], model: onnx.ModelProto | None = None) -> Callable[[Feed], list[NDArray]]:
        """A function from an input to these tensors of a graph, which is the float one unless given."""
        engine = self.opened(with_outputs(model or self.model, names), "tapped")

        def run(feed: Feed) -> list[NDArray]:
            outputs: Arrays = {**run_rows(engine, feed), **feed}
            return [outputs[n] for n in names]

        return run


@dataclass(frozen=True)
class Judge:
    """Judges graphs of one recipe.

    Attributes:
        workbench: holds the float graph, the reference.
        recipe: makes the int8 graphs.
        task: prepares images and compares results.
        parts: the images, by the part that they play.
        budget: the most that an int8 graph may differ.
        findings: figures that are known already.
        progress: told of each graph and each image.
    """

    workbench: Workbench
    recipe: Recipe
    task: Task
    parts: Parts
    budget: Budget
    findings: SavedFindings
    progress: Progress

    @property
    def decided_by(self) -> dict[str, Any]:
        """What decides every finding of this judge, besides the graph and the images."""
        task = [type(self.task).__qualname__, self.task.protocol()]
        return {"parent": graph_digest(self.workbench.model), "task": task}

    def trial(self, excluded: Sequence[str], on: Part) -> Trial:
        """The int8 graph that leaves these operators in float, judged on one part of the images."""
        dataset = getattr(self.parts, on)
        made = self.recipe.quantized(excluded)

        def find() -> dict[str, Any]:
            self.progress.stage(f"judging on {len(dataset)} images", len(dataset))
            engine = self.workbench.opened(made, "candidate")
            reference = self.workbench.reference
            return dataclasses.asdict(
                compare_on_images(reference, self.task, engine, self.task, dataset, self.progress)
            )

        key = {**self.decided_by, "trial": graph_digest(made), "images": images_digest(dataset)}
        figures = as_figures(self.findings.once(key, find))
        convolutions = len(self.recipe.placement(excluded).weighted)
        return Trial(tuple(excluded), convolutions, figures, judge(self.budget, [], figures), on)
