"""Exports a checkpoint to a simplified and verified ONNX file that contains its own description."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hrnet_deploy.architecture import require_same, with_known
from hrnet_deploy.cards import ModelCard, card
from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.files import atomic_write, check_output, temporary_folder
from hrnet_deploy.parity import budget_for, compare_on_images, compare_tensors, judge
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.registry import FromFile
from hrnet_deploy.results.base import EngineInfo
from hrnet_deploy.results.export import ExportResult
from hrnet_deploy.results.figures import Check, TaskFigures, TensorFigures, all_passed
from hrnet_deploy.tasks.base import noise, task_of
from hrnet_deploy.workflow.arguments import ONNX, require_suffix
from hrnet_deploy.workflow.network_export import ExportOptions, export_network
from hrnet_deploy.workflow.open_model import with_decoding

if TYPE_CHECKING:
    from hrnet_deploy.checkpoints import Checkpoint
    from hrnet_deploy.engines.base import Engine, Source
    from hrnet_deploy.graph.metadata import Description
    from hrnet_deploy.tasks.dataset import Dataset

IMAGES = 8  # how many real images a verification uses
ENGINE = "ort"  # the engine in which an exported file is verified


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        checkpoint: a file, the name of a card that comes with weights, or that of a published checkpoint.
        output: the ONNX file to write.
        options: how to export it.
        images: a folder of images to verify on; the package's own samples unless given.
        card: the name or file of a card, if the weights fit several.
        force: whether an existing file is replaced.
        weights_key: which weights to take, where the checkpoint holds several; the plain ones unless given.
        strict: whether an image that cannot be read is an error. Otherwise it is left out and listed.
    """

    checkpoint: str
    output: Path
    options: ExportOptions = field(default_factory=ExportOptions)
    images: Path | None = None
    card: str = ""
    force: bool = False
    weights_key: str = ""
    strict: bool = False

    def __post_init__(self) -> None:
        require_suffix(self.output, ONNX, "the exported file")


@dataclass(frozen=True)
class Verification:
    """The comparison of an exported file with PyTorch: figures, verdict, and what the engine reports about itself."""

    tensors: Sequence[TensorFigures]
    task: TaskFigures
    checks: Sequence[Check]
    info: EngineInfo


def export(request: ExportRequest, progress: Progress = SILENT) -> ExportResult:
    """Export a checkpoint and verify the result.

    The file is written even if the verification fails, so that the cause can be examined. It is then marked as failed.

    Raises BadInput if the checkpoint, the card and the options do not fit, and Unavailable if torch is not installed.
    """
    from hrnet_deploy import checkpoints
    from hrnet_deploy.engines.base import Source
    from hrnet_deploy.graph.metadata import WEIGHTS_STEP, describe, save_model
    from hrnet_deploy.tasks.loading import load_dataset
    from hrnet_deploy.tasks.readable import readable
    from hrnet_deploy.tasks.samples import NAME, sample_images
    from hrnet_deploy.workflow.first_layers import activation_fit

    check_output(request.output, request.force)
    progress.stage("loading PyTorch")
    need("torch", "export")
    given = load_dataset(request.images, limit=IMAGES) if request.images else None
    dataset = sample_images() if given is None else readable(given, request.strict)
    images = f"images of {request.images}" if request.images else NAME
    dataset = dataset.unjudged()  # a score on so few images means nothing; `check` scores a data set
    progress.stage("reading the checkpoint")
    found = _with_given_facts(
        checkpoints.load(request.checkpoint, request.weights_key, progress), request.card, request.options
    )
    chosen = _card(found, request.card, request.options)
    progress.stage("looking at the first layers")
    network = found.network()
    activations = activation_fit(network, chosen, dataset, images)
    provenance = {"checkpoint": found.sha256}
    model, description = export_network(network, chosen, request.options, provenance, progress)
    if request.weights_key:
        description = description.with_step(WEIGHTS_STEP, key=request.weights_key)
    with temporary_folder() as folder:
        path = folder / "graph.onnx"
        save_model(model, path)
        verified = verify(
            Source(chosen, path, found.path, weights_key=request.weights_key), description, dataset, progress
        )
    progress.stage("writing the file")
    passed = all_passed(verified.checks)
    on = ["noise", "images"] if verified.tensors else ["images"]
    description = description.with_step("verify", against="torch", on=on, passed=passed)
    describe(model, description)
    with atomic_write(request.output) as part:
        save_model(model, part)
    return ExportResult(
        path=str(request.output),
        size=request.output.stat().st_size,
        summary=found.summary,
        assumption="" if request.card else found.assumption,  # the card states what would be assumed
        card=chosen.name,
        input_size=chosen.input.size,
        history=list(description.history),
        provenance=dict(description.provenance),
        tensors=verified.tensors,
        task=verified.task,
        checks=verified.checks,
        engine=ENGINE,
        engine_info=verified.info,
        skipped=dataset.skipped,
        remarks=[*chosen.remarks, *request.options.remarks],
        activations=activations,
    )


