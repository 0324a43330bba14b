"""Compares two results: which figures changed by more than noise, and whether one exceeds a limit.

It needs no torch and opens no model.

Two times differ if the 95% intervals of their medians do not overlap (`Summary.differs`). Memory and computed figures
have no intervals; their differences count from `stats.MEMORY_TOLERANCE` and `stats.COMPUTED_TOLERANCE` on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import read_json
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results import codec
from hrnet_deploy.results.adoption import AdoptResult
from hrnet_deploy.results.base import Result
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.build import BuildResult
from hrnet_deploy.results.check import CheckResult
from hrnet_deploy.results.comparison import Change, CompareResult
from hrnet_deploy.results.compiled import verdict
from hrnet_deploy.results.cost_table import CostTableResult
from hrnet_deploy.results.evaluation import EvalResult
from hrnet_deploy.results.export import ExportResult
from hrnet_deploy.results.figures import TaskFigures, TensorFigures, more_is_better
from hrnet_deploy.results.float16 import HalfResult
from hrnet_deploy.results.quantization import QuantizeResult
from hrnet_deploy.results.run import RunResult
from hrnet_deploy.results.training import TrainingResult
from hrnet_deploy.results.tuning import TuneResult
from hrnet_deploy.stats import COMPUTED_TOLERANCE, MEMORY_TOLERANCE, Summary, summarise

PEAKS = {"cuda": "torch_peak_allocated"}  # the memory figure of a device; for all others it is PEAK
PEAK = "peak_rss_over_before"
REGIONS = {"end_to_end": "latency", "compute": "compute", "pipeline": "pipeline"}
# The name under which `--fail-on` knows a figure of a task's distance, and its unit. Other figures keep their names.
DISTANCES = {
    "pixels_mean": ("pixels", "px"),
    "pixels_max": ("pixels_max", "px"),
    "moved_over_1px": ("moved", "share"),
    "differing": ("differing", "share"),
    "missing": ("missing", "share"),
    "extra": ("extra", "share"),
    "changed": ("changed", "share"),
}
COUNTS = ("detections",)  # figures of a distance of which neither more nor less is better


@dataclass(frozen=True)
class CompareRequest:
    """What to compare.

    Attributes:
        base, new: two result files, or two folders of result files, which are compared by name.
        fail_on: limits on how much worse figures may become, as for `--fail-on`: `ap=0.3,latency=5%`.
    """

    base: Path
    new: Path
    fail_on: str = ""


@dataclass(frozen=True)
class Measured:
    """One figure of a result.

    Attributes:
        summary: of its rounds, if it was measured in several.
        tolerance: otherwise, the share of the base below which a difference does not count.
    """

    value: float
    unit: str
    more_is_better: bool = False
    summary: Summary | None = None
    tolerance: float = 0.0

    def differs(self, new: Measured) -> bool:
        """Whether the other figure differs by more than noise. A figure that is NaN differs from one that is not."""
        if math.isnan(self.value) or math.isnan(new.value):
            return math.isnan(self.value) != math.isnan(new.value)
        if self.summary is not None and new.summary is not None:
            return self.summary.differs(new.summary)
        least = COMPUTED_TOLERANCE * max(abs(self.value), 1.0)
        return abs(new.value - self.value) > max(self.tolerance * abs(self.value), least)


Figures = dict[tuple[str, str], Measured]  # by the subject and the name of a figure


@dataclass(frozen=True)
class Limit:
    """How much worse a figure may become: in its own unit, or in percent of the base."""

    text: str
    amount: float
    percent: bool

    def exceeded(self, change: float, base: float) -> bool:
        return not abs(change) <= (abs(base) * self.amount / 100 if self.percent else self.amount)


def parse_limits(text: str) -> dict[str, Limit]:
    """`ap=0.3,latency=5%` as a limit for each name. Raises BadInput."""
    limits = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        found = re.fullmatch(r"(\w+)=(\d+(?:\.\d+)?)(%?)", part)
        if not found:
            raise BadInput(f"--fail-on {part} is not a valid limit — write it like ap=0.3 or latency=5%")
        limits[found[1].lower()] = Limit(part, float(found[2]), bool(found[3]))
    return limits


def compare(request: CompareRequest, progress: Progress = SILENT) -> CompareResult:
    """Compare every figure that both sides have.

    Raises BadInput if the two have nothing in common, or if a limit names a figure that they do not both have: a limit
    that cannot be checked must not pass.
    """
    limits = parse_limits(request.fail_on)
    progress.stage("comparing")
    base, new = read_figures(request.base), read_figures(request.new)
    shared = [k for k in base if k in new]
    if not shared:
        raise BadInput(
            f"{request.base} and {request.new} have nothing in common — compare two results of the same kind and model"
        )
    names = dict.fromkeys(n for _, n in shared)
    for name in limits:
        if name not in names:
            raise BadInput(f"--fail-on {name}: the results have no figure {name} — they have {', '.join(names)}")
    changes = [_change(k, base[k], new[k], limits.get(k[1])) for k in shared]
    subjects = [dict.fromkeys(s for s, _ in found) for found in (base, new)]
    only_base, only_new = ([s for s in a if s not in b] for a, b in (subjects, subjects[::-1]))
    return CompareResult(
        base=str(request.base),
        new=str(request.new),
        changes=changes,
        only_base=only_base,
        only_new=only_new,
        verdict=_int8_verdict(request.base, request.new),
    )


def _int8_verdict(*paths: Path) -> str:
    """What the compiler's figures say of int8, if one of the results is of an int8 plan and the other of an fp16
    plan."""
    if any(p.is_dir() for p in paths):
        return ""
    plans = {r.precision: r.compiled for r in map(codec.read, paths) if isinstance(r, BuildResult)}
    int8, fp16 = plans.get("int8"), plans.get("fp16")
    return "" if int8 is None or fp16 is None else verdict(int8, fp16)


def _change(key: tuple[str, str], base: Measured, new: Measured, limit: Limit | None) -> Change:
    change = new.value - base.value
    real = base.differs(new)
    lost = math.isnan(new.value)
    worse = real and (lost or (not math.isnan(base.value) and (change < 0) == base.more_is_better))
    failed = worse and limit is not None and limit.exceeded(change, base.value)
    return Change(*key, base.unit, base.value, new.value, real, worse, limit.text if limit else "", failed)


def read_figures(path: Path) -> Figures:
    """Every figure of a result file, or of all result files of a folder. Raises BadInput."""
    if not path.is_dir():
        return figures_of(codec.read(path), str(path))
    found: Figures = {}
    for file in sorted(path.glob("*.json")):
        values = read_json(file, codec.EXPECTED)
        if not isinstance(values, dict) or "kind" not in values or "schema" not in values:
            continue  # annotations or predictions, which may be in the same folder
        result = codec.from_dict(values, file)
        if type(result) in READERS:
            found |= {(f"{file.stem}: {s}", n): f for (s, n), f in READERS[type(result)](result).items()}
    if not found:
        raise BadInput(f"{path} holds no results that can be compared — name a folder that holds {WANTED}")
    return found


def figures_of(result: Result, where: str) -> Figures:
    """Every figure of a result, by its subject and its name. `where` names the file in the error message."""
    if type(result) not in READERS:
        raise BadInput(f"{where} is a result of `{result.kind}`, which cannot be compared — name one of {WANTED}")
    return READERS[type(result)](result)


def _bench(result: BenchResult) -> Figures:
    found: Figures = {}
    for row in (r for r in result.rows if r.status == "ok"):
        subject = f"{row.engine} {row.precision} {row.card} batch {row.batch}, {row.threads} threads"
        for region, name in REGIONS.items():
            if region in row.regions:
                summary = row.regions[region].summary
                found[subject, name] = Measured(summary.p50, "ms", summary=summary)
        if (peak := row.memory.get(PEAKS.get(row.device, PEAK), row.memory.get(PEAK))) is not None:
            found[subject, "memory"] = _memory(peak)
    return found


def _memory(size: int) -> Measured:
    return Measured(size / 1e6, "MB", tolerance=MEMORY_TOLERANCE)


def _cost_table(result: CostTableResult) -> Figures:
    """Every network that was measured. Rows name their card, so networks do not mix."""
    found: Figures = {}
    for entry in result.columns:
        if entry.result is not None:
            found |= _bench(entry.result)
        if entry.training is not None:
            found |= {(f"{entry.card} {s}", n): f for (s, n), f in _training(entry.training).items()}
        if entry.score is not None:
            found[f"{entry.card} on {entry.score.data}", entry.score.metric.lower()] = _score(
                entry.score.metric, entry.score.value / 100
            )
    return found


def _training(result: TrainingResult) -> Figures:
    found: Figures = {}
    for row in (r for r in result.rows if r.status == "ok"):
        subject = f"training, batch {row.batch}, {row.input_size}"
        rounds = [r for r in row.rounds if r]
        summary = summarise(rounds) if rounds else None
        found[subject, "iteration"] = Measured(1e3 * row.seconds, "ms", summary=summary)
        found[subject, "memory"] = _memory(row.peak_bytes)
    return found


def _task(card: str, task: TaskFigures, tensors: Sequence[TensorFigures] = ()) -> Figures:
    """A comparison with a reference on images."""
    subject = f"{card} on {task.images} images"
    found: Figures = {}
    if task.difference is not None:
        found[subject, task.metric.lower()] = _score(task.metric, task.engine[task.metric])
    for name, value in task.distance.figures.items():
        if name not in COUNTS:
            alias, unit = DISTANCES.get(name, (name, ""))
            found[subject, alias] = Measured(float(value), unit)
    return found | _tensors(card, subject, [*tensors, *task.tensors])


def _tensors(card: str, subject: str, tensors: Sequence[TensorFigures]) -> Figures:
    found: Figures = {}
    for tensor in tensors:
        of = subject if tensor.inputs == "images" else f"{card} on {tensor.inputs}"
        found[f"{of}, {tensor.output}", "relative"] = Measured(float(tensor.relative), "of maximum")
    return found


def _adopt(result: AdoptResult) -> Figures:
    """The comparison with the file, and with the checkpoint where there was one."""
    if result.task is not None:
        return _task(result.card, result.task, result.tensors)
    return _tensors(result.card, result.card, result.tensors)


def _score(name: str, value: float) -> Measured:
    """A score: a metric of 0..1 in points, or a distance in pixels."""
    if name.endswith(" px"):
        return Measured(value, "px")
    return Measured(100 * value, "points", more_is_better(name))


def _eval(result: EvalResult) -> Figures:
    subject = f"{result.card} {result.precision} in {result.engine} on {result.images} images"
    return {(subject, name.lower()): _score(name, float(value)) for name, value in result.figures.items()}


def _build(result: BuildResult) -> Figures:
    subject = f"{result.card} plan"  # without its precision, so that int8 can be compared with fp16
    found: Figures = {(f"{subject}, {k}", "memory"): _memory(v) for k, v in result.engine_info.memory.items()}
    if result.compiled is not None:
        found[subject, "kernels"] = Measured(result.compiled.count, "kernels")
        if result.compiled.traffic is not None:
            found[subject, "moved"] = Measured(result.compiled.traffic / 1e6, "MB")
    return {(subject, "size"): Measured(result.size / 1e6, "MB"), **found}


def _run(result: RunResult) -> Figures:
    """The measurement, and the differences found in every stage."""
    found = _bench(result.result)
    for stage in result.stages:
        if stage.figures is not None:
            found |= _task(stage.name, stage.figures)
    return found


def _tune(result: TuneResult) -> Figures:
    """The measurement, and the differences of the winner on the test set."""
    unseen = result.winner.test_figures
    return {**_bench(result.result), **(_task(f"{result.card}, winner", unseen) if unseen is not None else {})}


READERS: Mapping[type[Result], Callable[[Any], Figures]] = {
    AdoptResult: _adopt,
    BenchResult: _bench,
    BuildResult: _build,
    CheckResult: lambda r: _task(r.card, r.task, r.tensors),
    CostTableResult: _cost_table,
    EvalResult: _eval,
    ExportResult: lambda r: _task(r.card, r.task, r.tensors),
    HalfResult: lambda r: _task(r.card, r.figures),
    QuantizeResult: lambda r: _task(r.card, r.trials[-1].figures),
    RunResult: _run,
    TrainingResult: _training,
    TuneResult: _tune,
}
WANTED = ", ".join(cls.kind for cls in READERS)
