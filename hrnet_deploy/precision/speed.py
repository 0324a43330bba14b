"""What blocks left in float cost in speed: the float graph, the int8 one and the mixture of both, measured in turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.engines import unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.graph.metadata import Description, save_model
from hrnet_deploy.jobs.bench import Subject, row_of
from hrnet_deploy.stats import Ratio, faster
from hrnet_deploy.threads import available_threads

Say = Callable[[str], None]
REGION = "compute"
SCHEDULE = Schedule(seconds=2.0, regions=(REGION,))
FLOAT, INTEGERS, MADE = "float", "all int8", "as made"


@dataclass(frozen=True)
class Speed:
    """Medians in milliseconds of a batch; how many times faster what was made is than float, and how many times the
    latency of all int8 it takes (none where nothing was left in float). `missing` says why nothing was measured."""

    engine: str
    milliseconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    over_float: Ratio | None = None
    of_integers: Ratio | None = None
    missing: str = ""

    @property
    def sentence(self) -> str:
        if self.missing or self.over_float is None:
            return f"speed not measured: {self.missing}"
        gain = f"{self.over_float.ratio:.2f} times faster than float ({self.over_float.low:.2f} to {self.over_float.high:.2f})"
        if self.of_integers is None:
            return gain
        cost, low, high = (100 * (v - 1) for v in (self.of_integers.ratio, self.of_integers.low, self.of_integers.high))
        return f"what is in float costs {cost:+.1f}% of the latency of all int8 ({low:+.1f} to {high:+.1f}%); {gain}"


def measure(
    models: Mapping[str, onnx.ModelProto],
    description: Description,
    engine: str,
    threads: int | None,
    folder: Path,
    say: Callable[[str], None],
) -> Speed:
    """`models` by FLOAT, MADE and, where the two differ, INTEGERS; in the engine they were made for."""
    if missing := unavailable_reason(engine):
        return Speed(engine, missing=missing)
    batch = models[FLOAT].graph.input[0].type.tensor_type.shape.dim[0].dim_value or 1
    rows = []
    for name, model in models.items():
        path = folder / f"speed {name}.onnx"
        save_model(model, path)
        subject = Subject(
            name, Source(description.card, path), description.contract, "fp32" if name == FLOAT else "int8"
        )
        rows.append(row_of(subject, engine, batch, threads or available_threads()))
    result = run(rows, SCHEDULE, "", say)
    if failed := next((r.reason for r in result.rows if r.status != "ok"), ""):
        return Speed(engine, missing=failed)
    regions = {r.model: r.regions[REGION] for r in result.rows}
    rounds = {n: r.rounds for n, r in regions.items()}
    return Speed(
        engine,
        {n: r.summary.p50 for n, r in regions.items()},
        faster(rounds[FLOAT], rounds[MADE]),
        faster(rounds[MADE], rounds[INTEGERS]) if INTEGERS in rounds else None,
    )
