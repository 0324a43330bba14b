"""A float32 ONNX file to an int8 one that has been judged on images its calibration did not see."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hrnet_deploy.bench.environment import has_vnni
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source, run_rows
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import check_output, sha256, whole
from hrnet_deploy.graph import quantize as graph
from hrnet_deploy.graph.calibrate import Feed as NamedFeed
from hrnet_deploy.graph.calibrate import Statistics, calibrate, with_outputs
from hrnet_deploy.graph.metadata import Description, describe, description_of, load_model, save_model
from hrnet_deploy.graph.ranges import METHODS, Range, ranges
from hrnet_deploy.parity import Budget, Check, TaskFigures, TensorComparison, budget_for, compare_on_images, judge, passed
from hrnet_deploy.tasks.base import Feed, Task, dataset_samples, task_of
from hrnet_deploy.tasks.dataset import Dataset, load_dataset

Say = Callable[[str], None]
Progress = Callable[[int], Callable[[], None]]
PROBES = 8  # inputs a block's cost is estimated on
FEW = 16  # fewer images than this say too little of a range


@dataclass(frozen=True)
class Split:
    """A folder of images and a seed: `limit` images to calibrate on, at most half, and `held_out` others to judge by."""

    images: Path
    annotations: Path | None = None
    limit: int = 64
    held_out: int = 500
    seed: int = 0

    def datasets(self) -> tuple[Dataset, Dataset]:
        if self.limit < 1 or self.held_out < 1:
            raise BadInput("calibration and judging need at least one image each — give --limit and --held-out 1 or more")
        everything = load_dataset(self.images, self.annotations)
        if len(everything) < 2:
            raise BadInput(f"{self.images} has one image — calibration needs some, and the verdict others")
        count = min(self.limit, len(everything) // 2)
        order = np.random.default_rng(self.seed).permutation(len(everything))
        return everything.only(order[:count]), everything.only(order[count : count + self.held_out])

    def arguments(self) -> list[str]:
        """This, as a command line says it."""
        named = ["--annotations", str(self.annotations)] if self.annotations else []
        counts = ["--limit", str(self.limit), "--held-out", str(self.held_out), "--seed", str(self.seed)]
        return ["--images", str(self.images), *named, *counts]


@dataclass(frozen=True)
class Request:
    """What to quantize and how. With `max_drop` blocks stay in float, the worst first, until the metric's drop fits.
    `reduced` weights take 7 bits; None is what this processor needs."""

    model: Path
    output: Path
    split: Split
    target: str = "ort"
    method: str = "mse"
    exclude: Sequence[str] = ()
    max_drop: float | None = None
    reduced: bool | None = None
    statistics: Path | None = None
    threads: int | None = None
    force: bool = False


@dataclass(frozen=True)
class Block:
    """What quantizing one part of the network alone costs at its output: signal to quantization noise in dB."""

    pattern: str
    sqnr_db: float


@dataclass(frozen=True)
class Trial:
    """One candidate: what stayed in float, and how the rest does on the held-out images."""

    excluded: Sequence[str]
    convolutions: int
    figures: TaskFigures
    checks: Sequence[Check]

    @property
    def passed(self) -> bool:
        return passed(self.checks)


@dataclass(frozen=True)
class Quantized:
    """What came of it. Where the verdict is no, nothing stands under the output's name and `blocks` says where the
    loss comes from, the worst first."""

    path: Path
    card: str
    target: str
    method: str
    images: int
    samples: int
    tensors: int
    trials: Sequence[Trial]
    blocks: Sequence[Block]
    outliers: Mapping[str, tuple[str, float]]  # image: its worst tensor, times that tensor's median peak
    silent: Sequence[str]
    warnings: Sequence[str]

    @property
    def passed(self) -> bool:
        return self.trials[-1].passed

    def to_dict(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        return {"schema": 1, "kind": "quantize", "passed": self.passed, **values, "path": str(self.path) if self.passed else None}


def quantize(
    request: Request, say: Say = lambda _: None, progress: Progress = lambda _: lambda: None, task: Task | None = None
) -> Quantized:
    """Calibrate, place, judge; write what passes. `task` prepares the images in another way than the card's task does."""
    check_output(request.output, request.force)
    target = _one_of(graph.TARGETS, request.target, "target")
    _one_of(METHODS, request.method, "calibration method")
    model = load_model(request.model)
    description = description_of(model, request.model)
    _require_plain_float(request.model, description)
    graph.place(model, target, request.exclude)  # a wrong pattern is said before the work
    task = task or task_of(description.card)
    calibration, judging = request.split.datasets()
    names = tuple(dict.fromkeys(n for t in graph.TARGETS.values() for n in graph.place(model, t).ranged))
    statistics = _statistics(request, names)

    def feeds() -> Iterable[NamedFeed]:
        for item, _, samples in dataset_samples(task, calibration):
            for sample in samples:
                yield item.path.name, sample.feed

    def keep() -> None:
        if request.statistics is not None:
            statistics.save(request.statistics)

    with tempfile.TemporaryDirectory() as folder:
        reduced = request.reduced if request.reduced is not None else target.name != "trt" and not has_vnni()
        work = _Work(Path(folder), model, description.card, request.threads, reduced)
        say("calibrating")
        found = calibrate(statistics, lambda feed: work.tensors(names, feed), feeds, progress(len(calibration)), keep)
        known, silent = ranges(found, request.method, target.grid)
        base = Quantized(
            path=request.output,
            card=description.card.name,
            target=target.name,
            method=request.method,
            images=len(calibration),
            samples=len(statistics.done),
            tensors=len(graph.place(model, target, request.exclude).activations),
            trials=(),
            blocks=(),
            outliers=found.outliers,
            silent=[s for s in silent if s in graph.place(model, target, request.exclude).ranged],
            warnings=_warnings(statistics, calibration),
        )
        probes = [f for _, f in feeds()][:PROBES]
        result = _search(request, work, target, known, task, judging, probes, base, say, progress)
        if result.passed:
            last = result.trials[-1]
            made, _ = work.quantized(target, last.excluded, known)
            provenance = {**description.provenance, "parent": sha256(request.model), "calibration": statistics.digest}
            facts = {
                "target": target.name,
                "method": request.method,
                "samples": len(statistics.done),
                "excluded": list(last.excluded),
                "reduced": reduced,
            }
            new = dataclasses.replace(description, precision="int8", provenance=provenance).with_step("quantize", **facts)
            describe(made, new.with_step("verify", against="parent", on=[f"{last.figures.images} held-out images"], passed=True))
            with whole(request.output) as part:
                save_model(made, part)
    return result


