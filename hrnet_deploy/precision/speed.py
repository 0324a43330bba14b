"""How much slower a file becomes by the blocks that are left in float.

The float32 graph, the graph with everything in int8, and the mixed graph are measured in alternating rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

from hrnet_deploy.bench.launcher import LOCAL, Launcher
from hrnet_deploy.bench.machine import Machine
from hrnet_deploy.bench.rows import Subject, row_of
from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.engines.base import Source
from hrnet_deploy.graph.metadata import Description, save_model
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.quantization import SpeedComparison
from hrnet_deploy.stats import faster

REGION = "compute"
SCHEDULE = Schedule(seconds=2.0, regions=(REGION,))
FLOAT, INTEGERS, MADE = "float", "all int8", "as made"


def measure(
    models: Mapping[str, onnx.ModelProto],
    description: Description,
    engine: str,
    threads: int | None,
    folder: Path,
    progress: Progress = SILENT,
    launcher: Launcher = LOCAL,
) -> SpeedComparison:
    """Measure graphs of one network in the engine that they were made for.

    Args:
        models: under the keys FLOAT, MADE and, if something was left in float, INTEGERS.
        description: of the float32 file.
        engine: with options, as on the command line.
        threads: for the engine; all available ones unless given.
        folder: where files of the graphs are written.
        progress: is notified of each stage.
        launcher: where the graphs are measured.

    Returns:
        The comparison, or the reason why there is none: the engine cannot run, or a graph fails.
    """
    with Machine(launcher) as machine:
        if missing := machine.unavailable_reasons([engine])[engine]:
            return SpeedComparison(engine, missing=missing)
        batch = models[FLOAT].graph.input[0].type.tensor_type.shape.dim[0].dim_value or 1
        rows = []
        for name, model in models.items():
            path = folder / f"speed {name}.onnx"
            save_model(model, path)
            precision = "fp32" if name == FLOAT else "int8"
            subject = Subject(name, Source(description.card, path), description.input_format, precision)
            rows.append(row_of(subject, engine, batch, threads or machine.threads()))
        result = run(rows, SCHEDULE, progress, machine)
    if failed := next((r.reason for r in result.rows if r.status != "ok"), ""):
        return SpeedComparison(engine, missing=failed)
    regions = {r.model: r.regions[REGION] for r in result.rows}
    rounds = {n: r.rounds for n, r in regions.items()}
    return SpeedComparison(
        engine,
        {n: r.summary.p50 for n, r in regions.items()},
        faster(rounds[FLOAT], rounds[MADE]),
        faster(rounds[MADE], rounds[INTEGERS]) if INTEGERS in rounds else None,
    )
