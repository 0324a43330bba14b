"""The fastest engine and precision that is still accurate, found by trying them: each candidate is judged on images to
choose by before it may win, all that pass are measured side by side, and the fastest is judged once more on images that
nothing was chosen by."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.bench.worker import Job
from hrnet_deploy.engines import ENGINES, open_engine, parse, unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, check_output, sha256
from hrnet_deploy.graph.metadata import Description, read_description
from hrnet_deploy.graph.quantize import TARGETS
from hrnet_deploy.jobs.bench import Subject, row_of
from hrnet_deploy.jobs.quantize import Quantized, quantize
from hrnet_deploy.jobs.quantize import Request as QuantizeRequest
from hrnet_deploy.parity import as_figures, budget_for, compare_on_images, judge
from hrnet_deploy.results.bench import BenchResult, BenchRow, verdict
from hrnet_deploy.results.codec import to_dict
from hrnet_deploy.results.figures import Budget, TaskFigures
from hrnet_deploy.stats import Ratio, faster
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.threads import available_threads
from hrnet_deploy.workflow.findings import SavedFindings, beside
from hrnet_deploy.workflow.split import Split

Say = Callable[[str], None]
Progress = Callable[[int], Callable[[], None]]
FLOAT = {"ort": ("ort",), "openvino": ("openvino", "openvino:precision=bf16")}  # how a float file can be run
QUEUED = {"openvino": "mode=throughput"}  # what lets an engine work on several inputs at a time
BASE = "torch"
REGIONS = ("compute", "end_to_end")
LEAST_SECONDS = 1.0  # a row's measured time, however little of the budget is left


@dataclass(frozen=True)
class Request:
    """What to tune. `max_drop` in points of the metric, either way; `minutes` bound the whole. `throughput`: engines may
    keep several inputs in flight, and the time is that of an input, not how long one takes. `statistics` names a file
    that keeps what was calibrated and, beside it, what was found: an interrupted run goes on from there."""

    model: Path
    output: Path
    split: Split
    max_drop: float = 0.5
    minutes: float = 10.0
    threads: Sequence[int] = ()
    checkpoint: str = ""
    throughput: bool = False
    statistics: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class Candidate:
    """One way to run the network: how it did on the images to choose by, why it is out, its row of the measurement; and
    of the fastest how it did on images that nothing was chosen by."""

    engine: str
    threads: int
    precision: str
    command: str  # makes the file again, empty where it is the one given
    figures: TaskFigures | None = None
    out: str = ""
    row: BenchRow | None = None
    verdict: TaskFigures | None = None

    @property
    def title(self) -> str:
        return self.engine if self.precision in self.engine else f"{self.engine} {self.precision}"

    @property
    def accepted(self) -> bool:
        return not self.out

    @property
    def milliseconds(self) -> float:
        return (
            self.row.regions["end_to_end"].summary.p50
            if self.row is not None and self.row.status == "ok"
            else float("inf")
        )


@dataclass(frozen=True)
class Tuned:
    """Every candidate, the winner first; the measurement they took turns in; how to make the winner again."""

    output: Path
    card: str
    candidates: Sequence[Candidate]
    result: BenchResult
    faster_than_base: Ratio | None
    verdict: str
    commands: Sequence[str]
    seconds: float

    @property
    def winner(self) -> Candidate:
        return self.candidates[0]

    def to_dict(self) -> dict[str, Any]:
        rows = [
            {**dataclasses.asdict(dataclasses.replace(c, row=None)), "milliseconds": c.milliseconds}
            for c in self.candidates
        ]
        rest = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        ratio = dataclasses.asdict(self.faster_than_base) if self.faster_than_base else None
        written = {
            "output": str(self.output),
            "candidates": rows,
            "result": to_dict(self.result),
            "faster_than_base": ratio,
        }
        return {"schema": 1, "kind": "tune", **rest, **written}


def tune(
    request: Request, command: str, say: Say = lambda _: None, progress: Progress = lambda _: lambda: None
) -> Tuned:
    """Try, judge, measure; write the winner's file."""
    check_output(request.output, request.force)
    if request.minutes <= 0 or request.max_drop < 0:
        raise BadInput("--minutes must be over 0, and --max-drop not below it")
    if request.statistics is not None:
        check_output(request.statistics, force=True)
    started = time.monotonic()
    deadline = started + 60 * request.minutes
    description = read_description(request.model)
    with tempfile.TemporaryDirectory() as folder:
        tuner = _Tuner(request, description, Path(folder), deadline, say, progress)
        candidates = [tuner.candidate(c) for c in tuner.candidates()]
        result = tuner.measured(candidates, command)
        by_row = {(r.engine, r.precision, r.threads): r for r in result.rows}
        candidates = [_with_row(c, by_row.get((c.engine, c.precision, c.threads))) for c in candidates]
        ranked = tuner.proved(sorted(candidates, key=lambda c: (not c.accepted, c.milliseconds)))
        if not ranked[0].accepted:
            raise BadInput(
                "no candidate stayed within the drop allowed — allow more with --max-drop, or look at `check`"
            )
        with atomic_write(request.output) as part:
            shutil.copyfile(tuner.file(ranked[0]), part)
    return Tuned(
        request.output,
        description.card.name,
        ranked,
        result,
        _against_base(result, ranked[0]),
        _verdict(ranked),
        _commands(request, ranked[0]),
        time.monotonic() - started,
    )


