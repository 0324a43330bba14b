"""Checks that a file still computes what its network does: figures, a verdict, and the first tensor that differs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hrnet_deploy.architecture import require_same
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines import open_engine, require_runs_files
from hrnet_deploy.engines.base import Engine, Source, batch_of, run_rows
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import sha256
from hrnet_deploy.graph.metadata import Description, read_description
from hrnet_deploy.parity import budget_for, compare_on_images, compare_tensors, judge
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.check import CheckResult
from hrnet_deploy.results.figures import Budget, TensorFigures
from hrnet_deploy.tasks.base import Feed, Task, dataset_samples, noise, task_of
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.detections import Boxes
from hrnet_deploy.tasks.layouts import Sought
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.readable import readable
from hrnet_deploy.tasks.samples import NAME, sample_images
from hrnet_deploy.workflow.arguments import require_amount, require_annotations, require_count, require_threads
from hrnet_deploy.workflow.open_model import weights_of

NOISE_SEEDS = (0, 1, 2)
OPTIONS = {  # the options that limit distances, by the name of the figure
    "pixels_mean": "--max-pixels",
    "moved_over_1px": "--max-moved",
    "score_relative": "--max-score",
    "differing": "--max-differing",
    "missing": "--max-missing",
    "extra": "--max-extra",
}
TRACED = 40  # the most inputs that are tried to find the first tensor that differs


@dataclass(frozen=True)
class CheckRequest:
    """What to compare.

    Attributes:
        model: the ONNX file or plan.
        against: the checkpoint that it was made from (or its card), or another ONNX file.
        images, annotations: a folder of images, and its annotations; the package's own samples unless given.
        limit, seed: how many images to use, and the seed of their random choice; without a seed, the first ones.
        engine, threads: what runs the file.
        flip_test: whether results are averaged with those of the mirror image.
        limits: replace the budget of the file's precision, field by field.
        dataset: images that are already loaded, in place of the folder.
        weights_key: which weights of the checkpoint, where it holds several; those the file was made from unless given.
        categories: which categories of the annotations are used, as `--category` says.
        strict: whether an image that cannot be read is an error. Otherwise it is left out and listed.
        boxes: those of a detector, in which results are looked for; the annotated ones unless given.
    """

    model: Path
    against: str
    images: Path | None = None
    annotations: Path | None = None
    limit: int | None = None
    seed: int | None = None
    engine: str = "ort"
    threads: int | None = None
    flip_test: bool = False
    limits: Budget = dataclasses.field(default_factory=Budget)
    dataset: Dataset | None = None
    weights_key: str = ""
    strict: bool = False
    categories: Sequence[str] = ()
    boxes: Boxes | None = None

    def __post_init__(self) -> None:
        if self.images is None:
            numbers = (self.limit is not None, self.seed is not None)
            if self.annotations or self.categories or self.boxes or any(numbers):
                named = "--annotations, --category, --boxes, --limit and --seed"
                raise BadInput(f"{named} need a folder of images — give it with --images")
        require_count("--limit", self.limit)
        require_count("--seed", self.seed, least=0)
        require_runs_files(self.engine)
        require_threads(self.threads)
        require_amount("--max-relative", self.limits.relative)
        require_amount("--max-drop", self.limits.drop)
        for name, value in self.limits.distances.items():
            require_amount(OPTIONS.get(name, f"the limit of {name}"), value)


def check(request: CheckRequest, progress: Progress = SILENT) -> CheckResult:
    """Compare a model file with the checkpoint it was made from, or with another ONNX file (which needs no torch).

    Raises BadInput if a file cannot be read or the two are not of one network, and Unavailable if the engine cannot
    run here.
    """
    description = read_description(request.model)
    require_annotations(request.annotations, description.card, request.model, request.categories, request.boxes)
    dataset = request.dataset or _images(request, description.card)
    progress.stage("opening both models")
    reference, theirs, source = _reference(request, description)
    engine = open_engine(request.engine, Source(description.card, request.model), request.threads)
    task = task_of(description.card, description.input_format, request.flip_test)
    progress.stage("comparing on noise")
    tensors = _on_noise(reference, engine, description, theirs)
    progress.stage("comparing on images", len(dataset))
    figures = compare_on_images(reference, theirs, engine, task, dataset, progress)
    precision = engine.info.precision or description.precision  # an engine may run a file below its precision
    budget = budget_for(precision, task).replaced_by(request.limits)
    result = CheckResult(
        model=str(request.model),
        against=request.against,
        engine=request.engine,
        engine_info=engine.info,
        precision=precision,
        card=description.card.name,
        images=str(request.images or NAME),
        flip_test=request.flip_test or description.input_format.flip_test,
        tensors=tensors,
        task=figures,
        budget=budget,
        checks=judge(budget, tensors, figures),
        warning=_provenance(source, description),
        skipped=dataset.skipped,
    )
    if result.passed or source is None or description.input_format.embedded:
        return result
    progress.stage("looking for the first tensor that differs")
    first = _first_difference(request, source, task, dataset, batch_of(engine) or 1, budget)
    return dataclasses.replace(result, first_difference=first)


def _images(request: CheckRequest, card: ModelCard) -> Dataset:
    if request.images is None:
        return sample_images()
    found = load_dataset(
        request.images, request.annotations, request.limit, request.seed, boxes=request.boxes, sought=Sought.of(card)
    )
    found = found.choosing(request.categories)
    return readable(found, request.strict)


def _reference(request: CheckRequest, description: Description) -> tuple[Engine, Task, Source | None]:
    """The reference: PyTorch with the checkpoint, or ONNX Runtime with another file.

    Returns its engine, the task that prepares its inputs, and the checkpoint as a source if there is one.
    """
    flip = request.flip_test or description.input_format.flip_test
    if request.against.endswith(".onnx"):
        if request.weights_key:
            raise BadInput(f"--weights-key is for a checkpoint, and {request.against} is an ONNX file — leave it out")
        other = read_description(Path(request.against))
        ours = description.card.architecture
        require_same(request.against, other.card.architecture, request.model, ours, "compare files of one network")
        plain = flip and not other.input_format.embedded
        return (
            open_engine("ort", Source(other.card, Path(request.against)), request.threads),
            task_of(other.card, other.input_format, plain),
            None,
        )
    checkpoint, key = weights_of(request.against, request.weights_key, description)
    source = Source(description.card, request.model, checkpoint, weights_key=key)
    return open_engine("torch", source, request.threads), task_of(description.card, flip_test=flip), source


def _on_noise(reference: Engine, engine: Engine, description: Description, theirs: Task) -> list[TensorFigures]:
    if (
        not theirs.comparable
        or description.input_format.embedded
        or {o.name for o in reference.outputs} != {o.name for o in engine.outputs}
    ):
        return []  # decoded results of noise mean nothing
    batch = batch_of(engine) or 1
    inputs = [noise(description.card, batch, seed) for seed in NOISE_SEEDS]
    return compare_tensors(lambda feed: run_rows(reference, feed), engine, inputs, "noise")


def _provenance(source: Source | None, description: Description) -> str:
    made_from = description.provenance.get("checkpoint")
    if source is None or source.checkpoint is None or made_from is None or sha256(source.checkpoint) == made_from:
        return ""
    return f"according to the file, it was made from another checkpoint (sha256 {made_from[:8]})"


def _first_difference(
    request: CheckRequest, source: Source, task: Task, dataset: Dataset, batch: int, budget: Budget
) -> str:
    """The first tensor that differs, in words; empty if none is found.

    It is searched for on noise first and then on images. A weight after a ReLU that gives zero on most inputs has no
    effect on those inputs. A tensor inside the network differs less than those after it, so its limit is a tenth of
    the limit of the output.
    """
    from hrnet_deploy.engines.torch_ import network_of
    from hrnet_deploy.trace import Tracer

    if budget.relative is None:
        return ""
    tracer = Tracer(request.model, network_of(source))
    for feed in itertools.islice(_inputs(source, task, dataset), TRACED):
        found = tracer.first_difference({k: np.repeat(v, batch, axis=0) for k, v in feed.items()}, budget.relative / 10)
        if found is not None:
            return f"{found.tensor} (node {found.node}), off by {found.relative:.1e} of its maximum"
    return ""


def _inputs(source: Source, task: Task, dataset: Dataset) -> Iterator[Feed]:
    yield noise(source.card, 1, NOISE_SEEDS[0])
    for _, _, samples in dataset_samples(task, dataset):
        yield from ({k: v[:1] for k, v in s.feed.items()} for s in samples)
