"""The result of `bench`. It includes all raw samples, so that other statistics can be computed later."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from hrnet_deploy.results.base import EngineInfo, Result
from hrnet_deploy.stats import Ratio, Summary, faster, summarise

SLOW = 1000.0  # milliseconds per call; with such slow calls, a warm-up has too few of them to become steady
WORTH = 1.1  # times faster; below this, a precision that loses accuracy is hardly worth it
Status = Literal["ok", "failed", "unavailable"]


@dataclass(frozen=True)
class Region:
    """One named span of time. `rounds` holds milliseconds per batch, one list per turn."""

    rounds: Sequence[Sequence[float]]
    steady: bool

    def __post_init__(self) -> None:
        if not self.rounds or any(not r or min(r) <= 0 for r in self.rounds):
            raise ValueError("Expected at least one round, and times over 0 in every round")

    @property
    def summary(self) -> Summary:
        return summarise(self.rounds)

    @property
    def unstable(self) -> bool:
        """Whether the rounds differ much or the warm-up did not become steady. For calls over `SLOW`, of which a
        warm-up has only a few, only the rounds count."""
        found = self.summary
        return found.unstable or (not self.steady and found.p50 < SLOW)


@dataclass(frozen=True)
class LayerTime:
    """The time of one layer in one inference, in milliseconds; its type and precision if the engine reports them."""

    name: str
    ms: float
    type: str = ""
    precision: str = ""


@dataclass(frozen=True)
class BenchRow:
    """One model in one engine.

    Attributes:
        engine: name with options, as on the command line.
        model: name of the file, or "card NAME".
        precision: in which the row computes; weights: "trained" or "random".
        input_size: HEIGHTxWIDTH.
        reason: why the status is not "ok".
        remark: what a reader must know to interpret the figures, for example whose operators a baseline uses.
        device: "cpu" or "cuda".
        cold: seconds of import, opening and the first inference, by name.
        memory: bytes by name.
        regions: by name: compute, end_to_end, pipeline.
        layers: time of each layer, if it was requested and the engine can measure it.
    """

    engine: str
    model: str
    card: str
    precision: str
    weights: str
    batch: int
    threads: int
    input_size: str = ""
    status: Status = "ok"
    reason: str = ""
    remark: str = ""
    device: str = ""
    info: EngineInfo = field(default_factory=EngineInfo)
    cold: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    regions: Mapping[str, Region] = field(default_factory=dict)
    layers: Sequence[LayerTime] = ()

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError("Expected a batch of at least 1")

    @property
    def title(self) -> str:
        return self.engine if self.precision in self.engine else f"{self.engine} {self.precision}"

    @property
    def unstable(self) -> bool:
        return any(r.unstable for r in self.regions.values())


@dataclass(frozen=True)
class BenchResult(Result):
    """A whole measurement. Ratios are computed from the rounds, in which the rows took turns."""

    kind: ClassVar[str] = "bench"

    rows: Sequence[BenchRow]
    load_before: Sequence[float] = ()
    load_after: Sequence[float] = ()

    @property
    def base(self) -> BenchRow | None:
        """The first row that was measured. The others are compared with it."""
        return next((r for r in self.rows if r.status == "ok"), None)

    def ratio(self, row: BenchRow, region: str) -> Ratio | None:
        """How many times faster a row is than the first one; None for the first, and if one was not measured."""
        base = self.base
        if base is None or row is base or row.batch != base.batch:
            return None
        if region not in row.regions or region not in base.regions:
            return None
        return faster(base.regions[region].rounds, row.regions[region].rounds)

    def gains(self) -> list[str]:
        """How much faster int8 is than the fastest other precision in the same engine, one sentence per int8 row."""
        measured = [r for r in self.rows if r.status == "ok"]
        sentences = []
        for row in (r for r in measured if r.precision == "int8"):
            rivals = [r for r in measured if r.precision != "int8" and _comparable(r) == _comparable(row)]
            region = next((n for n in ("end_to_end", "compute") if n in row.regions), "")
            rivals = [r for r in rivals if region in r.regions]
            if rivals:
                other = min(rivals, key=lambda r: r.regions[region].summary.p50)
                ratio = faster(other.regions[region].rounds, row.regions[region].rounds)
                sentences.append(verdict(row.title, row.precision, other.title, ratio))
        return sentences

    def memory_per_extra_image(self, row: BenchRow) -> float | None:
        """Bytes that each further image in the batch adds to the peak: this row compared with the same one with batch
        1."""
        if row.batch == 1 or row.status != "ok":
            return None
        key = _key(dataclasses.replace(row, batch=1))
        one = next((r for r in self.rows if r.status == "ok" and _key(r) == key), None)
        if one is None:
            return None
        # the host's memory says nothing about that of a GPU
        peak = "torch_peak_allocated" if row.device == "cuda" else "peak_rss_over_before"
        if peak not in row.memory or peak not in one.memory:
            return None
        return (row.memory[peak] - one.memory[peak]) / (row.batch - 1)

    def derived(self) -> dict[str, Any]:
        """Rows with the summaries and ratios that are computed from their samples."""
        return {"rows": [self._written(row) for row in self.rows]}

    def _written(self, row: BenchRow) -> dict[str, Any]:
        values = dataclasses.asdict(row)
        for name, region in row.regions.items():
            values["regions"][name]["milliseconds"] = dataclasses.asdict(region.summary)
            ratio = self.ratio(row, name)
            if ratio is not None:
                values["regions"][name]["times_faster_than_first"] = dataclasses.asdict(ratio)
        return {**values, "unstable": row.unstable, "memory_per_extra_image": self.memory_per_extra_image(row)}


def verdict(here: str, precision: str, there: str, ratio: Ratio) -> str:
    """A sentence on whether one row is worth using in place of another."""
    if not ratio.differs:
        return f"{here} and {there} are equally fast here" + (f": use {there}" if precision == "int8" else "")
    worth = ""
    if precision != "fp32" and ratio.ratio < WORTH:
        worth = ": hardly worth it" if ratio.ratio > 1 else ": not worth it"
    return f"{here} is {ratio.ratio:.2f}x {there} here{worth}"


def _comparable(row: BenchRow) -> tuple[Any, ...]:
    return (row.engine.partition(":")[0], row.card, row.input_size, row.batch, row.threads)


def _key(row: BenchRow) -> tuple[Any, ...]:
    return (row.engine, row.model, row.card, row.precision, row.weights, row.batch, row.threads)
