"""The paper's cost table on this machine: nine networks at the paper's input sizes, in every engine there is.

A column is one network: its rows take turns in one run, so ratios inside a column are good. What is done is kept after
every column, and an interrupted run goes on where it was.
"""

from __future__ import annotations

import dataclasses
import datetime
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.bench.environment import environment
from hrnet_deploy.bench.result import Row
from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.bench.worker import Job
from hrnet_deploy.cards import COST_TABLE, ModelCard, card, folder
from hrnet_deploy.engines import ENGINES, open_engine, parse, require, unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput, DeployError
from hrnet_deploy.files import read_json, write_json
from hrnet_deploy.graph.metadata import Description
from hrnet_deploy.graph.quantize import TARGETS
from hrnet_deploy.jobs.bench import Subject, row_of
from hrnet_deploy.jobs.export import verify
from hrnet_deploy.parity import score_on_images
from hrnet_deploy.results.figures import all_passed
from hrnet_deploy.tasks.base import Contract, task_of
from hrnet_deploy.tasks.dataset import load_dataset
from hrnet_deploy.tasks.registry import task_entry
from hrnet_deploy.tasks.samples import sample_images
from hrnet_deploy.threads import available_threads

Say = Callable[[str], None]
SUFFIXES = (".safetensors", ".pth", ".pt")
SCHEDULE = Schedule(seconds=5.0, rounds=6, warm_up_most=20.0, least=1, regions=("compute",))
QUICK = Schedule(seconds=0.3, rounds=6, warm_up=0.1, warm_up_most=0.5, least=1, regions=("compute",))


@dataclass(frozen=True)
class Column:
    """One network of the table: its card, the input it is measured at, and what the paper measured (GB, seconds)."""

    name: str
    card: ModelCard
    paper: Mapping[str, Any]

    @property
    def task(self) -> str:
        return self.card.task


@dataclass(frozen=True)
class Request:
    """What to measure. `checkpoints` is a folder with weights called after the cards; others are random. `data` holds a
    folder of annotated images for each task, called after it, to score trained weights on. `quick` takes small
    inputs, to see that everything works. `minutes` bound the start of the last column."""

    output: Path
    engines: Sequence[str] = ()
    tasks: Sequence[str] = ()
    cards: Sequence[str] = ()
    checkpoints: Path | None = None
    data: Path | None = None
    quick: bool = False
    minutes: float | None = None
    training: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What two parts of one run must have in common."""
        plan = QUICK if self.quick else SCHEDULE
        engines = list(self.engines) or [n for n in ENGINES if not unavailable_reason(n)]
        return {
            "engines": engines,
            "quick": self.quick,
            "checkpoints": str(self.checkpoints or ""),
            "data": str(self.data or ""),
            "seconds": plan.seconds,
            "rounds": plan.rounds,
            "threads": available_threads(),
        }


def columns(quick: bool = False) -> list[Column]:
    """The nine columns, in the paper's order."""
    import yaml

    table = yaml.safe_load((folder() / COST_TABLE).read_text(encoding="utf-8"))
    found = []
    for entry in table["columns"]:
        size = entry["quick" if quick else "input"]
        training = {
            "training_input": "x".join(map(str, entry["training"]["input"])),
            "training_batch": entry["training"]["batch"],
        }
        chosen = card(entry["card"]).resized(*size)
        paper = {
            "inference_static_s": None,
            **entry["paper"],
            **training,
            "metric": task_entry(chosen.task).metric,
        }
        found.append(Column(entry["name"], chosen, {**paper, "hardware": table["hardware"]}))
    return found


