"""The HRNet paper's cost table on this machine: nine networks at the paper's input sizes, in every engine that runs
here.

The rows of one network take turns in one run, so that ratios between them are reliable. The result file is written
after each network, so an interrupted run can be resumed.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_deploy.bench.launcher import LOCAL, Launcher
from hrnet_deploy.bench.machine import Machine
from hrnet_deploy.bench.rows import RowAndSpec, Subject, row_of
from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines import ENGINES, open_engine, parse
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput, DeployError, Unavailable
from hrnet_deploy.files import temporary_folder
from hrnet_deploy.graph.metadata import Description
from hrnet_deploy.graph.quantize import TARGETS
from hrnet_deploy.jobs.export import verify
from hrnet_deploy.parity import score_on_images
from hrnet_deploy.progress import SILENT, NamedProgress, Progress
from hrnet_deploy.results import codec
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.cost_table import (
    CostTableEntry,
    CostTableResult,
    CostTableSettings,
    Parity,
    Score,
)
from hrnet_deploy.results.figures import all_passed
from hrnet_deploy.tasks.base import InputFormat, task_of
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.readable import readable
from hrnet_deploy.tasks.samples import sample_images
from hrnet_deploy.workflow.arguments import require_amount
from hrnet_deploy.workflow.paper_networks import PaperNetwork, chosen_networks, empty_entry, paper_networks

if TYPE_CHECKING:
    import onnx

SUFFIXES = (".safetensors", ".pth", ".pt")
SCHEDULE = Schedule(seconds=5.0, rounds=6, warm_up_most=20.0, least=1, regions=("compute",))
QUICK = Schedule(seconds=0.3, rounds=6, warm_up=0.1, warm_up_most=0.5, least=1, regions=("compute",))


@dataclass(frozen=True)
class CostTableRequest:
    """What to measure.

    Attributes:
        output: the result file. It is written after each network. If it already has a part of the same table, the
            rest is added.
        engines: with options, as on the command line; every engine that runs here unless given.
        tasks, cards: only the networks of these tasks and cards; all unless given.
        checkpoints: a folder of weights that are named after the cards; other networks get random weights.
        data: a folder with one folder of annotated images per task (pose, segmentation, detection), to score trained
            weights on.
        quick: whether to use small inputs and short times, to see that everything works.
        minutes: after that many minutes no other network is started.
        training: whether training steps are measured too.
        command: the command line, which is recorded in the file.
        networks: other networks than the paper's.
        timing: how long and how often each row is measured, in place of what `quick` says.
    """

    output: Path
    engines: Sequence[str] = ()
    tasks: Sequence[str] = ()
    cards: Sequence[str] = ()
    checkpoints: Path | None = None
    data: Path | None = None
    quick: bool = False
    minutes: float | None = None
    training: bool = False
    command: str = ""
    networks: Sequence[PaperNetwork] = ()
    timing: Schedule | None = None

    def __post_init__(self) -> None:
        require_amount("--budget", self.minutes)

    @property
    def schedule(self) -> Schedule:
        return self.timing or (QUICK if self.quick else SCHEDULE)


def cost_table(request: CostTableRequest, progress: Progress = SILENT, launcher: Launcher = LOCAL) -> CostTableResult:
    """Measure the networks that the output file does not have yet, and return the whole content of the file.

    A network that cannot be measured says why, and the others are measured.

    Raises:
        BadInput: no network has the requested tasks and cards, or the output file is something else.
        Unavailable: a requested engine cannot run.
    """
    chosen = chosen_networks(request.networks or paper_networks(request.quick), request.tasks, request.cards)
    progress.stage("looking at the machine")
    with Machine(launcher) as machine:
        return _Table(request, progress, machine).measured(chosen)


class _Table:
    """A run over the networks of a request."""

    def __init__(self, request: CostTableRequest, progress: Progress, machine: Machine) -> None:
        self._request, self._progress, self._machine = request, progress, machine
        self._missing = machine.unavailable_reasons([*ENGINES, *request.engines])
        for engine in request.engines:
            if reason := self._missing[engine]:
                raise Unavailable(f"the {parse(engine)[0]} engine cannot run here: {reason}")
        self._settings = CostTableSettings(
            engines=list(request.engines) or [n for n in ENGINES if not self._missing[n]],
            quick=request.quick,
            checkpoints=str(request.checkpoints or ""),
            data=str(request.data or ""),
            seconds=request.schedule.seconds,
            rounds=request.schedule.rounds,
            threads=machine.threads(),
        )

    def measured(self, chosen: Sequence[PaperNetwork]) -> CostTableResult:
        """Measure these networks, and write the file after each."""
        request = self._request
        earlier = self._earlier()
        started = earlier.started if earlier else datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        known = (
            {c.name: c for c in earlier.columns} if earlier else {}
        )  # networks that are not requested now stay in the file
        entries = {**known, **{n.name: known.get(n.name) or empty_entry(n) for n in chosen}}
        order = {n.name: number for number, n in enumerate(request.networks or paper_networks())}
        entries = {name: entries[name] for name in sorted(entries, key=lambda n: order.get(n, len(order)))}
        result = CostTableResult(
            settings=self._settings,
            columns=list(entries.values()),
            command=request.command,
            started=started,
            environment=self._machine.environment(),
        )
        begin = time.monotonic()
        for network in chosen:
            entry = entries[network.name]
            if entry.result is not None and (entry.training is not None or not request.training):
                continue
            if request.minutes is not None and time.monotonic() - begin > 60 * request.minutes:
                what = "its turn" if entry.result is None else "its training step"
                reason = f"the time was over before {what} — run the same command again to continue"
                entries[network.name] = dataclasses.replace(entry, reason=reason)
            else:
                entries[network.name] = self._entry(network, entry)
            result = dataclasses.replace(result, columns=list(entries.values()))
            codec.write(request.output, result)
        return result

    def _earlier(self) -> CostTableResult | None:
        """The result of an earlier run with the same settings, if there is one."""
        path = self._request.output
        if not path.exists():
            return None
        try:
            found = codec.read_as(path, CostTableResult)
        except BadInput as error:
            raise BadInput(f"{path} is not a cost table ({error}) — name another file with -o, or delete it") from error
        if found.settings != self._settings:
            raise BadInput(f"{path} holds a cost table with other settings — name another file with -o, or delete it")
        return found

    def _entry(self, network: PaperNetwork, entry: CostTableEntry) -> CostTableEntry:
        """The entry with what was missing in it, or with the reason why it could not be measured."""
        named = NamedProgress(network.name, self._progress)
        try:
            if entry.result is None:
                entry = self._inference(network, dataclasses.replace(entry, reason=""), named)
            if self._request.training and entry.training is None:
                from hrnet_deploy.bench.training import measure_training

                quick, paper = self._request.quick, network.paper
                device = "cuda" if any("cuda" in parse(e)[1] for e in self._request.engines) else "cpu"
                size = tuple(map(int, paper.training_input.split("x")))
                chosen = network.card if quick else network.card.resized(size[0], size[1])
                found = measure_training(chosen, paper.training_batch, self._machine, quick, device, named)
                entry = dataclasses.replace(entry, training=found)
        except DeployError as error:
            entry = dataclasses.replace(entry, reason=str(error))
        return entry

    def _inference(self, network: PaperNetwork, entry: CostTableEntry, progress: Progress) -> CostTableEntry:
        """Measure float32 in every engine, and int8 in each engine with a quantization target."""
        chosen, engines = network.card, self._settings.engines
        weights = _checkpoint(network, self._request)
        if weights is None and all(parse(e)[0] == "torch" for e in engines):  # no ONNX file is needed
            plain = Subject(chosen.name, Source(chosen, weights="random"), InputFormat(), "fp32")
            rows = [self._row(plain, e) for e in engines]
            return dataclasses.replace(entry, result=self._run(rows, progress))
        with temporary_folder() as place:
            subject, integers, parity = self._files(network, weights, place, progress)
            rows = []
            for engine in engines:
                rows.append(self._row(subject, engine))
                if (name := parse(engine)[0]) in integers:
                    rows.append(self._row(integers[name], engine))
            score = _score(subject.source, self._request, progress) if weights is not None else None
            return dataclasses.replace(entry, result=self._run(rows, progress), score=score, parity=parity)

    def _files(
        self, network: PaperNetwork, weights: Path | None, place: Path, progress: Progress
    ) -> tuple[Subject, dict[str, Subject], Parity]:
        """The verified float32 file, the int8 file for each engine with a quantization target, and the difference of
        the graph from PyTorch."""
        from hrnet_deploy.graph.metadata import save_model
        from hrnet_deploy.workflow.network_export import ExportOptions
        from hrnet_deploy.workflow.random_weights import int8_file, noise_ranges, random_model

        chosen = network.card
        if weights is None:
            model, description = random_model(chosen, ExportOptions(), progress)
        else:
            model, description = _trained(weights, chosen, progress)
        path = place / "fp32.onnx"
        save_model(model, path)
        source = Source(chosen, path, weights, "random" if weights is None else "trained")
        subject = Subject(chosen.name, source, InputFormat(), "fp32")
        parity = parity_at_input(source, description, progress)
        targets = [t for t in TARGETS if t in {parse(e)[0] for e in self._settings.engines}]
        if targets:
            progress.stage("collecting ranges on noise")
            ranges = noise_ranges(model, chosen)
        integers: dict[str, Subject] = {}
        for target in targets:
            path = place / f"int8_{target}.onnx"
            int8_file(model, description, ranges, target, path)
            made = dataclasses.replace(source, file=path, checkpoint=None)
            integers[target] = dataclasses.replace(subject, source=made, precision="int8")
        return subject, integers, parity

    def _row(self, subject: Subject, engine: str) -> RowAndSpec:
        return row_of(subject, engine, 1, self._settings.threads, self._missing[engine])

    def _run(self, rows: Sequence[RowAndSpec], progress: Progress) -> BenchResult:
        found = run(rows, self._request.schedule, progress, self._machine)
        return dataclasses.replace(found, command=self._request.command)


def parity_at_input(source: Source, description: Description, progress: Progress = SILENT) -> Parity:
    """Compare the exported graph with PyTorch at the network's own input, on noise and on one image.

    Raises BadInput if they differ by more than a limit, because then there is no point in measuring the graph.
    """
    samples = sample_images()
    one = dataclasses.replace(samples, items=samples.items[:1])
    found = verify(source, description, one, progress)
    if not all_passed(found.checks):
        failed = next((c for c in found.checks if not c.passed), None)
        reason = f"{failed.name} is {failed.value:.3g} where {failed.limit:g} is allowed" if failed else "no check ran"
        raise BadInput(
            f"its ONNX file does not compute what PyTorch does ({reason}) — export the card by itself to see which "
            "tensor differs"
        )
    relative = max((t.relative for t in (*found.tensors, *found.task.tensors)), default=None)
    return Parity(relative, found.task.distance.sentence)


def _score(source: Source, request: CostTableRequest, progress: Progress) -> Score | None:
    """The task's metric of trained weights, if there is data for the task."""
    place = request.data / source.card.task if request.data is not None else None
    if place is None or not place.is_dir():
        return None
    task, dataset = task_of(source.card), readable(load_dataset(place))
    progress.stage("scoring")
    engine = open_engine("ort", source)
    figures: Mapping[str, float] = score_on_images(engine, task, dataset).figures()
    engine.close()
    left_out = f", without {len(dataset.skipped)} that cannot be read" if dataset.skipped else ""
    data = f"{len(dataset)} images of {place}{left_out}"
    return Score(task.metric, 100 * figures[task.metric], data, dataset.skipped)


def _checkpoint(network: PaperNetwork, request: CostTableRequest) -> Path | None:
    if request.checkpoints is None:
        return None
    return next((p for s in SUFFIXES if (p := request.checkpoints / f"{network.card.name}{s}").exists()), None)


def _trained(weights: Path, chosen: ModelCard, progress: Progress) -> tuple[onnx.ModelProto, Description]:
    from hrnet_deploy import checkpoints
    from hrnet_deploy.architecture import require_same
    from hrnet_deploy.workflow.network_export import ExportOptions, export_network

    progress.stage("reading the checkpoint")
    found = checkpoints.load(weights)
    table = f"the table's card {chosen.name}"
    require_same(weights, found.architecture, table, chosen.architecture, "rename the file, or move it elsewhere")
    return export_network(found.network(), chosen, ExportOptions(), {"checkpoint": found.sha256}, progress)
