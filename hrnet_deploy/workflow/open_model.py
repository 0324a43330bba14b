"""A model file opened for use on images: its description, its task and its engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines import open_engine, parse
from hrnet_deploy.engines.base import Engine, Source, batch_of
from hrnet_deploy.engines.by_shape import ByShape
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import Description, read_description
from hrnet_deploy.tasks.base import Task, TaskOptions, task_of
from hrnet_deploy.tasks.registry import task_entry
from hrnet_deploy.workflow.arguments import require_count


@dataclass(frozen=True)
class ModelUse:
    """Which model file to run, and how.

    Attributes:
        model: the ONNX file or plan.
        engine: name of the engine, with its options.
        threads: number of threads; None for all available ones.
        flip_test: whether results are averaged with those of the mirror image.
        upright: a second file of a detector, exported with height and width exchanged, for images higher than wide.
        scales: the multi-scale test of segmentation, as factors of the file's input size.
        decode, geometry: how heatmaps of a pose network are decoded, and how boxes become crops; empty for what the
            file says.
    """

    model: Path
    engine: str = "ort"
    threads: int | None = None
    flip_test: bool = False
    upright: Path | None = None
    scales: Sequence[float] = ()
    decode: str = ""
    geometry: str = ""

    def __post_init__(self) -> None:
        require_count("--threads", self.threads)


@dataclass(frozen=True)
class OpenedModel:
    """A model file that is ready to run."""

    description: Description
    task: Task
    engine: Engine


def open_model(use: ModelUse) -> OpenedModel:
    """Open a model file. Raises BadInput if the options do not fit the file or each other."""
    parse(use.engine)
    description = read_description(use.model)
    if use.decode or use.geometry:
        if description.input_format.embedded:
            raise BadInput(f"{use.model} decodes inside the graph — export it again with --decode and --geometry")
        card = with_decoding(description.card, use.decode, use.geometry, use.model)
        description = dataclasses.replace(description, card=card)
    if use.upright is not None:
        return _both_ways(use, description, use.upright)
    return OpenedModel(description, _task(use, description), _engine(use, description, use.model))


def with_decoding(card: ModelCard, decode: str, geometry: str, subject: object) -> ModelCard:
    """The card with another decoding or geometry; an empty text leaves what it has. Raises BadInput, naming `subject`,
    if the task has none to choose."""
    for option, value in (("--decode", decode), ("--geometry", geometry)):
        if value:
            task_entry(card.task).require(option, subject)
    labels: Any = card.labels
    return dataclasses.replace(card, labels=labels.decoded(decode, geometry))


def _engine(use: ModelUse, description: Description, file: Path) -> Engine:
    return open_engine(use.engine, Source(description.card, file), use.threads)


def _task(use: ModelUse, description: Description, upright: tuple[int, int] | None = None) -> Task:
    options = TaskOptions(use.flip_test, tuple(use.scales), upright)
    for option in options.given:
        task_entry(description.card.task).require(option, use.model)
    return task_of(description.card, description.input_format, options=options)


def _both_ways(use: ModelUse, description: Description, upright: Path) -> OpenedModel:
    """A detector with two files, one for upright images. mmdetection turns the input in the same way: an upright image
    then appears as large in its input as other images do in theirs."""
    task_entry(description.card.task).require("--upright", use.model)
    other = read_description(upright)
    ours, theirs = description.card.input, other.card.input
    turned = f"{ours.width}x{ours.height}"
    if theirs.size != turned or ours.height == ours.width:
        raise BadInput(
            f"{upright} takes {theirs.size}, and {use.model} {ours.size} — export one for upright images with --size "
            f"{turned}"
        )
    same = (
        ("architecture", description.card.architecture == other.card.architecture),
        ("precision", description.precision == other.precision),
    )
    weights = description.provenance.get("checkpoint") == other.provenance.get("checkpoint")
    if differ := [name for name, equal in (*same, ("weights", weights)) if not equal]:
        raise BadInput(
            f"{upright} differs from {use.model} in {' and '.join(differ)} — make both from one checkpoint, in the "
            "same way"
        )
    engines = [_engine(use, description, use.model), _engine(use, other, upright)]
    if len({batch_of(e) for e in engines}) > 1:
        raise BadInput(f"{upright} takes batches of another size than {use.model} — export both with the same --batch")
    return OpenedModel(description, _task(use, description, (theirs.height, theirs.width)), ByShape(engines))
