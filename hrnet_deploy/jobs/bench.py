"""Measures every model in every engine, with every batch size and number of threads, in alternating rounds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hrnet_deploy.bench.launcher import LOCAL, Launcher
from hrnet_deploy.bench.machine import Machine
from hrnet_deploy.bench.rows import REFERENCE, Subject, row_of, without_repeats
from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.cards import ModelCard, card
from hrnet_deploy.engines import parse
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput, Unavailable, need
from hrnet_deploy.files import temporary_folder
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.stats import FEWEST_ROUNDS
from hrnet_deploy.tasks.base import InputFormat
from hrnet_deploy.workflow.arguments import require_amount, require_count
from hrnet_deploy.workflow.open_model import weights_of


@dataclass(frozen=True)
class BenchRequest:
    """What to measure: either files, or the network of a card with random weights.

    Attributes:
        models: ONNX files or plans.
        card: name or file of a card, if no model files are given.
        checkpoint: weights for the PyTorch engine; random ones unless given.
        engines: with options, as on the command line.
        batches: images per inference; one row for each.
        threads: numbers of threads; all available ones unless given.
        size: height and width of a card's input; the card's own unless given.
        seconds: measured time of each row and region.
        rounds: turns that each row takes.
        oversubscribe: whether there may be more threads than cores.
        weights_key: which weights of the checkpoint, where it holds several; those a file was made from unless given.
        layers: whether the time of each layer is measured too, in engines that can measure it.
        schedule: all settings of the measurement, in place of `seconds`, `rounds` and `layers`.

    Raises BadInput if a number makes no sense.
    """

    models: Sequence[Path] = ()
    card: str = ""
    checkpoint: str = ""
    engines: Sequence[str] = ("ort",)
    batches: Sequence[int] = (1,)
    threads: Sequence[int] = ()
    size: tuple[int, int] | None = None
    seconds: float = Schedule.seconds
    rounds: int = Schedule.rounds
    layers: bool = False
    schedule: Schedule | None = None
    oversubscribe: bool = False
    weights_key: str = ""

    def __post_init__(self) -> None:
        for batch in self.batches:
            require_count("--batch", batch)
        for count in self.threads:
            require_count("--threads", count)
        require_amount("--seconds", self.seconds, above_zero=True)
        require_count("--rounds", self.rounds, FEWEST_ROUNDS)
        if not self.models and not self.card:
            raise BadInput(
                "nothing to measure — name an ONNX file, or a card: --card pose_hrnet_w48_256x192 --weights random"
            )
        if self.size and self.models:
            raise BadInput("--size goes with --card, because a file has the size it was exported with — leave it out")
        if self.weights_key and not self.checkpoint:
            raise BadInput("--weights-key needs a checkpoint — give it with --checkpoint")


def bench(request: BenchRequest, progress: Progress = SILENT, launcher: Launcher = LOCAL) -> BenchResult:
    """Measure all rows. A row that fails says why, and the others continue.

    Args:
        request: what to measure.
        progress: is notified of each stage.
        launcher: where the rows are measured.

    Raises:
        BadInput: more threads are requested than there are, or a file cannot be read.
        Unavailable: none of the engines can run.
    """
    progress.stage("looking at the machine")
    with Machine(launcher) as machine, temporary_folder() as folder:
        threads = request.threads or (machine.threads(),)
        if not request.oversubscribe:
            _require_cores(threads, machine.threads())
        missing = machine.unavailable_reasons(request.engines)
        if all(missing.values()):
            raise Unavailable("; ".join(f"the {e} engine cannot run here: {r}" for e, r in missing.items()))
        subjects = _files(request) if request.models else _of_card(request, missing, folder, progress)
        combinations = itertools.product(subjects, request.engines, request.batches, threads)
        rows = without_repeats(row_of(s, e, batch, count, missing[e]) for s, e, batch, count in combinations)
        schedule = request.schedule or Schedule(request.seconds, request.rounds, layers=request.layers)
        return run(rows, schedule, progress, machine)


def _require_cores(threads: Sequence[int], available: int) -> None:
    if max(threads) > available:
        raise BadInput(
            f"--threads {max(threads)} is more than the {available} that can be used here — give {available} or fewer, "
            "because threads that share a core wait for each other, or pass --oversubscribe to measure just that"
        )


def _files(request: BenchRequest) -> list[Subject]:
    from hrnet_deploy.graph.foreign.bare import precision_of
    from hrnet_deploy.graph.metadata import is_bare, read_description

    subjects = []
    for path in request.models:
        if is_bare(path):
            subjects.append(Subject(path.name, Source(None, path), InputFormat(), precision_of(path)))
            continue
        found = read_description(path)
        checkpoint, key = None, ""
        if request.checkpoint:
            checkpoint, key = weights_of(request.checkpoint, request.weights_key, found)
        source = Source(found.card, path, checkpoint, weights_key=key)
        subjects.append(Subject(path.name, source, found.input_format, found.precision))
    return subjects


def _of_card(request: BenchRequest, missing: Mapping[str, str], folder: Path, progress: Progress) -> list[Subject]:
    """The network of a card with random weights. It is exported if an engine needs an ONNX file."""
    chosen: ModelCard = card(request.card)
    if request.size:
        chosen = chosen.resized(*request.size)
    wants_onnx = any(parse(e)[0] != REFERENCE and not missing[e] for e in request.engines)
    path = folder / f"{chosen.name}.onnx" if wants_onnx else None
    if path is not None:
        need("torch", "export")
        from hrnet_deploy.graph.metadata import save_model
        from hrnet_deploy.workflow.network_export import ExportOptions
        from hrnet_deploy.workflow.random_weights import random_model

        many = len(set(request.batches)) > 1
        options = ExportOptions(batch=request.batches[0], dynamic=("batch",) if many else ())
        model, _ = random_model(chosen, options, progress)
        save_model(model, path)
    return [Subject(f"card {chosen.name}", Source(chosen, path, None, "random"), InputFormat(), "fp32")]
