"""Models, engines, batches and thread counts to rows, and the rows measured."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.bench.worker import Job
from hrnet_deploy.cards import ModelCard, card
from hrnet_deploy.engines import parse, unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput, Unavailable, need
from hrnet_deploy.results.bench import BenchResult, BenchRow
from hrnet_deploy.tasks.base import Contract
from hrnet_deploy.threads import available_threads

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What to measure. Either files, or the name of a card whose network gets random weights."""

    models: Sequence[Path] = ()
    card: str = ""
    checkpoint: str = ""
    engines: Sequence[str] = ("ort",)
    batches: Sequence[int] = (1,)
    threads: Sequence[int] = ()
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Subject:
    """One model to measure, as a file."""

    name: str
    source: Source
    contract: Contract
    precision: str


def bench(request: Request, plan: Schedule, command: str, say: Say = lambda _: None) -> BenchResult:
    """Measure every model in every engine, at every batch and number of threads. Raises Unavailable where none of
    the engines asked for can run here."""
    reasons = {e: unavailable_reason(e) for e in request.engines}
    if all(reasons.values()):
        raise Unavailable("; ".join(f"the {e} engine cannot run here: {r}" for e, r in reasons.items()))
    if not request.models and not request.card:
        raise BadInput(
            "nothing to measure — name an ONNX file, or a card: --card pose_hrnet_w48_256x192 --weights random"
        )
    if request.size and request.models:
        raise BadInput("--size goes with --card: a file has the size it was exported with")
    if any(n < 1 for n in (*request.batches, *request.threads)):
        raise BadInput("batches and threads are counted from 1")
    threads = request.threads or [available_threads()]
    with tempfile.TemporaryDirectory() as folder:
        rows: list[tuple[BenchRow, Job | None]] = []
        subjects = _files(request) if request.models else _of_card(request, Path(folder), say)
        for subject, engine, batch, count in itertools.product(subjects, request.engines, request.batches, threads):
            rows.append(row_of(subject, engine, batch, count, reasons[engine]))
        return run(rows, plan, command, say)


def row_of(subject: Subject, engine: str, batch: int, threads: int, missing: str = "") -> tuple[BenchRow, Job | None]:
    """One row, and what a worker needs to measure it; no job where the row says already why it cannot be measured."""
    is_torch = parse(engine)[0] == "torch"
    source = subject.source
    chosen = source.card
    row = BenchRow(
        engine=engine,
        model=subject.name,
        card=chosen.name,
        precision="fp32" if is_torch else subject.precision,  # the network itself, whatever was made of it
        weights="random" if is_torch and source.checkpoint is None else source.weights,
        batch=batch,
        threads=threads,
        input_size=chosen.input.size,
    )
    if missing:
        return replace(row, status="unavailable", reason=missing), None
    if is_torch and subject.contract.embedded:
        reason = "PyTorch runs the network without what --embed puts around it — measure the plain export"
        return replace(row, status="failed", reason=reason), None
    if is_torch and source.checkpoint is None:
        source = Source(chosen, source.file, None, "random")
    return row, Job(engine, source, subject.contract, batch, threads)


def _files(request: Request) -> list[Subject]:
    from hrnet_deploy.graph.metadata import read_description

    checkpoint = None
    if request.checkpoint:
        from hrnet_deploy import checkpoints

        checkpoint = checkpoints.resolve(request.checkpoint)
    subjects = []
    for path in request.models:
        found = read_description(path)
        subjects.append(Subject(path.name, Source(found.card, path, checkpoint), found.contract, found.precision))
    return subjects


def _of_card(request: Request, folder: Path, say: Say) -> list[Subject]:
    """The network of a card with random weights; exported, where an engine that wants ONNX is asked for."""
    chosen: ModelCard = card(request.card)
    if request.size:
        chosen = chosen.resized(*request.size)
    wants_onnx = any(parse(e)[0] != "torch" and not unavailable_reason(e) for e in request.engines)
    path = folder / f"{chosen.name}.onnx" if wants_onnx else None
    if path is not None:
        need("torch", "export")
        from hrnet_deploy.graph.metadata import save_model
        from hrnet_deploy.jobs.export import ExportOptions
        from hrnet_deploy.workflow.random_weights import random_model

        many = len(set(request.batches)) > 1
        model, _ = random_model(
            chosen, ExportOptions(batch=request.batches[0], dynamic=("batch",) if many else ()), say
        )
        save_model(model, path)
    return [Subject(f"card {chosen.name}", Source(chosen, path, None, "random"), Contract(), "fp32")]
