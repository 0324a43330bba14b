"""Runs all stages from a checkpoint to figures, for the requested engines and precisions.

Each stage writes its file and its result into one folder. A later run reuses a stage only if everything that it depends
on is the same (`workflow.stages`). So an interrupted run can be resumed, and no figure is shown that belongs to other
images, engines or durations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hrnet_deploy import checkpoints
from hrnet_deploy.bench.rows import REFERENCE, RowAndSpec, Subject, row_of
from hrnet_deploy.bench.run import Schedule
from hrnet_deploy.bench.run import run as measure
from hrnet_deploy.engines import ENGINES, parse, require, require_runs_files, unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import sha256
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.graph.quantize import TARGETS
from hrnet_deploy.jobs.check import CheckRequest, check
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
from hrnet_deploy.jobs.half import HalfRequest, half, images_for
from hrnet_deploy.jobs.quantize import QuantizeRequest, quantize
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results import codec
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.check import CheckResult
from hrnet_deploy.results.export import ExportResult
from hrnet_deploy.results.figures import TaskFigures
from hrnet_deploy.results.float16 import HalfResult
from hrnet_deploy.results.quantization import QuantizeResult
from hrnet_deploy.results.run import RunResult, RunStage
from hrnet_deploy.tasks.base import InputFormat
from hrnet_deploy.threads import available_threads
from hrnet_deploy.workflow.arguments import require_amount, require_annotations, require_one_of
from hrnet_deploy.workflow.identity import hardware, images_digest
from hrnet_deploy.workflow.split import Split
from hrnet_deploy.workflow.stages import StageFolder

PRECISIONS = ("fp32", "fp16", "int8")
RUN = "run.json"
Judged = TypeVar("Judged", ExportResult, HalfResult, QuantizeResult, CheckResult)


@dataclass(frozen=True)
class RunRequest:
    """What to run.

    Attributes:
        checkpoint: a file, or the name of a card that comes with weights.
        folder: for every file that is written.
        split: the images.
        engines: every engine that runs here unless given.
        precisions: among "fp32", "fp16" and "int8".
        max_drop: if given, blocks are left in float until int8 changes the metric by at most this, in points.
        seconds: measured time of each row and region.
        weights_key: which weights of the checkpoint, where it holds several; the plain ones unless given.
        options: how the checkpoint is exported.
    """

    checkpoint: str
    folder: Path
    split: Split
    engines: Sequence[str] = ()
    precisions: Sequence[str] = ("fp32", "int8")
    max_drop: float | None = None
    seconds: float = 5.0
    weights_key: str = ""
    options: ExportOptions = field(default_factory=ExportOptions)

    def __post_init__(self) -> None:
        require_one_of(PRECISIONS, self.precisions, "precision")
        for engine in self.engines:
            require_runs_files(engine)
        if not self.precisions:
            raise BadInput(f"--precision is empty — choose among {', '.join(PRECISIONS)}")
        require_amount("--max-drop", self.max_drop)
        require_amount("--seconds", self.seconds, above_zero=True)


def run(request: RunRequest, progress: Progress = SILENT) -> RunResult:
    """Export, convert, check every file in its engine, and measure those that passed, in alternating rounds.

    Raises BadInput if the folder belongs to another checkpoint, and Unavailable if an engine cannot run here.
    """
    engines = list(request.engines) or [n for n in ENGINES if n in TARGETS and not unavailable_reason(n)]
    for engine in engines:
        require(engine)
    if request.folder.exists() and not request.folder.is_dir():
        raise BadInput(f"{request.folder} is a file — name a folder")
    runner = _Runner(request, progress)
    if runner.export():
        card, split = read_description(runner.float_file).card, request.split
        require_annotations(split.annotations, card, request.checkpoint, split.categories, split.boxes)
        for engine in engines:
            for precision in request.precisions:
                runner.convert_and_check(engine, precision)
    measured = runner.bench()
    done = RunResult(
        folder=str(request.folder), stages=runner.stages, result=measured, skipped=[*runner.skipped.values()]
    )
    codec.write(request.folder / RUN, done)
    return done


class _Runner:
    """The stages of a run, in order, with the files that passed."""

    def __init__(self, request: RunRequest, progress: Progress) -> None:
        self.request, self.progress = request, progress
        self.weights = checkpoints.resolve(request.checkpoint, progress)
        card = checkpoints.load(self.weights, request.weights_key).card  # tells what a public data set is wanted for
        self.parts = request.split.parts(search=request.max_drop is not None, card=card)
        self.weights_digest = sha256(self.weights)
        self._require_same_checkpoint()
        self.folder = StageFolder(request.folder)
        self.float_file = request.folder / "fp32.onnx"
        self.stages: list[RunStage] = []
        self.skipped = {s.file: s for s in self.parts.skipped}
        self.passed: dict[tuple[str, str], Path] = {}  # files by engine and precision

    def _require_same_checkpoint(self) -> None:
        """Raises BadInput if the folder has a run of another checkpoint."""
        folder, path = self.request.folder, self.request.folder / "fp32.onnx"
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and read_description(path).provenance.get("checkpoint") != self.weights_digest:
            raise BadInput(f"{folder} holds a run of another checkpoint — name another folder, or delete it")

    def export(self) -> bool:
        request = ExportRequest(self.request.checkpoint, self.float_file, self.request.options, force=True)
        request = dataclasses.replace(request, weights_key=self.request.weights_key)
        inputs = {
            "the checkpoint": self.weights_digest,
            "the options": repr(request.options) + self._chosen_weights,
            "the machine": hardware(),
        }
        return self._stage(
            "export", ExportResult, inputs, lambda: export(request, self.progress), lambda r: r.task, self.float_file
        )

    @property
    def _chosen_weights(self) -> str:
        """Which weights of the checkpoint are taken, for what stages depend on; empty for the plain ones."""
        return f", weights {self.request.weights_key}" if self.request.weights_key else ""

    def convert_and_check(self, engine: str, precision: str) -> None:
        """Make the file of an engine and precision, and check it in the engine."""
        path = self._file(parse(engine)[0], precision)
        if precision == "fp16" and not self._half(path):
            return
        if precision == "int8" and not self._quantize(path):
            return
        request = CheckRequest(
            path, self.request.checkpoint, engine=engine, dataset=self.parts.test, weights_key=self.request.weights_key
        )
        images = self.request.split.images
        inputs = {
            "the model file": sha256(path),
            "the checkpoint": self.weights_digest + self._chosen_weights,
            "the engine": f"{engine}, {available_threads()} threads",
            "the test images": images_digest(self.parts.test),
            "the limits": repr(request.limits),
            "the machine": hardware(),
        }

        def work() -> CheckResult:
            return dataclasses.replace(check(request, self.progress), images=str(images))

        if self._stage(f"check {precision} in {engine}", CheckResult, inputs, work, lambda r: r.task):
            self.passed[engine, precision] = path

    def bench(self) -> BenchResult:
        """The measurement of everything that passed, PyTorch first."""
        if not self.passed:
            return BenchResult(rows=())
        schedule = Schedule(seconds=self.request.seconds)
        rows = self._rows()
        files = {f"{engine} {precision}": sha256(path) for (engine, precision), path in self.passed.items()}
        named = [(row.engine, row.precision, row.batch, row.threads) for row, _ in rows]
        inputs = {
            "the rows": repr(named),
            "the model files": repr(files),
            "the checkpoint": self.weights_digest,
            "the schedule": repr(schedule),
            "the machine": hardware(),
        }

        def work() -> BenchResult:
            return measure(rows, schedule, self.progress)

        def good(result: BenchResult) -> bool:
            return all(row.status == "ok" for row in result.rows)

        result, reused, changed = self.folder.run_or_reuse("bench", BenchResult, inputs, work, good)
        self.stages.append(
            RunStage("bench", good(result), self.folder.result_file("bench").name, None, reused, changed)
        )
        return result

    def _half(self, path: Path) -> bool:
        split = self.request.split
        request = HalfRequest(self.float_file, path, split.images, force=True, strict=split.strict)
        inputs = {
            "the model file": sha256(self.float_file),
            "the images": images_digest(images_for(request.images, request.strict)),
            "the machine": hardware(),
        }
        return self._stage("fp16", HalfResult, inputs, lambda: half(request, self.progress), lambda r: r.figures, path)

    def _quantize(self, path: Path) -> bool:
        calibrated_on = {
            "the model file": sha256(self.float_file),
            "the calibration images": images_digest(self.parts.calibration),
        }
        inputs = {
            **calibrated_on,
            "the validation images": images_digest(self.parts.validation),
            "the test images": images_digest(self.parts.test),
            "the limits": f"max drop {self.request.max_drop}",
            "the machine": hardware(),
        }

        def work() -> QuantizeResult:
            cache = self.folder.discard_if_stale(self.request.folder / "statistics.npz", calibrated_on)
            request = QuantizeRequest(
                model=self.float_file,
                output=path,
                split=self.request.split,
                target=path.stem.removeprefix("int8_"),
                max_drop=self.request.max_drop,
                calibration_cache=cache,
                force=True,
            )
            return quantize(request, self.progress)

        return self._stage(path.stem, QuantizeResult, inputs, work, lambda r: r.trials[-1].figures, path)

    def _stage(
        self,
        name: str,
        cls: type[Judged],
        inputs: Mapping[str, str],
        work: Callable[[], Judged],
        figures: Callable[[Judged], TaskFigures],
        *outputs: Path,
    ) -> bool:
        """Run or reuse a stage, and record it. Returns whether it passed."""
        if known := next((s for s in self.stages if s.name == name), None):
            return known.passed
        self.progress.stage(name)
        result, reused, changed = self.folder.run_or_reuse(name, cls, inputs, work, lambda r: r.passed, outputs)
        self.skipped.update((s.file, s) for s in result.skipped)
        report = self.folder.result_file(name).name
        self.stages.append(RunStage(name, result.passed, report, figures(result), reused, changed))
        return result.passed

    def _file(self, engine: str, precision: str) -> Path:
        """The path of a model file. An int8 file is made for one engine, other files for all."""
        return self.request.folder / (f"int8_{engine}.onnx" if precision == "int8" else f"{precision}.onnx")

    def _rows(self) -> list[RowAndSpec]:
        """PyTorch first, for comparison, then everything that passed."""
        card = read_description(self.float_file).card
        threads = available_threads()
        reference = Source(card, None, self.weights, weights_key=self.request.weights_key)
        rows = [row_of(Subject(card.name, reference, InputFormat(), "fp32"), REFERENCE, 1, threads)]
        for (engine, precision), path in self.passed.items():
            rows.append(row_of(Subject(card.name, Source(card, path), InputFormat(), precision), engine, 1, threads))
        return rows
