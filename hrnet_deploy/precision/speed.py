"""What blocks left in float cost in speed.

The float32 graph, the graph that is all int8 and the mixture of both are measured in turns.
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
    """Measure graphs of one network in the engine they were made for.

    Args:
        models: by FLOAT, MADE and, where the two differ, INTEGERS.
        description: of the float32 file.
        engine: with options, as on the command line.
        threads: for the engine; all that are available unless given.
        folder: where files of the graphs are written.
        progress: told of each stage.
        launcher: where the graphs are measured.

    Returns:
        The comparison; with a reason, where the engine cannot run or a graph fails.
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
            subject = Subject(name, Source(description.card, path), description.contract, precision)
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