class _Tuner:
    """What the stages share: the reference, the images that judge, the files made so far and the time left."""

    def __init__(
        self, request: Request, description: Description, folder: Path, deadline: float, say: Say, progress: Progress
    ) -> None:
        self.request, self.description, self.folder, self.deadline = request, description, folder, deadline
        self.say, self.progress = say, progress
        self.task = task_of(description.card)
        self.reference = open_engine("ort", Source(description.card, request.model))
        self.parts = request.split.parts(search=True)
        self.statistics = request.statistics or folder / "statistics.npz"
        self.notes = SavedFindings(beside(self.statistics))
        self.files: dict[tuple[str, str], Path] = {}  # by precision and engine

    def file(self, candidate: Candidate) -> Path:
        return self.files[candidate.precision, parse(candidate.engine)[0]]

    def candidates(self) -> Iterator[Candidate]:
        """Every engine that runs ONNX here, in float and in int8, at every number of threads."""
        counts = self.request.threads or (available_threads(),)
        for name in (n for n in ENGINES if n in TARGETS and not unavailable_reason(n)):
            for spec in FLOAT.get(name, (name,)):
                precision = "bf16" if "bf16" in spec else "fp32"
                self.files[precision, name] = self.request.model
                for count in counts:
                    yield Candidate(self._spec(spec), count, precision, "")
            made, command = self._int8(name)
            if made is not None and made.passed:
                self.files["int8", name] = made.path
            out = (
                ""
                if made is not None and made.passed
                else "no time left to quantize"
                if made is None
                else "int8 loses too much"
            )
            for count in counts:
                yield Candidate(
                    self._spec(name), count, "int8", command, made.trials[-1].figures if made is not None else None, out
                )

    def _spec(self, engine: str) -> str:
        """An engine's name, with what lets it keep several inputs in flight where that is wanted."""
        extra = QUEUED.get(parse(engine)[0], "") if self.request.throughput else ""
        return engine if not extra else f"{engine}{',' if ':' in engine else ':'}{extra}"

    def _int8(self, target: str) -> tuple[Quantized | None, str]:
        if time.monotonic() > self.deadline:
            return None, ""
        self.say(f"quantizing for {target}")
        request = QuantizeRequest(
            model=self.request.model,
            output=self.folder / f"int8_{target}.onnx",
            split=self.request.split,
            target=target,
            max_drop=self.request.max_drop,
            statistics=self.statistics,
            speed=False,  # measured here, beside everything else
        )
        made = quantize(request, self.say, self.progress)
        words = [
            "hrnet-deploy",
            "quantize",
            str(request.model),
            "-o",
            str(self.request.output),
            *request.split.arguments(),
        ]
        words += ["--target", target, "--max-drop", f"{self.request.max_drop:g}"]
        for pattern in made.trials[-1].excluded:
            words += ["--exclude", pattern]
        return made, shlex.join(words)

    def candidate(self, candidate: Candidate) -> Candidate:
        """The candidate with its figures on the images to choose by."""
        if candidate.out:
            return candidate
        if time.monotonic() > self.deadline:
            return dataclasses.replace(candidate, out="no time left to judge it")
        figures, out = self._judged(candidate, self.parts.validation)
        return dataclasses.replace(candidate, figures=figures, out=out)

    def proved(self, ranked: Sequence[Candidate]) -> list[Candidate]:
        """The fastest candidate that also stays within the drop on images nothing was chosen by, first; those before it
        that do not are out."""
        failed: list[Candidate] = []
        for number, candidate in enumerate(ranked):
            if not candidate.accepted:
                break
            figures, out = self._judged(candidate, self.parts.test)
            if not out:
                return [dataclasses.replace(candidate, verdict=figures), *ranked[number + 1 :], *failed]
            failed.append(dataclasses.replace(candidate, verdict=figures, out=f"{out} on images nothing was chosen by"))
        return [*failed, *ranked[len(failed) :]]

    def _judged(self, candidate: Candidate, dataset: Dataset) -> tuple[TaskFigures, str]:
        """Figures in the candidate's own engine, and what of them is past its limit."""
        file = self.file(candidate)

        def find() -> dict[str, Any]:
            self.say(f"judging {candidate.title}")
            engine = open_engine(candidate.engine, Source(self.description.card, file), candidate.threads)
            tick = self.progress(len(dataset))
            figures = compare_on_images(self.reference, self.task, engine, self.task, dataset, tick)
            engine.close()
            return dataclasses.asdict(figures)

        of = {
            "parent": sha256(self.request.model),
            "file": sha256(file),
            "engine": candidate.engine,
            "threads": candidate.threads,
        }
        of["task"] = self.task.protocol()
        figures = as_figures(self.notes.once({**of, "images": dataset.digest}, find))
        limits = budget_for(candidate.precision, self.task).replaced_by(Budget(drop=self.request.max_drop))
        checks = judge(limits, [], figures)
        return figures, "; ".join(f"{c.name} {c.value:.3g}" for c in checks if not c.passed)

    def measured(self, candidates: Sequence[Candidate], command: str) -> BenchResult:
        """PyTorch eager, where there is PyTorch, and every accepted candidate, in turns."""
        card, contract = self.description.card, self.description.contract
        rows: list[tuple[BenchRow, Job | None]] = []
        if not unavailable_reason(BASE):
            from hrnet_deploy import checkpoints

            found = checkpoints.resolve(self.request.checkpoint) if self.request.checkpoint else None
            subject = Subject(self.request.model.name, Source(card, None, found), contract, "fp32")
            rows.append(row_of(subject, BASE, 1, available_threads()))
        for c in (c for c in candidates if c.accepted):
            subject = Subject(self.request.model.name, Source(card, self.file(c)), contract, c.precision)
            rows.append(row_of(subject, c.engine, 1, c.threads))
        left = max(0.0, self.deadline - time.monotonic())
        seconds = min(5.0, max(LEAST_SECONDS, 0.6 * left / max(1, len(rows) * len(REGIONS))))
        return run(rows, Schedule(seconds=seconds, regions=REGIONS), command, self.say)