def suite(
    request: Request, command: str, say: Say = lambda _: None, table: Sequence[Column] | None = None
) -> dict[str, Any]:
    """Measure what is not yet in the output file; give everything that is, as it is written there.

    A column that cannot be measured says why and the rest goes on. `table` is another table than the paper's.
    """
    for engine in request.engines:
        require(engine)
    chosen = _chosen(request, columns(request.quick) if table is None else table)
    done = _begun(request)
    started = time.monotonic()
    kept = {c["name"]: c for c in done.get("columns", ())}
    entries = {
        **kept,
        **{c.name: kept.get(c.name) or _empty(c) for c in chosen},
    }  # what was measured stays, asked for or not
    order = {c.name: number for number, c in enumerate(columns() if table is None else table)}
    entries = {name: entries[name] for name in sorted(entries, key=lambda n: order.get(n, len(order)))}
    state = {
        "schema": 1,
        "kind": "suite",
        "started": done.get("started") or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "environment": environment(),
        "settings": request.settings,
    }
    for column in chosen:
        entry = entries[column.name]
        if entry["result"] is not None and (entry["training"] is not None or not request.training):
            continue
        if request.minutes is not None and time.monotonic() - started > 60 * request.minutes:
            entry["reason"] = (
                f"the {request.minutes:g} minutes were over before it — the same command goes on from here"
            )
        else:
            entries[column.name] = _measured(column, entry, request, command, say)
        write_json(request.output, {**state, "columns": list(entries.values())})
    return {**state, "columns": list(entries.values())}


def _chosen(request: Request, found: Sequence[Column]) -> list[Column]:
    if unknown := set(request.tasks) - {c.task for c in found}:
        raise BadInput(
            f"the cost table has no task {unknown.pop()!r} — it has {', '.join(dict.fromkeys(c.task for c in found))}"
        )
    if unknown := set(request.cards) - {c.card.name for c in found}:
        raise BadInput(
            f"the cost table has no card {unknown.pop()!r} — pass --weights random to measure any card by itself, or choose "
            f"among {', '.join(c.card.name for c in found)}"
        )
    found = [
        c
        for c in found
        if (not request.tasks or c.task in request.tasks) and (not request.cards or c.card.name in request.cards)
    ]
    if not found:
        raise BadInput("no column of the cost table is of that task and that card — leave one of them out")
    return found


def _begun(request: Request) -> dict[str, Any]:
    """What an earlier run of the same settings left."""
    if not request.output.exists():
        return {}
    found = read_json(request.output, "a result of `hrnet-deploy bench`")
    if not isinstance(found, dict) or found.get("kind") != "suite" or found.get("settings") != request.settings:
        raise BadInput(
            f"{request.output} holds something else, or a run with other settings — name another file with -o, or delete it"
        )
    return found


def _empty(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "task": column.task,
        "card": column.card.name,
        "input_size": column.card.input.size,
        "paper": dict(column.paper),
        "result": None,
        "training": None,
        "score": None,
        "parity": None,
        "reason": "",
    }


def _measured(column: Column, entry: dict[str, Any], request: Request, command: str, say: Say) -> dict[str, Any]:
    try:
        if entry["result"] is None:
            entry = {
                **entry,
                **_inference(column, request, command, lambda s: say(f"{column.name}: {s}")),
                "reason": "",
            }
        if request.training and entry["training"] is None:
            from hrnet_deploy.bench.training import training

            device = "cuda" if any("cuda" in parse(e)[1] for e in request.engines) else "cpu"
            found = training(column.card, column.paper, request.quick, lambda s: say(f"{column.name}: {s}"), device)
            entry = {**entry, "training": found}
    except DeployError as error:
        entry = {**entry, "reason": str(error)}
    return entry


