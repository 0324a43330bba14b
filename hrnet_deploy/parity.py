"""How far an engine is from its reference, and whether that is within the budget.

There are figures of the tensors (for any model), of the task (for example how far keypoints moved) and of the metric
(the scores of both on the same images, and their paired difference with an interval). A budget has two sides: a gain
past it is as suspicious as a loss, because nothing that an engine does can make a network better.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.engines.base import Arrays, Engine, run_rows, run_samples
from hrnet_deploy.errors import BadInput
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.figures import Budget, Check, TaskFigures, TensorFigures
from hrnet_deploy.tasks.base import Feed, Score, Task, checked_score, dataset_samples
from hrnet_deploy.tasks.dataset import Dataset


class TensorComparison:
    """Compares two tensors over any number of inputs. It keeps running sums, so it needs the memory of one input."""

    def __init__(self) -> None:
        self.maximum = self.peak = self.signal = self.other = self.dot = self.noise = 0.0
        self.finite = True

    def add(self, reference: NDArray, other: NDArray) -> None:
        """Add one input's tensors. Raises BadInput where their shapes differ."""
        if reference.shape != other.shape:
            raise BadInput(
                f"outputs differ in shape: {list(reference.shape)} and {list(other.shape)} — these are two models"
            )
        r, x = reference.astype(np.float64).ravel(), other.astype(np.float64).ravel()
        if not (np.isfinite(r).all() and np.isfinite(x).all()):
            self.finite = False
            r, x = (np.nan_to_num(v, nan=0.0, posinf=0.0, neginf=0.0) for v in (r, x))
        self.maximum = max(self.maximum, float(np.abs(r - x).max()))
        self.peak = max(self.peak, float(np.abs(r).max()))
        self.signal += float(r @ r)
        self.other += float(x @ x)
        self.dot += float(r @ x)
        self.noise += float((r - x) @ (r - x))

    def figures(self, output: str, inputs: str) -> TensorFigures:
        """The figures over everything added so far; `output` and `inputs` name the tensor and what it was run on."""
        norm = math.sqrt(self.signal * self.other)
        return TensorFigures(
            output=output,
            inputs=inputs,
            maximum=self.maximum,
            relative=self.maximum / self.peak if self.peak else float(self.maximum > 0),
            cosine=self.dot / norm if norm else float(self.signal == self.other),
            sqnr_db=10 * math.log10(self.signal / self.noise) if self.noise and self.signal else None,
            finite=self.finite,
        )


def compare_tensors(
    reference: Callable[[Feed], Arrays], engine: Engine, inputs: Iterable[Feed], label: str
) -> list[TensorFigures]:
    """Figures of every output over some inputs; `label` names the inputs."""
    sums: dict[str, TensorComparison] = {}
    for feed in inputs:
        want, got = reference(feed), run_rows(engine, feed)
        for name, array in want.items():
            sums.setdefault(name, TensorComparison()).add(array, got[name])
    return [s.figures(name, label) for name, s in sums.items()]


def as_figures(values: Any) -> TaskFigures:
    """Figures from the plain values that `dataclasses.asdict` gives, also after they were saved as JSON."""
    from hrnet_deploy.results.codec import convert

    return convert(values, TaskFigures, "the figures of an earlier run")


def compare_on_images(
    reference: Engine,
    reference_task: Task,
    engine: Engine,
    task: Task,
    dataset: Dataset,
    progress: Progress = SILENT,
) -> TaskFigures:
    """Compare two engines on every image of a data set, one image at a time.

    Args:
        reference, engine: what is compared. They may take different batches.
        reference_task, task: prepare the inputs of each and decode its outputs. They differ if one of the graphs
            has its decoding embedded.
        dataset: the images. Where they are annotated, both engines are scored.
        progress: advanced after each image.

    Raises:
        BadInput: where nothing is on any of the images.
    """
    unscored = task.unscorable_reason(dataset)
    sums: dict[str, TensorComparison] = {}
    wanted: list[Any] = []
    got: list[Any] = []
    same_outputs = task.comparable and {o.name for o in reference.outputs} == {o.name for o in engine.outputs}
    for item, image, samples in dataset_samples(task, dataset):
        if samples:
            theirs = reference_task.samples(image, item)
            a = run_samples(reference, [s.feed for s in theirs])
            b = run_samples(engine, [s.feed for s in samples])
            if same_outputs:
                for x, y in zip(a, b, strict=True):
                    for name in x:
                        sums.setdefault(name, TensorComparison()).add(x[name], y[name])
            wanted += reference_task.compact(reference_task.decode(a, theirs))
            got += task.compact(task.decode(b, samples))
        progress.advance()
    if not wanted:
        raise BadInput("there is nothing to compare: the annotations name nothing on any image — check them")
    figures = TaskFigures(
        images=len(dataset),
        samples=len(wanted),
        tensors=[s.figures(name, "images") for name, s in sums.items()],
        distance=task.compare(wanted, got),
        protocol={"boxes": dataset.boxes_from, **dataset.facts, **task.protocol(), **task.reading(dataset)},
        unscored=unscored,
    )
    if unscored:
        return figures
    base, new = checked_score(reference_task, wanted, dataset), checked_score(task, got, dataset)
    change, low, high = (100 * v for v in new.difference(base))
    return dataclasses.replace(
        figures,
        metric=task.metric,
        reference=base.figures(),
        engine=new.figures(),
        difference=change,
        interval=(low, high),
    )


def score_on_images(engine: Engine, task: Task, dataset: Dataset, progress: Progress = SILENT) -> Score:
    """The metric of one engine on annotated images, one image at a time.

    Raises BadInput where nothing can be scored.
    """
    if reason := task.unscorable_reason(dataset):
        raise BadInput(f"nothing can be scored: {reason} — give images with annotations for {task.card.task}")
    found: list[Any] = []
    for _, _, samples in dataset_samples(task, dataset):
        if samples:
            found += task.decode(run_samples(engine, [s.feed for s in samples]), samples)
        progress.advance()
    return checked_score(task, found, dataset)


# The largest difference of an output over its largest magnitude. int8 is judged by its effect on the task alone.
TENSORS = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 8e-2, "int8": None}


def budget_for(precision: str, task: Task) -> Budget:
    """The default budget of a precision for a task."""
    return Budget(TENSORS[precision], task.score_limits[precision], task.limits[precision])


def judge(budget: Budget, tensors: Sequence[TensorFigures], task: TaskFigures) -> list[Check]:
    """Compare every figure that has a limit with it. Outputs that are not finite fail whatever the budget is.

    Raises BadInput if the budget limits a figure that the task does not have.
    """
    checks = []
    for figures in (*tensors, *task.tensors):
        where = f"{figures.output} on {figures.inputs}"
        if not figures.finite:
            checks.append(Check(f"{where}: finite", 0.0, 1.0, False))
        if budget.relative is not None:
            checks.append(_at_most(f"{where}: relative difference", figures.relative, budget.relative))
    for name, limit in budget.distances.items():
        if name not in task.distance.figures:
            raise BadInput(f"there is no figure {name} to limit — choose among {', '.join(task.distance.figures)}")
        checks.append(_at_most(name, task.distance.figures[name], limit))
    if budget.drop is not None and task.difference is not None:
        checks.append(_at_most(f"{task.metric} difference, points", task.difference, budget.drop))
    return checks


def _at_most(name: str, value: float, limit: float) -> Check:
    return Check(name, value, limit, bool(abs(value) <= limit))  # a NaN passes nothing