def _with_given_facts(found: Checkpoint, card_name: str, options: ExportOptions) -> Checkpoint:
    """The checkpoint, with properties of its network that a card or an option states and the weights do not show."""
    if card_name:
        found = found.with_known(card(card_name).architecture)
    if options.align_corners is None:
        return found
    shape = found.architecture
    if shape.open_upsampling is None:
        raise BadInput(f"{found.path} is {shape.title}, which has no align_corners — leave --align-corners out")
    rule = dataclasses.replace(shape.open_upsampling, align_corners=options.align_corners)
    return found.with_known(shape.with_upsampling(rule))


def _card(found: Checkpoint, card_name: str, options: ExportOptions) -> ModelCard:
    """The card of the checkpoint, or the named one, at the requested input size."""
    chosen = found.card
    if card_name:
        named = card(card_name)
        named = dataclasses.replace(named, architecture=with_known(named.architecture, found.architecture))
        cure = "leave --card out, or choose another"
        require_same(found.path, found.architecture, f"the card {card_name}", named.architecture, cure)
        chosen = named
        if (told := found.trained) and told.remark and not options.decode and not options.geometry:
            _require_same_decoding(found.path, told, chosen)
    if options.decode or options.geometry:
        chosen = with_decoding(chosen, options.decode, options.geometry, found.path)
    return chosen.resized(*(options.size or (chosen.input.height, chosen.input.width)))


def _require_same_decoding(path: Path, told: FromFile, named: ModelCard) -> None:
    """Raises BadInput where the file says that it is decoded in another way than a card that somebody named."""
    ours, theirs = cast(Any, told.labels).decode, cast(Any, named.labels).decode
    if ours != theirs:
        raise BadInput(
            f"{path} is {told.remark}, but the card {named.name} says {theirs} — choose with --decode {ours} or "
            f"--decode {theirs}"
        )


def verify(
    source: Source,
    description: Description,
    dataset: Dataset,
    progress: Progress = SILENT,
    prepare: Callable[[Engine], Engine] = lambda engine: engine,
) -> Verification:
    """Compare ONNX Runtime with PyTorch on seeded noise, with every batch and size that the graph takes, and on real
    images.

    Args:
        source: the exported file and the checkpoint it was made from.
        description: of the file.
        dataset: real images.
        progress: is notified of each stage and each image.
        prepare: is applied to both engines after they are opened.
    """
    from hrnet_deploy.engines import open_engine

    progress.stage("comparing with PyTorch on noise")
    reference, engine = prepare(open_engine("torch", source)), prepare(open_engine(ENGINE, source))
    theirs = task_of(source.card, flip_test=description.input_format.flip_test)
    task = task_of(source.card, description.input_format)
    tensors: list[TensorFigures] = []
    if not description.input_format.embedded and task.comparable:
        shapes = list(_shapes(source.card, engine.inputs[0].shape))
        for number, (batch, height, width) in enumerate(shapes):
            label = "noise" if len(shapes) == 1 else f"noise {batch}x{height}x{width}"
            feed = noise(source.card, batch, seed=number, height=height, width=width)
            tensors += compare_tensors(reference.run, engine, [feed], label)
    progress.stage("comparing with PyTorch on images", len(dataset))
    figures = compare_on_images(reference, theirs, engine, task, dataset, progress)
    checks = judge(budget_for(description.precision, task), tensors, figures)
    return Verification(tensors, figures, checks, engine.info)


def _shapes(chosen: ModelCard, declared: Sequence[int | str]) -> Iterator[tuple[int, int, int]]:
    """Batch, height and width to try: the fixed values, and three values of each open axis."""
    height, width = chosen.input.height, chosen.input.width
    batches = [declared[0]] if isinstance(declared[0], int) else [1, 2, 3]
    yield from ((int(b), height, width) for b in batches)
    step = max(chosen.architecture.divisor, 1)
    tall, wide = isinstance(declared[2], str), isinstance(declared[3], str)
    for change in (-step, step):
        h, w = height + change * tall, width - change * wide
        if (tall or wide) and min(h, w) >= step:
            yield int(batches[0]), h, w