def _inference(column: Column, request: Request, command: str, say: Say) -> dict[str, Any]:
    """Float in every engine, and int8 in each that has a placement."""
    from hrnet_deploy.graph.metadata import save_model
    from hrnet_deploy.jobs.export import ExportOptions
    from hrnet_deploy.workflow.random_weights import int8_file, noise_ranges, random_model

    chosen, threads, plan = column.card, available_threads(), QUICK if request.quick else SCHEDULE
    weights = _checkpoint(column, request)
    engines = request.settings["engines"]
    if weights is None and all(parse(e)[0] == "torch" for e in engines):  # no ONNX file is needed
        network = Subject(chosen.name, Source(chosen, weights="random"), Contract(), "fp32")
        return {
            "result": run(
                [row_of(network, e, 1, threads, unavailable_reason(e)) for e in engines], plan, command, say
            ).to_dict()
        }
    with tempfile.TemporaryDirectory() as place:
        say("exporting")
        model, description = (
            random_model(chosen, ExportOptions(), say) if weights is None else _trained(weights, chosen, say)
        )
        float_file = Path(place, "fp32.onnx")
        save_model(model, float_file)
        kind: Any = "random" if weights is None else "trained"
        plain = Subject(chosen.name, Source(chosen, float_file, weights, kind), Contract(), "fp32")
        say("verifying against PyTorch")
        parity = parity_at_input(plain.source, description)
        targets = [t for t in TARGETS if t in {parse(e)[0] for e in engines}]
        say("ranges on noise")
        ranges = noise_ranges(model, chosen) if targets else {}
        integers: dict[str, Subject] = {}
        for target in targets:
            path = Path(place, f"int8_{target}.onnx")
            int8_file(model, description, ranges, target, path)
            integers[target] = dataclasses.replace(plain, source=Source(chosen, path, None, kind), precision="int8")
        del model
        rows: list[tuple[Row, Job | None]] = []
        for engine in engines:
            rows.append(row_of(plain, engine, 1, threads, unavailable_reason(engine)))
            if (name := parse(engine)[0]) in integers:
                rows.append(row_of(integers[name], engine, 1, threads))
        score = _score(plain.source, request, say) if weights is not None else None
        return {"result": run(rows, plan, command, say).to_dict(), "score": score, "parity": parity}


def parity_at_input(source: Source, description: Description) -> dict[str, Any]:
    """The exported graph against the network at the column's own input, on noise and one image: what is another network is not
    worth measuring."""
    one = sample_images()
    tensors, task, checks, _ = verify(source, description, dataclasses.replace(one, items=one.items[:1]))
    if not all_passed(checks):
        failed = next(
            (f"{c.name} is {c.value:.3g} where {c.limit:g} is allowed" for c in checks if not c.passed),
            "nothing was judged",
        )
        raise BadInput(
            f"its ONNX file is not the network ({failed}) — export the card by itself to see which tensor differs"
        )
    relative = max((t.relative for t in (*tensors, *task.tensors)), default=None)
    return {"relative": relative, "sentence": task.distance.sentence}


def _score(source: Source, request: Request, say: Say) -> dict[str, Any] | None:
    """The task's metric of trained weights, where there is data for the task."""
    place = request.data / source.card.task if request.data is not None else None
    if place is None or not place.is_dir():
        return None
    say("scoring")
    task, dataset = task_of(source.card), load_dataset(place)
    engine = open_engine("ort", source)
    figures = score_on_images(engine, task, dataset).figures()
    engine.close()
    return {"metric": task.metric, "value": 100 * figures[task.metric], "data": f"{len(dataset)} images of {place}"}


def _checkpoint(column: Column, request: Request) -> Path | None:
    if request.checkpoints is None:
        return None
    return next((p for s in SUFFIXES if (p := request.checkpoints / f"{column.card.name}{s}").exists()), None)


def _trained(weights: Path, chosen: ModelCard, say: Say) -> Any:
    from hrnet_deploy import checkpoints
    from hrnet_deploy.architecture import require_same
    from hrnet_deploy.jobs.export import ExportOptions, export_network

    found = checkpoints.load(weights)
    require_same(
        weights,
        found.architecture,
        f"the column's card {chosen.name}",
        chosen.architecture,
        "rename the file, or take it away",
    )
    return export_network(found.network(), chosen, ExportOptions(), {"checkpoint": found.sha256}, say)
