"""The candidates of `tune`: they are made, judged on images and measured; the fastest is then judged on the test
set."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hrnet_deploy.bench.rows import REFERENCE, RowAndSpec, Subject, row_of
from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.engines import ENGINES, open_engine, parse, unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.graph.metadata import Description, file_digest
from hrnet_deploy.graph.quantize import TARGETS
from hrnet_deploy.jobs.quantize import QuantizeRequest, quantize
from hrnet_deploy.parity import as_figures, budget_for, compare_on_images, judge
from hrnet_deploy.progress import Progress
from hrnet_deploy.results.base import Skipped
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.figures import Budget, TaskFigures
from hrnet_deploy.results.quantization import QuantizeResult
from hrnet_deploy.results.tuning import Candidate
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.threads import available_threads
from hrnet_deploy.workflow.findings import FindingsCache, cache_beside
from hrnet_deploy.workflow.identity import images_digest
from hrnet_deploy.workflow.open_model import weights_of
from hrnet_deploy.workflow.split import Split

FLOAT = {"ort": ("ort",), "openvino": ("openvino", "openvino:precision=bf16")}  # the ways to run a float file
QUEUED = {"openvino": "mode=throughput"}  # the option with which an engine keeps several inputs in flight
REGIONS = ("compute", "end_to_end")
LEAST_SECONDS = 1.0  # the least measured time of a row, however little of the budget is left


@dataclasses.dataclass
class Tuner:
    """What the stages of `tune` share: the reference, the images, the files made so far and the time left.

    Attributes:
        model, output, split, max_drop, checkpoint, weights_key, throughput: as in `TuneRequest`.
        description: of the model file.
        thread_counts: numbers of threads to try; empty for all available ones.
        cache: the file of calibration statistics.
        folder: for the files of candidates.
        deadline: the end of the budget, on the clock of `time.monotonic`.
        progress: is notified of each stage.
    """

    model: Path
    output: Path
    description: Description
    split: Split
    max_drop: float
    thread_counts: Sequence[int]
    checkpoint: str
    weights_key: str
    throughput: bool
    cache: Path
    folder: Path
    deadline: float
    progress: Progress

    def __post_init__(self) -> None:
        self._parts = self.split.parts(search=True, card=self.description.card)
        self._task = task_of(self.description.card)
        self._reference = open_engine("ort", Source(self.description.card, self.model))
        self._cached = FindingsCache(cache_beside(self.cache))
        self._files: dict[tuple[str, str], Path] = {}  # by precision and engine

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The images that cannot be read."""
        return self._parts.skipped

    def file(self, candidate: Candidate) -> Path:
        """The model file of a candidate."""
        return self._files[candidate.precision, parse(candidate.engine)[0]]

    def command(self, candidate: Candidate) -> str:
        """The command line that makes the candidate's file under the name of the output."""
        return candidate.command or shlex.join(["cp", str(self.model), str(self.output)])

    def candidates(self) -> Iterator[Candidate]:
        """Every engine that runs ONNX here, in float and in int8, with every number of threads."""
        counts = self.thread_counts or (available_threads(),)
        for name in (n for n in ENGINES if n in TARGETS and not unavailable_reason(n)):
            for spec in FLOAT.get(name, (name,)):
                precision = "bf16" if "bf16" in spec else "fp32"
                self._files[precision, name] = self.model
                for count in counts:
                    yield Candidate(self._spec(spec), count, precision, "")
            made = self._quantized(name) if time.monotonic() <= self.deadline else None
            loss = "" if made is None or made.passed else "int8 loses too much"
            rejected = "no time was left to quantize" if made is None else loss
            if made is not None and made.path is not None:
                self._files["int8", name] = Path(made.path)
            figures = None if made is None else made.trials[-1].figures
            command = "" if made is None else self._quantize_command(name, made)
            for count in counts:
                yield Candidate(self._spec(name), count, "int8", command, figures, rejected)

    def _spec(self, engine: str) -> str:
        """An engine's name, with the option that keeps several inputs in flight if `throughput` is set."""
        extra = QUEUED.get(parse(engine)[0], "") if self.throughput else ""
        return engine if not extra else f"{engine}{',' if ':' in engine else ':'}{extra}"

    def _quantized(self, target: str) -> QuantizeResult:
        self.progress.stage(f"quantizing for {target}")
        request = QuantizeRequest(
            model=self.model,
            output=self.folder / f"int8_{target}.onnx",
            split=self.split,
            target=target,
            max_drop=self.max_drop,
            calibration_cache=self.cache,
            speed=False,  # `measured` measures it together with everything else
        )
        return quantize(request, self.progress)

    def _quantize_command(self, target: str, made: QuantizeResult) -> str:
        """The command line that makes the same int8 file without a search."""
        words = ["hrnet-deploy", "quantize", str(self.model), "-o", str(self.output), *self.split.arguments()]
        words += ["--target", target, "--max-drop", f"{self.max_drop:g}"]
        for pattern in made.trials[-1].excluded:
            words += ["--exclude", pattern]
        return shlex.join(words)

    def judged(self, candidate: Candidate) -> Candidate:
        """The candidate with its figures on the validation set."""
        if candidate.rejected:
            return candidate
        if time.monotonic() > self.deadline:
            return dataclasses.replace(candidate, rejected="no time was left to judge it")
        figures, rejected = self._figures(candidate, self._parts.validation)
        return dataclasses.replace(candidate, figures=figures, rejected=rejected)

    def measured(self, candidates: Sequence[Candidate]) -> BenchResult:
        """PyTorch, if it is installed, and every accepted candidate, measured in alternating rounds."""
        card, input_format = self.description.card, self.description.input_format
        rows: list[RowAndSpec] = []
        if not unavailable_reason(REFERENCE):
            source = Source(card)
            if self.checkpoint:
                path, key = weights_of(self.checkpoint, self.weights_key, self.description)
                source = Source(card, None, path, weights_key=key)
            subject = Subject(self.model.name, source, input_format, "fp32")
            rows.append(row_of(subject, REFERENCE, 1, available_threads()))
        for c in (c for c in candidates if c.accepted):
            subject = Subject(self.model.name, Source(card, self.file(c)), input_format, c.precision)
            rows.append(row_of(subject, c.engine, 1, c.threads))
        left = max(0.0, self.deadline - time.monotonic())
        seconds = min(5.0, max(LEAST_SECONDS, 0.6 * left / max(1, len(rows) * len(REGIONS))))
        return run(rows, Schedule(seconds=seconds, regions=REGIONS), self.progress)

    def with_time(self, candidate: Candidate, result: BenchResult) -> Candidate:
        """The candidate with its time. One that could not be measured is rejected."""
        keys = (candidate.engine, candidate.precision, candidate.threads)
        row = next((r for r in result.rows if (r.engine, r.precision, r.threads) == keys), None)
        if row is None or not candidate.accepted:
            return candidate
        if row.status != "ok":
            return dataclasses.replace(candidate, rejected=f"{row.status}: {row.reason}")
        return dataclasses.replace(candidate, milliseconds=row.regions["end_to_end"].summary.p50)

    def proved(self, ranked: Sequence[Candidate]) -> list[Candidate]:
        """Judge accepted candidates on the test set, the fastest first, until one passes.

        That one comes first in the returned list. Faster candidates that failed are rejected.
        """
        failed: list[Candidate] = []
        for number, candidate in enumerate(ranked):
            if not candidate.accepted:
                break
            figures, rejected = self._figures(candidate, self._parts.test)
            judged = dataclasses.replace(candidate, test_figures=figures)
            if not rejected:
                return [judged, *ranked[number + 1 :], *failed]
            failed.append(dataclasses.replace(judged, rejected=f"{rejected} on the test set"))
        return [*failed, *ranked[len(failed) :]]

    def _figures(self, candidate: Candidate, dataset: Dataset) -> tuple[TaskFigures, str]:
        """Figures in the candidate's own engine, and a text that lists those beyond their limit."""
        file = self.file(candidate)

        def find() -> dict[str, Any]:
            self.progress.stage(f"judging {candidate.title}", len(dataset))
            engine = open_engine(candidate.engine, Source(self.description.card, file), candidate.threads)
            figures = compare_on_images(self._reference, self._task, engine, self._task, dataset, self.progress)
            engine.close()
            return dataclasses.asdict(figures)

        cache_key = {
            "parent": file_digest(self.model),
            "file": file_digest(file),
            "engine": candidate.engine,
            "threads": candidate.threads,
            "task": self._task.protocol(),
            "images": images_digest(dataset),
        }
        figures = as_figures(self._cached.get_or_compute(cache_key, find))
        limits = budget_for(candidate.precision, self._task).replaced_by(Budget(drop=self.max_drop))
        checks = judge(limits, [], figures)
        return figures, "; ".join(f"{c.name} {c.value:.3g}" for c in checks if not c.passed)
