"""Is an ONNX file still the network it was made from? Figures, a verdict, and where it goes wrong."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_deploy.architecture import require_same
from hrnet_deploy.engines import open_engine, parse
from hrnet_deploy.engines.base import Engine, Source, batch_of, run_rows
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import sha256
from hrnet_deploy.graph.metadata import Description, read_description
from hrnet_deploy.parity import budget_for, compare_on_images, compare_tensors, judge
from hrnet_deploy.results.base import EngineInfo
from hrnet_deploy.results.figures import Budget, Check, TaskFigures, TensorFigures, all_passed
from hrnet_deploy.tasks.base import Feed, Task, dataset_samples, noise, task_of
from hrnet_deploy.tasks.dataset import Dataset, load_dataset
from hrnet_deploy.tasks.samples import NAME, sample_images

Say = Callable[[str], None]
NOISE_SEEDS = (0, 1, 2)
TRACED = 40  # inputs tried to find where a graph goes wrong


@dataclass(frozen=True)
class Report:
    """What `check` found. `first` names the first tensor that differs, where the verdict is no and it is known."""

    model: str
    against: str
    engine: str
    engine_info: EngineInfo
    precision: str
    card: str
    images: str
    flip_test: bool
    tensors: Sequence[TensorFigures]
    task: TaskFigures
    budget: Budget
    checks: Sequence[Check]
    first: str = ""
    warning: str = ""

    @property
    def passed(self) -> bool:
        return all_passed(self.checks)

    def to_dict(self) -> dict[str, Any]:
        return {"schema": 1, "kind": "check", "passed": self.passed, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class Request:
    """What to compare. `limits` replace the budget of the file's precision, field by field."""

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


def check(
    request: Request,
    say: Say = lambda _: None,
    progress: Callable[[int], Callable[[], None]] | None = None,
    dataset: Dataset | None = None,
) -> Report:
    """Compare an ONNX file with the checkpoint it was made from, or with another ONNX file (which needs no torch).

    `progress` is told how many images come and gives back what to call after each. `dataset`: some of the images of
    the folder, where they are known already.
    """
    parse(request.engine)
    if request.images is None and (request.annotations or request.limit or request.seed is not None):
        raise BadInput("--annotations, --limit and --seed speak of images — give their folder with --images")
    description = read_description(request.model)
    if dataset is None:
        dataset = (
            load_dataset(request.images, request.annotations, request.limit, request.seed)
            if request.images
            else sample_images()
        )
    say("opening both")
    reference, theirs, source = _reference(request, description)
    engine = open_engine(request.engine, Source(description.card, request.model), request.threads)
    task = task_of(description.card, description.contract, request.flip_test)
    tensors = _on_noise(reference, engine, description, theirs)
    say("comparing on images")
    tick = progress(len(dataset)) if progress else lambda: None
    figures = compare_on_images(reference, theirs, engine, task, dataset, tick)
    precision = engine.info.precision or description.precision  # an engine may run a file below its precision
    budget = budget_for(precision, task).replaced_by(request.limits)
    checks = judge(budget, tensors, figures)
    report = Report(
        model=str(request.model),
        against=request.against,
        engine=request.engine,
        engine_info=engine.info,
        precision=precision,
        card=description.card.name,
        images=str(request.images or NAME),
        flip_test=request.flip_test or description.contract.flip_test,
        tensors=tensors,
        task=figures,
        budget=budget,
        checks=checks,
        warning=_provenance(source, description),
    )
    if report.passed or source is None or description.contract.embedded:
        return report
    say("looking for the first tensor that differs")
    return dataclasses.replace(
        report, first=_first_difference(request, source, task, dataset, batch_of(engine) or 1, budget)
    )


def _reference(request: Request, description: Description) -> tuple[Engine, Task, Source | None]:
    """PyTorch with the checkpoint, or ONNX Runtime with another file; and the task as that one is fed."""
    flip = request.flip_test or description.contract.flip_test
    if request.against.endswith(".onnx"):
        other = read_description(Path(request.against))
        ours = description.card.architecture
        require_same(request.against, other.card.architecture, request.model, ours, "compare files of one network")
        plain = flip and not other.contract.embedded
        return (
            open_engine("ort", Source(other.card, Path(request.against)), request.threads),
            task_of(other.card, other.contract, plain),
            None,
        )
    from hrnet_deploy import checkpoints

    source = Source(description.card, request.model, checkpoints.resolve(request.against))
    return open_engine("torch", source, request.threads), task_of(description.card, flip_test=flip), source


def _on_noise(reference: Engine, engine: Engine, description: Description, theirs: Task) -> list[TensorFigures]:
    if (
        not theirs.comparable
        or description.contract.embedded
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
    return f"the file says it was made from another checkpoint (sha256 {made_from[:8]})"


def _first_difference(
    request: Request, source: Source, task: Task, dataset: Dataset, batch: int, budget: Budget
) -> str:
    """Looked for on noise, then on people until one shows it: a weight behind a ReLU that is silent on most inputs
    changes nothing there. A tensor inside differs less than what follows, so the limit is a tenth of the output's."""
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