def _search(
    request: Request,
    work: _Work,
    target: graph.Target,
    known: Mapping[str, Range],
    task: Task,
    judging: Dataset,
    probes: Sequence[Feed],
    base: Quantized,
    say: Say,
    progress: Progress,
) -> Quantized:
    """Everything quantized; where that is too much and a drop is asked for, ever more of the worst blocks in float."""
    budget = budget_for("int8", task).replaced_by(Budget(drop=request.max_drop))

    def tried(excluded: Sequence[str]) -> Trial:
        say(f"judging on {len(judging)} held-out images")
        made, convolutions = work.quantized(target, excluded, known)
        reference, engine = work.opened(work.model, "reference"), work.opened(made, "candidate")
        figures = compare_on_images(reference, task, engine, task, judging, progress(len(judging)))
        return Trial(tuple(excluded), convolutions, figures, judge(budget, [], figures))

    trials = [tried(request.exclude)]
    blocks: list[Block] = []
    if not trials[0].passed:
        say("looking for what costs most")
        blocks = work.blocks(target, request.exclude, known, probes, progress)
        if request.max_drop is not None:
            for count in _counts(len(blocks)):
                trials.append(tried([*request.exclude, *(b.pattern for b in blocks[:count])]))
                if trials[-1].passed:
                    break
    return dataclasses.replace(base, trials=tuple(trials), blocks=tuple(blocks))


