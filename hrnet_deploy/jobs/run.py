"""The whole way from a checkpoint to figures, for the engines and precisions asked. Each stage leaves its file in one
folder; a stage whose file is there is not done again, so an interrupted run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy import checkpoints
from hrnet_deploy.bench.run import Schedule
from hrnet_deploy.bench.run import run as measure
from hrnet_deploy.engines import ENGINES, parse, require, unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import read_json, sha256, write_json
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.graph.quantize import TARGETS
from hrnet_deploy.jobs import check, export, half, quantize
from hrnet_deploy.jobs.bench import Subject, row_of
from hrnet_deploy.results import codec
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.tasks.base import Contract
from hrnet_deploy.threads import available_threads
from hrnet_deploy.workflow.split import Split

Say = Callable[[str], None]
PRECISIONS = ("fp32", "fp16", "int8")
RUN = "run.json"


@dataclass(frozen=True)
class Request:
    """`engines` default to every one that runs here; `max_drop` is what int8 may cost, in points."""

    checkpoint: str
    folder: Path
    split: Split
    engines: Sequence[str] = ()
    precisions: Sequence[str] = ("fp32", "int8")
    max_drop: float | None = None
    seconds: float = 5.0


@dataclass(frozen=True)
class Stage:
    """One file made or found, and what was said of it. `report` is empty where the stage judged nothing."""

    name: str
    passed: bool
    report: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """The stages in order, and the measurement of everything that passed."""

    folder: Path
    stages: Sequence[Stage]
    result: BenchResult

    @property
    def passed(self) -> bool:
        return all(s.passed for s in self.stages)

    def to_dict(self) -> dict[str, Any]:
        stages = [vars(s) for s in self.stages]
        return {"schema": 1, "kind": "run", "passed": self.passed, "stages": stages, "result": codec.to_dict(self.result)}


def run(request: Request, command: str, say: Say = lambda _: None) -> Done:
    """Export, convert, check each in its engine, measure all in turns."""
    engines = list(request.engines) or [n for n in ENGINES if n in TARGETS and not unavailable_reason(n)]
    for engine in engines:
        require(engine)
    for precision in request.precisions:
        if precision not in PRECISIONS:
            raise BadInput(f"there is no precision {precision!r} — choose among {', '.join(PRECISIONS)}")
    folder = request.folder
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file — name a folder")
    verdict = request.split.parts(search=request.max_drop is not None).test  # nothing is chosen by these
    _same_run(request)
    stages: list[Stage] = []

    def stage(name: str, job: Callable[..., Any], *arguments: Any, **options: Any) -> bool:
        """Do a stage, or take its report from an earlier run. Only what passed is taken."""
        if known_stage := next((s for s in stages if s.name == name), None):
            return known_stage.passed
        path = folder / f"{name.replace(' ', '_').replace(':', '-')}.json"
        if path.exists() and (known := read_json(path, "a report of an earlier run"))["passed"]:
            stages.append(Stage(name, True, known))
            return True
        say(name)
        report = job(*arguments, **options).to_dict()
        write_json(path, report)
        stages.append(Stage(name, report["passed"], report))
        return bool(report["passed"])

    float_file = folder / "fp32.onnx"
    stage("export", export.export, request.checkpoint, float_file, export.ExportOptions(), force=True)
    files: dict[tuple[str, str], Path] = {}  # by engine and precision
    for engine in engines:
        for precision in request.precisions:
            path = _file(folder, parse(engine)[0], precision)
            if precision == "fp16" and not stage("fp16", half.half, float_file, path, request.split.images, force=True):
                continue
            if precision == "int8" and not stage(
                path.stem, quantize.quantize, _quantization(request, float_file, path)
            ):
                continue
            asked = check.Request(
                path, request.checkpoint, request.split.images, request.split.annotations, engine=engine
            )
            if stage(f"check {precision} in {engine}", check.check, asked, dataset=verdict):
                files[engine, precision] = path
    bench = folder / "bench.json"
    if bench.exists():
        return Done(folder, stages, codec.read_as(bench, BenchResult))
    say("measuring")
    result = measure(_rows(request, files), Schedule(seconds=request.seconds), command, say)
    codec.write(bench, result)
    done = Done(folder, stages, result)
    write_json(folder / RUN, done.to_dict())
    return done


def _file(folder: Path, engine: str, precision: str) -> Path:
    """int8 is made for an engine; float is for all."""
    return folder / (f"int8_{engine}.onnx" if precision == "int8" else f"{precision}.onnx")


def _quantization(request: Request, model: Path, path: Path) -> quantize.Request:
    return quantize.Request(
        model=model,
        output=path,
        split=request.split,
        target=path.stem.removeprefix("int8_"),
        max_drop=request.max_drop,
        statistics=request.folder / "statistics.npz",
        force=True,
    )


def _same_run(request: Request) -> None:
    """A folder belongs to one checkpoint; what lies in it is of no use for another."""
    path = request.folder / "fp32.onnx"
    request.folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and read_description(path).provenance.get("checkpoint") != sha256(
        checkpoints.resolve(request.checkpoint)
    ):
        raise BadInput(f"{request.folder} holds a run of another checkpoint — name another folder, or delete it")


def _rows(request: Request, files: dict[tuple[str, str], Path]) -> list[Any]:
    """PyTorch eager first, to be compared with."""
    card = read_description(request.folder / "fp32.onnx").card
    weights = checkpoints.resolve(request.checkpoint)
    threads = available_threads()
    rows = [row_of(Subject(card.name, Source(card, None, weights), Contract(), "fp32"), "torch", 1, threads)]
    for (engine, precision), path in files.items():
        rows.append(row_of(Subject(card.name, Source(card, path), Contract(), precision), engine, 1, threads))
    return rows
