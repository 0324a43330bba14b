"""Computes the task's metric of one file on annotated images, and lists what it depends on besides the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hrnet_deploy.cards import publication
from hrnet_deploy.graph.metadata import file_digest
from hrnet_deploy.parity import score_on_images
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.registry import task_entry
from hrnet_deploy.results.base import Figure, Setting
from hrnet_deploy.results.evaluation import EvalResult
from hrnet_deploy.tasks.base import Task
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.detections import Boxes
from hrnet_deploy.tasks.layouts import Sought
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.readable import readable
from hrnet_deploy.workflow.arguments import require_annotations, require_count
from hrnet_deploy.workflow.open_model import ModelUse, open_model


@dataclass(frozen=True)
class EvalRequest:
    """What to score, and on which images.

    Attributes:
        use: the file, and how to run it.
        data, annotations: the folder of images, and a file or folder of annotations that replaces those in it.
        limit, seed: how many images to use, and the seed of their random choice; without a seed, the first ones.
        categories: which categories of the annotations are used, as `--category` says.
        strict: whether an image that cannot be read is an error. Otherwise it is left out and listed.
        boxes: those of a detector, in which results are looked for; the annotated ones unless given.
        split: which part of a public data set is used; its first unless given, mostly val.
    """

    use: ModelUse
    data: Path
    annotations: Path | None = None
    limit: int | None = None
    seed: int | None = None
    strict: bool = False
    categories: Sequence[str] = ()
    boxes: Boxes | None = None
    split: str = ""

    def __post_init__(self) -> None:
        require_count("--limit", self.limit)
        require_count("--seed", self.seed, least=0)


def evaluate(request: EvalRequest, progress: Progress = SILENT) -> EvalResult:
    """Score a file on annotated images.

    Raises BadInput if nothing can be scored: there are no annotations, or the file does not take the requested sizes.
    """
    use = request.use
    progress.stage("opening the model")
    model = open_model(use)
    require_annotations(request.annotations, model.description.card, use.model, request.categories, request.boxes)
    progress.stage("looking for images that cannot be read")
    card = model.description.card
    dataset = load_dataset(
        request.data,
        request.annotations,
        request.limit,
        request.seed,
        boxes=request.boxes,
        sought=Sought.of(card, request.split),
    )
    dataset = dataset.choosing(request.categories)
    dataset = readable(dataset, request.strict)
    progress.stage("scoring", len(dataset))
    score = score_on_images(model.engine, model.task, dataset, progress)
    description, info = model.description, model.engine.info
    published = publication(card, description.provenance.get("checkpoint", ""))
    return EvalResult(
        model=str(use.model),
        model_sha256=file_digest(use.model),
        card=description.card.name,
        precision=info.precision or description.precision,
        engine=use.engine,
        engine_info=info,
        metric=model.task.metric,
        figures={name: Figure(value) for name, value in score.figures().items()},
        protocol={**model.task.protocol(), **_boxes(model.task, dataset), **model.task.reading(dataset)},
        images=len(dataset),
        data=str(request.data),
        annotations=model.task.annotation_source(*(dataset.place or (request.data, request.annotations))),
        published=published.figure if published else "",
        skipped=dataset.skipped,
    )


def _boxes(task: Task, dataset: Dataset) -> dict[str, Setting]:
    """Where the boxes come from, of a task that is given boxes."""
    if "--boxes" not in task_entry(task.card.task).options:
        return {}
    return {**dataset.facts} if dataset.detected else {"boxes": f"annotated in {dataset.boxes_from}"}
