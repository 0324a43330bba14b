"""A model file opened for use on images: its description, its task and its engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.architecture import INPUT
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines import open_engine, require_runs_files
from hrnet_deploy.engines.base import Engine, Source, batch_of
from hrnet_deploy.engines.by_shape import ByShape
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import sha256
from hrnet_deploy.graph.metadata import Description, read_description
from hrnet_deploy.tasks.base import CROPS, Task, TaskOptions, task_of
from hrnet_deploy.tasks.registry import task_entry
from hrnet_deploy.workflow.arguments import require_amount, require_threads


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
        require_runs_files(self.engine)
        require_threads(self.threads)
        for factor in self.scales:
            require_amount("--scales", factor, above_zero=True)


@dataclass(frozen=True)
class OpenedModel:
    """A model file that is ready to run."""

    description: Description
    task: Task
    engine: Engine


def open_model(use: ModelUse) -> OpenedModel:
    """Open a model file. Raises BadInput if the options do not fit the file or each other."""
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
    engine = open_engine(use.engine, Source(description.card, file), use.threads)
    _require_fit(engine, description, file)
    return engine


def _require_fit(engine: Engine, description: Description, file: Path) -> None:
    """Raises BadInput where the tensors of a file are not those of the network that its description names."""
    architecture, embedded = description.card.architecture, description.input_format.embedded
    takes = {t.name: len(t.shape) for t in engine.inputs}
    wanted = {CROPS: 4} if embedded else {n: 4 if n == INPUT else 2 for n in architecture.inputs}
    unlike = [n for n, rank in wanted.items() if takes.get(n) != rank]
    shapes = {t.name: t.shape for t in engine.outputs}
    if not embedded:
        unlike += [n for n in architecture.outputs if n not in shapes]
        maps = architecture.outputs if len(architecture.outputs) == 1 else ()  # of several, not all have one per label
        labelled = [s for n, s in shapes.items() if n in maps and len(s) == 4]
        unlike += [
            f"{s[1]} channels" for s in labelled if isinstance(s[1], int) and s[1] not in (-1, architecture.labels)
        ]
    if unlike:
        raise BadInput(
            f"{file} is not the network that its description says, {architecture.title}: its inputs and outputs differ "
            f"in {', '.join(unlike)} — export it again"
        )


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


def weights_of(checkpoint: str, weights_key: str, description: Description) -> tuple[Path, str]:
    """The path of a checkpoint, and which of its weights are taken: those under `weights_key`, or without one those
    that the file with this description was made from. Raises BadInput if there is no such checkpoint."""
    from hrnet_deploy import checkpoints

    path = checkpoints.resolve(checkpoint)
    return path, weights_key or description.weights_key(sha256(path))
