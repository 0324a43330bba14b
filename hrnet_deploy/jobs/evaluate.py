"""The task's metric of one file on annotated images, and what it depends on besides the weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.files import sha256
from hrnet_deploy.graph.metadata import Description
from hrnet_deploy.parity import score_on_images
from hrnet_deploy.tasks.dataset import load_dataset
from hrnet_deploy.workflow.open_model import ModelUse, open_model


@dataclass(frozen=True)
class Request:
    """What to score, on which images."""

    use: ModelUse
    data: Path
    annotations: Path | None = None
    limit: int | None = None
    seed: int | None = None


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
    use = request.use
    model = open_model(use)
    dataset = load_dataset(request.data, request.annotations, request.limit, request.seed)
    tick = progress(len(dataset)) if progress else lambda: None
    score = score_on_images(model.engine, model.task, dataset, tick)
    description, facts = model.description, model.engine.facts
    return Evaluated(
        model=str(use.model),
        model_sha256=sha256(use.model),
        card=description.card.name,
        precision=facts.get("precision", description.precision),
        engine=use.engine,
        engine_facts=facts,
        metric=model.task.metric,
        figures=score.figures(),
        protocol=model.task.protocol(),
        images=len(dataset),
        data=str(request.data),
        annotations=model.task.annotation_source(request.data, request.annotations),
        published=_published(description),
    )


def _published(description: Description) -> str:
    digest = description.provenance.get("checkpoint", "")
    known = description.card.published_as(digest)
    return "" if known is None or known.value is None else f"{known.metric} {known.value:g} on {known.data}"
