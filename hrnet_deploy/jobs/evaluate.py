"""The task's metric of one file on annotated images, and what it depends on besides the weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.engines import open_engine, parse
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import sha256
from hrnet_deploy.graph.metadata import Description, read_description
from hrnet_deploy.parity import score_on_images
from hrnet_deploy.tasks.base import Task, task_of
from hrnet_deploy.tasks.dataset import load_dataset


@dataclass(frozen=True)
class Request:
    """What to score. `scales`: the multi-scale test of segmentation, as factors of the file's input."""

    model: Path
    data: Path
    annotations: Path | None = None
    limit: int | None = None
    seed: int | None = None
    engine: str = "ort"
    threads: int | None = None
    flip_test: bool = False
    scales: Sequence[float] = ()


@dataclass(frozen=True)
class Evaluated:
    """figures by name, in 0..1; protocol: what they depend on; published: what others say the same weights reach."""

    model: str
    model_sha256: str
    card: str
    precision: str
    engine: str
    engine_facts: dict[str, Any]
    metric: str
    figures: dict[str, float]
    protocol: dict[str, Any]
    images: int
    data: str
    annotations: dict[str, str]
    published: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"schema": 1, "kind": "eval", **dataclasses.asdict(self)}


def evaluate(request: Request, progress: Callable[[int], Callable[[], None]] | None = None) -> Evaluated:
    """Raises BadInput where nothing can be scored: no annotations, or a file that does not take the sizes asked for."""
    parse(request.engine)
    description = read_description(request.model)
    task = _task(description, request)
    dataset = load_dataset(request.data, request.annotations, request.limit, request.seed)
    engine = open_engine(request.engine, Source(description.card, request.model), request.threads)
    tick = progress(len(dataset)) if progress else lambda: None
    score = score_on_images(engine, task, dataset, tick)
    return Evaluated(
        model=str(request.model),
        model_sha256=sha256(request.model),
        card=description.card.name,
        precision=engine.facts.get("precision", description.precision),
        engine=request.engine,
        engine_facts=engine.facts,
        metric=task.metric,
        figures=score.figures(),
        protocol=task.protocol(),
        images=len(dataset),
        data=str(request.data),
        annotations=_annotations(request, description.card.task),
        published=_published(description),
    )


def _task(description: Description, request: Request) -> Task:
    if not request.scales:
        return task_of(description.card, description.contract, request.flip_test)
    if description.card.task != "segmentation":
        raise BadInput(f"--scales is the multi-scale test of segmentation, {request.model} is for {description.card.task} — leave it out")
    from hrnet_deploy.tasks.multi_scale import MultiScale

    return MultiScale(description.card, description.contract, request.flip_test, request.scales)


def _annotations(request: Request, task: str) -> dict[str, str]:
    """What the score depends on besides the images: a file by name and sha256, a folder of label maps by name."""
    if task == "segmentation":
        return {"folder": str(request.annotations or request.data / "labels")}
    path = request.annotations or request.data / "annotations.json"
    return {"file": str(path), "sha256": sha256(path)}


def _published(description: Description) -> str:
    digest = description.provenance.get("checkpoint", "")
    known = description.card.published_as(digest)
    return "" if known is None or known.value is None else f"{known.metric} {known.value:g} on {known.data}"
