"""The result of `int8_speed.py`: a measurement beside the rate of a plain int8 matrix product."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import Result
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.document import Document, Line, Section, Table, Text
from hrnet_deploy.results.documents import bench, register
from hrnet_deploy.results.documents.provenance import nested
from hrnet_deploy.results.wording import times


@dataclass(frozen=True)
class Int8SpeedResult(Result):
    """What int8 could reach on the processor, and what it reaches.

    Attributes:
        result: the measurement.
        int8_gmacs_per_second: rate of a plain product of matrices, in 1e9 multiply-accumulates per second.
        floor_ms: milliseconds that the network's multiply-accumulates take at that rate.
        times_the_floor: the latency of each int8 row over that, by the row's title.
    """

    kind: ClassVar[str] = "int8_speed"

    result: BenchResult
    int8_gmacs_per_second: float
    floor_ms: float
    times_the_floor: Mapping[str, float]


def document(result: Int8SpeedResult, name: str) -> Document:
    """The document of the measurement, with the bound that the processor sets."""
    made = bench.document(nested(result.result, result), name)
    text = (
        f"A plain int8 matrix product runs at {result.int8_gmacs_per_second:.0f} GMAC/s here. At that rate the network "
        f"would take {result.floor_ms:.1f} ms."
    )
    rows: list[Line] = [[title, times(ratio)] for title, ratio in result.times_the_floor.items()]
    table = Table("Latency over that bound", ["engine", "times"], rows)
    return dataclasses.replace(made, sections=[*made.sections, Section("", [Text(text), table], key="floor")])


register(Int8SpeedResult, document)
