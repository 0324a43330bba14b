"""A float32 ONNX file to an int8 one that has been judged on images its calibration did not see."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.bench.environment import has_vnni
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, check_output, sha256
from hrnet_deploy.graph import quantize as graph
from hrnet_deploy.graph.calibrate import NamedInput, Statistics, calibrate
from hrnet_deploy.graph.metadata import Description, describe, description_of, load_model, save_model
from hrnet_deploy.graph.ranges import METHODS, ranges
from hrnet_deploy.parity import budget_for
from hrnet_deploy.precision import speed
from hrnet_deploy.precision.search import Block, Progress, Recipe, Say, Search, Trial, Workbench, worst_first
from hrnet_deploy.precision.speed import Speed
from hrnet_deploy.results.figures import Budget
from hrnet_deploy.tasks.base import Task, dataset_samples, task_of
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.workflow.findings import SavedFindings, beside
from hrnet_deploy.workflow.split import Split

PROBES = 8  # inputs a block's cost is estimated on
FEW = 16  # fewer images than this say too little of a range
FUSION = ("int8", "float")


@dataclass(frozen=True)
class Request:
    """What to quantize and how. With `max_drop` blocks stay in float, the worst first, until the metric's drop fits.
    `fusion` is what the sums and resizes between branches are computed in. `reduced` weights take 7 bits; None is
    what this processor needs. `statistics` names a file that keeps them, and beside it what a search has found.
    `sensitivity` asks for the cost of every block, `speed` for what is left in float; None: where a search left some."""

    model: Path
    output: Path
    split: Split
    target: str = "ort"
    method: str = "mse"
    exclude: Sequence[str] = ()
    fusion: str = "int8"
    max_drop: float | None = None
    reduced: bool | None = None
    statistics: Path | None = None
    sensitivity: bool = False
    speed: bool | None = None
    threads: int | None = None
    force: bool = False


@dataclass(frozen=True)
class Quantized:
    """What came of it. Where the verdict is no, nothing stands under the output's name and `blocks` say where the
    loss comes from. They stand in the order of the network."""

    path: Path
    card: str
    target: str
    method: str
    images: int
    samples: int
    tensors: int
    trials: Sequence[Trial]
    blocks: Sequence[Block]
    convolutions: int  # of the network
    outliers: Mapping[str, tuple[str, float]]  # image: its worst tensor, times that tensor's median peak
    all_zero: Sequence[str]
    warnings: Sequence[str]
    speed: Speed | None = None

    @property
    def passed(self) -> bool:
        return self.trials[-1].passed and self.trials[-1].on == "test"

    @property
    def worst(self) -> list[Block]:
        return worst_first(self.blocks)

    def to_dict(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        return {
            "schema": 1,
            "kind": "quantize",
            "passed": self.passed,
            **values,
            "path": str(self.path) if self.passed else None,
        }


def quantize(
    request: Request, say: Say = lambda _: None, progress: Progress = lambda _: lambda: None, task: Task | None = None
) -> Quantized:
    """Calibrate, place, judge; write what passes. `task` prepares the images in another way than the card's task does."""
    check_output(request.output, request.force)
    if request.statistics is not None:
        check_output(request.statistics, force=True)
    _require_one_of(graph.TARGETS, request.target, "target")
    _require_one_of(METHODS, request.method, "calibration method")
    _require_one_of(FUSION, request.fusion, "precision for the fusion")
    if request.max_drop is not None and request.max_drop < 0:
        raise BadInput("--max-drop is how far the metric may move either way — give 0 or more")
    target = graph.TARGETS[request.target]
    model = load_model(request.model)
    description = description_of(model, request.model)
    _require_plain_float(request.model, description)
    left = graph.fusion_of(model) if request.fusion == "float" else ()
    graph.place(model, target, [*request.exclude, *left])  # a wrong pattern is said before the work
    task = task or task_of(description.card)
    searching = request.max_drop is not None
    parts = request.split.parts(searching)
    names = tuple(dict.fromkeys(n for t in graph.TARGETS.values() for n in graph.place(model, t).ranged))
    statistics, notes = _statistics(request, names), SavedFindings(beside(request.statistics))

    def feeds() -> Iterable[NamedInput]:
        for item, _, samples in dataset_samples(task, parts.calibration):
            for sample in samples:
                yield item.path.name, sample.feed

    def keep() -> None:
        if request.statistics is not None:
            statistics.save(request.statistics)

    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(Path(folder), model, description.card, request.threads)
        say("calibrating")
        found = calibrate(statistics, bench.tapped(names), feeds, progress(len(parts.calibration)), keep)
        known, all_zero = ranges(found, request.method, target.grid)
        reduced = request.reduced if request.reduced is not None else target.name != "trt" and not has_vnni()
        recipe = Recipe(model, target, known, reduced, left)
        budget = budget_for("int8", task).replaced_by(Budget(drop=request.max_drop))
        search = Search(bench, recipe, task, parts, budget, notes, say, progress)
        probes = [f for _, f in itertools.islice(feeds(), PROBES)]
        trials, blocks = search.run(request.exclude, searching, probes, request.sensitivity)
        last = trials[-1]
        placement = recipe.placement(last.excluded)
        result = Quantized(
            path=request.output,
            card=description.card.name,
            target=target.name,
            method=request.method,
            images=len(parts.calibration),
            samples=len(statistics.done),
            tensors=len(placement.activations),
            trials=trials,
            blocks=blocks,
            convolutions=len(graph.place(model, target).weighted),
            outliers=found.outliers,
            all_zero=[s for s in all_zero if s in placement.ranged],
            warnings=_warnings(statistics, parts.calibration),
        )
        if not result.passed:
            return result
        made = recipe.made(last.excluded)
        wants_speed = request.speed if request.speed is not None else len(last.excluded) > len(request.exclude)
        if wants_speed:
            say("measuring what is left in float")
            models = {speed.FLOAT: model, speed.MADE: made}
            if last.excluded or left:
                models[speed.INTEGERS] = dataclasses.replace(recipe, left=()).made(())
            measured = speed.measure(models, description, target.name, request.threads, Path(folder), say)
            result = dataclasses.replace(result, speed=measured)
        provenance = {**description.provenance, "parent": sha256(request.model), "calibration": statistics.digest}
        facts = {
            "target": target.name,
            "method": request.method,
            "samples": len(statistics.done),
            "excluded": list(last.excluded),
            "fusion": request.fusion,
            "reduced": reduced,
        }
        new = dataclasses.replace(description, precision="int8", provenance=provenance).with_step("quantize", **facts)
        describe(
            made, new.with_step("verify", against="parent", on=[f"{last.figures.images} held-out images"], passed=True)
        )
        with atomic_write(request.output) as part:
            save_model(made, part)
    return result


def _require_one_of(known: Collection[str], name: str, what: str) -> None:
    if name not in known:
        raise BadInput(f"there is no {what} {name!r} — choose among {', '.join(known)}")


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
        said.append(
            f"{len(calibration)} images say little of the ranges of activations — {FEW} or more would be better"
        )
    fed: dict[str, set[str]] = {}  # what each image gave the network
    for key in statistics.done:
        image, _, digest = key.rpartition(":")
        fed.setdefault(image, set()).add(digest)
    if len(fed) > 1 and len(set(map(frozenset, fed.values()))) == 1:
        said.append("all calibration images are the same image")
    return said