def _counts(blocks: int) -> list[int]:
    """1, 2, 3, 5, 8, ... and never all."""
    found, step = [1, 2], 0
    while (step := found[-1] + found[-2]) < blocks:
        found.append(step)
    return [c for c in found if c < blocks]


class _Work:
    """A float model and what is tried with it, in a folder of its own."""

    def __init__(self, folder: Path, model: onnx.ModelProto, card: ModelCard, threads: int | None, reduced: bool) -> None:
        self.folder, self.model, self.card, self.threads, self.reduced = folder, model, card, threads, reduced
        self._engines: dict[tuple[str, ...], Any] = {}

    def opened(self, model: onnx.ModelProto, name: str) -> Any:
        path = self.folder / f"{name}.onnx"
        save_model(model, path)
        return open_engine("ort", Source(self.card, path), self.threads)

    def tensors(self, names: tuple[str, ...], feed: Feed) -> list[NDArray]:
        """Those tensors of the float model for one input."""
        if names not in self._engines:
            self._engines[names] = self.opened(with_outputs(self.model, names), "tapped")
        engine = self._engines[names]
        outputs = {**run_rows(engine, feed), **feed}
        return [outputs[n] for n in names]

    def quantized(self, target: graph.Target, excluded: Collection[str], known: Mapping[str, Range]) -> tuple[onnx.ModelProto, int]:
        placement = graph.place(self.model, target, excluded)
        return graph.quantize(self.model, target, placement, known, self.reduced), len(placement.weighted)

    def blocks(
        self,
        target: graph.Target,
        excluded: Collection[str],
        known: Mapping[str, Range],
        probes: Sequence[Feed],
        progress: Progress,
    ) -> list[Block]:
        """Each block quantized alone, held against the float model on the probes; the most costly first."""
        weighted = graph.place(self.model, target, excluded).weighted
        patterns = tuple(dict.fromkeys(graph.block_of(n) for n in weighted))
        tick = progress(len(patterns))
        reference = self.opened(self.model, "reference")
        wanted = [run_rows(reference, p) for p in probes]
        found = []
        for pattern in patterns:
            made, _ = self.quantized(target, [*excluded, *(p for p in patterns if p != pattern)], known)
            engine = self.opened(made, "block")
            sums = TensorComparison()
            for probe, want in zip(probes, wanted, strict=True):
                got = run_rows(engine, probe)
                for name in want:
                    sums.add(want[name], got[name])
            sqnr = sums.figures("", "").sqnr_db
            found.append(Block(pattern, float("inf") if sqnr is None else sqnr))
            tick()
        return sorted(found, key=lambda b: b.sqnr_db)


def _one_of(known: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in known:
        raise BadInput(f"there is no {what} {name!r} — choose among {', '.join(known)}")
    return known[name]


def _require_plain_float(path: Path, description: Description) -> None:
    if description.precision != "fp32":
        raise BadInput(f"{path} is {description.precision} already — quantize the fp32 file it was made from")
    if description.contract.embedded:
        raise BadInput(f"{path} decodes its own results (--embed) — quantize the plain export")


def _statistics(request: Request, names: tuple[str, ...]) -> Statistics:
    digest = sha256(request.model)
    if request.statistics is None or not request.statistics.exists():
        return Statistics.empty(digest, names)
    found = Statistics.load(request.statistics)
    if found.model != digest or found.names != names:
        raise BadInput(f"{request.statistics} holds the statistics of another model — name another file, or delete it")
    return found


def _warnings(statistics: Statistics, calibration: Dataset) -> list[str]:
    said = []
    if len(calibration) < FEW:
        said.append(f"{len(calibration)} images say little of the ranges of activations — {FEW} or more would be better")
    fed = {key.rpartition(":")[2] for key in statistics.done}
    if len(fed) == 1 and len(statistics.done) > 1:
        said.append("all calibration images are the same image")
    return said
