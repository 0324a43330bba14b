"""Quantizes a float32 ONNX file to int8, and judges the result on images that were not used for calibration."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from hrnet_deploy.bench.environment import has_vnni
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, check_output, temporary_folder
from hrnet_deploy.graph import quantize as graph
from hrnet_deploy.graph.calibrate import CalibrationResult, NamedInput, Statistics, calibrate
from hrnet_deploy.graph.metadata import Description, describe, description_of, file_digest, load_model, save_model
from hrnet_deploy.graph.ranges import METHODS, ranges
from hrnet_deploy.parity import budget_for
from hrnet_deploy.precision import speed
from hrnet_deploy.precision.recipe import Recipe
from hrnet_deploy.precision.search import search, try_once
from hrnet_deploy.precision.trial import GraphRunner, Judge
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.figures import Budget
from hrnet_deploy.results.quantization import BlockCost, QuantizeResult, SpeedComparison, Trial, is_excluded
from hrnet_deploy.tasks.base import Task, dataset_samples, task_of
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.workflow.arguments import (
    ONNX,
    require_amount,
    require_annotations,
    require_one_of,
    require_suffix,
    require_threads,
)
from hrnet_deploy.workflow.findings import FindingsCache, cache_beside
from hrnet_deploy.workflow.split import Parts, Split

PROBES = 8  # inputs on which the cost of a block is estimated
FEW = 16  # fewer images than this are too few for good ranges
FUSION = ("int8", "float")


@dataclass(frozen=True)
class QuantizeRequest:
    """What to quantize and how.

    Attributes:
        model, output: the float32 file, and the int8 file to write.
        split: the images.
        target: the engine the file is for: "ort", "openvino", "trt" or "trt-rtx".
        method: how a range is computed from the calibration statistics.
        exclude: patterns of operators that stay in float.
        branch_fusion: the precision of the sums and resizes between branches, "int8" or "float".
        max_drop: if given, blocks are left in float until the metric changes by at most this, in points.
        reduce_range: whether weights have 7 bits; None for what this processor needs.
        calibration_cache: a file that keeps the statistics; the findings of a search are kept next to it.
        sensitivity: whether to measure the accuracy cost of every block.
        speed: whether to measure how much slower blocks in float make the file; None: if a search left some.
        threads: of ONNX Runtime; None for all available ones.
        force: whether an existing file is replaced.
        task: replaces the card's task, to prepare images in another way.
    """

    model: Path
    output: Path
    split: Split
    target: str = "ort"
    method: str = "mse"
    exclude: Sequence[str] = ()
    branch_fusion: str = "int8"
    max_drop: float | None = None
    reduce_range: bool | None = None
    calibration_cache: Path | None = None
    sensitivity: bool = False
    speed: bool | None = None
    threads: int | None = None
    force: bool = False
    task: Task | None = None

    def __post_init__(self) -> None:
        require_one_of(graph.TARGETS, [self.target], "target")
        require_one_of(METHODS, [self.method], "calibration method")
        require_one_of(FUSION, [self.branch_fusion], "precision for --branch-fusion")
        require_amount("--max-drop", self.max_drop)
        require_threads(self.threads)
        require_suffix(self.output, ONNX, "an int8 file")
        if not all(self.exclude):
            raise BadInput("--exclude is empty — give a pattern such as 'stage4.2.*', or leave it out")

    @property
    def searches(self) -> bool:
        """Whether to search for blocks to leave in float, which needs a validation set."""
        return self.max_drop is not None


def quantize(request: QuantizeRequest, progress: Progress = SILENT) -> QuantizeResult:
    """Calibrate, place Q/DQ pairs and judge. The file is written only if it passes.

    Raises BadInput if the file is not a plain float32 export, a pattern matches no operator, or there are too few
    images.
    """
    check_output(request.output, request.force)
    if request.calibration_cache is not None:
        check_output(request.calibration_cache, force=True)
    model = load_model(request.model)
    description = description_of(model, request.model)
    require_plain_float(request.model, description)
    split = request.split
    require_annotations(split.annotations, description.card, request.model, split.categories, split.boxes)
    in_float = graph.fusion_of(model) if request.branch_fusion == "float" else ()
    graph.place(model, graph.TARGETS[request.target], [*request.exclude, *in_float])  # refuses a wrong pattern early
    task = request.task or task_of(description.card)
    parts = request.split.parts(request.searches, description.card)
    with temporary_folder() as folder:
        runner = GraphRunner(folder, model, description.card, request.threads)
        found = _calibrated(request, runner, task, parts, progress)
        recipe, all_zero = _recipe(request, model, found, in_float)
        budget = budget_for("int8", task).replaced_by(Budget(drop=request.max_drop))
        cache = FindingsCache(cache_beside(request.calibration_cache))
        judge = Judge(runner, recipe, task, parts, budget, cache, progress)
        probes = [f for _, f in itertools.islice(_feeds(task, parts.calibration), PROBES)]
        find = search if request.searches else try_once
        trials, blocks = find(judge, request.exclude, probes, request.sensitivity)
        result = _result(request, description, recipe, parts, found, all_zero, trials, blocks)
        if not result.passed:
            return result
        made = recipe.quantized(trials[-1].excluded)
        measured = _speed(request, description, recipe, made, trials[-1], folder, progress)
        progress.stage("writing the file")
        _describe(made, request, description, recipe, found.statistics, trials[-1])
        with atomic_write(request.output) as part:
            save_model(made, part)
    return dataclasses.replace(result, path=str(request.output), size=request.output.stat().st_size, speed=measured)


def _feeds(task: Task, calibration: Dataset) -> Iterable[NamedInput]:
    """The name of each image with each input that is made from it."""
    for item, _, samples in dataset_samples(task, calibration):
        for sample in samples:
            yield item.path.name, sample.feed


def _calibrated(
    request: QuantizeRequest, runner: GraphRunner, task: Task, parts: Parts, progress: Progress
) -> CalibrationResult:
    """Statistics of every tensor whose range some target needs, so that one cache serves all targets."""
    names = tuple(dict.fromkeys(n for t in graph.TARGETS.values() for n in graph.place(runner.model, t).ranged))
    statistics = _statistics(request, names)

    def keep() -> None:
        if request.calibration_cache is not None:
            statistics.save(request.calibration_cache)

    progress.stage("calibrating", len(parts.calibration))
    run = runner.with_extra_outputs(names)
    return calibrate(statistics, run, lambda: _feeds(task, parts.calibration), progress.advance, keep)


def _recipe(
    request: QuantizeRequest, model: onnx.ModelProto, found: CalibrationResult, in_float: Sequence[str]
) -> tuple[Recipe, Sequence[str]]:
    """How int8 graphs are made, and the tensors that were zero on every image."""
    target = graph.TARGETS[request.target]
    known, all_zero = ranges(found, request.method, target.grid)
    reduce_range = request.reduce_range
    if reduce_range is None:
        reduce_range = not target.name.startswith("trt") and not has_vnni()
    return Recipe(model, target, known, reduce_range, in_float), all_zero


def _result(
    request: QuantizeRequest,
    description: Description,
    recipe: Recipe,
    parts: Parts,
    found: CalibrationResult,
    all_zero: Sequence[str],
    trials: Sequence[Trial],
    blocks: Sequence[BlockCost],
) -> QuantizeResult:
    """The result, before anything is written."""
    excluded = trials[-1].excluded
    placement = recipe.placement(excluded)
    return QuantizeResult(
        path=None,
        card=description.card.name,
        target=recipe.target.name,
        method=request.method,
        images=len(parts.calibration),
        samples=len(found.statistics.done),
        tensors=len(placement.activations),
        trials=trials,
        blocks=[dataclasses.replace(b, in_float=is_excluded(b.pattern, excluded)) for b in blocks],
        convolutions=len(graph.place(recipe.model, recipe.target).weighted),
        outliers=found.outliers,
        all_zero=[s for s in all_zero if s in placement.ranged],
        warnings=_warnings(found.statistics, parts.calibration),
        skipped=parts.skipped,
    )


def _speed(
    request: QuantizeRequest,
    description: Description,
    recipe: Recipe,
    made: onnx.ModelProto,
    trial: Trial,
    folder: Path,
    progress: Progress,
) -> SpeedComparison | None:
    """The mixed file measured next to float and to all int8, if that is requested."""
    wanted = request.speed if request.speed is not None else len(trial.excluded) > len(request.exclude)
    if not wanted:
        return None
    progress.stage("measuring what is left in float")
    models = {speed.FLOAT: recipe.model, speed.MADE: made}
    if trial.excluded or recipe.in_float:
        models[speed.INTEGERS] = dataclasses.replace(recipe, in_float=()).quantized(())
    return speed.measure(models, description, recipe.target.name, request.threads, folder, progress)


def _describe(
    made: onnx.ModelProto,
    request: QuantizeRequest,
    description: Description,
    recipe: Recipe,
    statistics: Statistics,
    trial: Trial,
) -> None:
    """Write into the graph how it was made."""
    provenance = {**description.provenance, "parent": file_digest(request.model), "calibration": statistics.digest}
    facts = {
        "target": recipe.target.name,
        "method": request.method,
        "samples": len(statistics.done),
        "excluded": list(trial.excluded),
        "fusion": request.branch_fusion,
        "reduced": recipe.reduce_range,
    }
    new = dataclasses.replace(description, precision="int8", provenance=provenance).with_step("quantize", **facts)
    on = [f"{trial.figures.images} held-out images"]
    describe(made, new.with_step("verify", against="parent", on=on, passed=True))


def require_plain_float(path: Path, description: Description) -> None:
    """Raises BadInput unless a file is of float32 and takes normalised images."""
    if description.precision != "fp32":
        raise BadInput(f"{path} is {description.precision} already — quantize the fp32 file it was made from")
    if description.input_format.embedded:
        raise BadInput(f"{path} decodes its own results (--embed) — quantize the plain export")


def _statistics(request: QuantizeRequest, names: tuple[str, ...]) -> Statistics:
    """The statistics of the cache, or empty ones. Raises BadInput if the cache belongs to another model."""
    digest = file_digest(request.model)
    if request.calibration_cache is None or not request.calibration_cache.exists():
        return Statistics.empty(digest, names)
    found = Statistics.load(request.calibration_cache)
    if found.model != digest or found.names != names:
        raise BadInput(
            f"{request.calibration_cache} holds the statistics of another model — name another file, or delete it"
        )
    return found


def _warnings(statistics: Statistics, calibration: Dataset) -> list[str]:
    """Reasons why the ranges may be unreliable."""
    warnings = []
    if len(calibration) < FEW:
        count = "1 image is" if len(calibration) == 1 else f"{len(calibration)} images are"
        warnings.append(f"{count} too few for good ranges of activations — {FEW} or more would be better")
    inputs: dict[str, set[str]] = {}  # digests of the inputs made from each image
    for key in statistics.done:
        image, _, digest = key.rpartition(":")
        inputs.setdefault(image, set()).add(digest)
    if len(inputs) > 1 and len(set(map(frozenset, inputs.values()))) == 1:
        warnings.append("all calibration images are the same image")
    return warnings