def _with_row(candidate: Candidate, row: BenchRow | None) -> Candidate:
    if row is None or not candidate.accepted:
        return candidate
    return dataclasses.replace(candidate, row=row, out="" if row.status == "ok" else f"{row.status}: {row.reason}")


def _against_base(result: BenchResult, winner: Candidate) -> Ratio | None:
    if result.base is None or winner.row is None or winner.row == result.base:
        return None
    return faster(result.base.regions["end_to_end"].rounds, winner.row.regions["end_to_end"].rounds)


def _verdict(ranked: Sequence[Candidate]) -> str:
    """One plain sentence: the winner against the fastest candidate of another precision."""
    winner = ranked[0]
    other = next((c for c in ranked[1:] if c.accepted and c.precision != winner.precision and c.row is not None), None)
    refused = [c for c in ranked if not c.accepted and c.precision == "int8"]
    if other is None or other.row is None or winner.row is None:
        return f"{winner.title} is what there is" + (" (int8 loses too much)" if refused else "")
    ratio = faster(other.row.regions["end_to_end"].rounds, winner.row.regions["end_to_end"].rounds)
    return verdict(winner.title, winner.precision, other.title, ratio)


def _commands(request: Request, winner: Candidate) -> list[str]:
    """What makes the winner again, and measures it."""
    made = [winner.command] if winner.command else [shlex.join(["cp", str(request.model), str(request.output)])]
    engines = ["--engine", BASE] if not unavailable_reason(BASE) else []
    checkpoint = ["--checkpoint", request.checkpoint] if request.checkpoint else []
    bench = ["hrnet-deploy", "bench", str(request.output), *engines, "--engine", winner.engine, *checkpoint]
    return [*made, shlex.join([*bench, "--threads", str(winner.threads)])]
