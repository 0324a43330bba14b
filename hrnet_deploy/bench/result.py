"""What a benchmark found, as it is kept: raw samples included, so that anybody can ask it something else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import read_json, write_json
from hrnet_deploy.stats import Ratio, Summary, faster, summarise

SCHEMA = 1
SLOW = 1000.0  # milliseconds of a call, of which a warm-up has too few to tell


@dataclass(frozen=True)
class Region:
    """One named span of time. rounds: milliseconds, one list a turn. Times are of a batch, not of an image."""

    rounds: Sequence[Sequence[float]]
    steady: bool

    @property
    def summary(self) -> Summary:
        return summarise(self.rounds)

    @property
    def unstable(self) -> bool:
        """Rounds far apart, or a warm-up that did not become steady. Of a call so slow that a warm-up has only a few of them,
        which say nothing, the rounds alone decide."""
        found = self.summary
        return found.unstable or (not self.steady and found.p50 < SLOW)


@dataclass(frozen=True)
class Row:
    """One model in one engine. status is ok, failed or unavailable; reason says why it is not ok."""

    engine: str
    model: str
    card: str
    precision: str
    weights: str
    batch: int
    threads: int
    input_size: str = ""
    status: str = "ok"
    reason: str = ""
    device: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    cold: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    regions: Mapping[str, Region] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.engine if self.precision in self.engine else f"{self.engine} {self.precision}"

    @property
    def unstable(self) -> bool:
        return any(r.unstable for r in self.regions.values())


@dataclass(frozen=True)
class Result:
    """A whole run. Ratios are computed from the rounds, which took turns."""

    rows: Sequence[Row]
    environment: Mapping[str, Any]
    command: str
    started: str
    load_before: Sequence[float] = ()
    load_after: Sequence[float] = ()

    @property
    def base(self) -> Row | None:
        """The first row that was measured: what the others are compared with."""
        return next((r for r in self.rows if r.status == "ok"), None)

    def ratio(self, row: Row, region: str) -> Ratio | None:
        """How many times faster a row is than the first one; None for the first and where one was not measured."""
        base = self.base
        if (
            base is None
            or row is base
            or region not in row.regions
            or region not in base.regions
            or row.batch != base.batch
        ):
            return None
        return faster(base.regions[region].rounds, row.regions[region].rounds)

    def gains(self) -> list[str]:
        """Of every engine measured in int8 and in something else: what int8 gains on the fastest of that, in a sentence."""
        said = []
        for row in (r for r in self.rows if r.status == "ok" and r.precision == "int8"):
            like = [
                r
                for r in self.rows
                if r.status == "ok" and r.precision != "int8" and _comparable(r) == _comparable(row)
            ]
            for region in (n for n in ("end_to_end", "compute") if n in row.regions):
                rivals = [r for r in like if region in r.regions]
                if rivals:
                    other = min(rivals, key=lambda r: r.regions[region].summary.p50)
                    ratio = faster(other.regions[region].rounds, row.regions[region].rounds)
                    said.append(verdict(row.title, row.precision, other.title, ratio))
                break
        return said

    def memory_per_extra_image(self, row: Row) -> float | None:
        """Bytes a further image in the batch adds to the peak: this row against its like of batch 1."""
        if row.batch == 1 or row.status != "ok":
            return None
        like = dataclasses.replace(row, batch=1)
        one = next((r for r in self.rows if r.status == "ok" and _key(r) == _key(like)), None)
        if one is None:
            return None
        peak = (
            "torch_peak_allocated" if row.device == "cuda" else "peak_rss_over_before"
        )  # the host's says nothing of a GPU's
        if peak not in row.memory or peak not in one.memory:
            return None
        return (row.memory[peak] - one.memory[peak]) / (row.batch - 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; summaries and ratios are written beside the samples they follow from."""
        values: dict[str, Any] = {"schema": SCHEMA, "kind": "bench", **dataclasses.asdict(self)}
        for row, written in zip(self.rows, values["rows"], strict=True):
            for name, region in row.regions.items():
                written["regions"][name]["milliseconds"] = dataclasses.asdict(region.summary)
                ratio = self.ratio(row, name)
                if ratio is not None:
                    written["regions"][name]["times_faster_than_first"] = dataclasses.asdict(ratio)
            written["unstable"] = row.unstable
            written["memory_per_extra_image"] = self.memory_per_extra_image(row)
        return values

    def write(self, path: Path) -> None:
        write_json(path, self.to_dict())


WORTH = 1.1  # times faster, below which what loses accuracy is hardly worth it


def verdict(here: str, precision: str, there: str, ratio: Ratio) -> str:
    """Whether something of that precision pays beside something else, in a sentence."""
    if not ratio.differs:
        return f"{here} and {there} are equally fast here" + (f": take {there}" if precision == "int8" else "")
    worth = (
        ""
        if precision == "fp32" or ratio.ratio >= WORTH
        else ": hardly worth it"
        if ratio.ratio > 1
        else ": not worth it"
    )
    return f"{here} is {ratio.ratio:.2f}x {there} here{worth}"


def _comparable(row: Row) -> tuple[Any, ...]:
    return (row.engine.partition(":")[0], row.card, row.input_size, row.batch, row.threads)


def _key(row: Row) -> tuple[Any, ...]:
    return (row.engine, row.model, row.card, row.precision, row.weights, row.batch, row.threads)


def read_result(path: Path) -> Result:
    """A file `Result.write` made."""
    return result_of(read_json(path, "a result of `hrnet-deploy bench --json`"), path)


def result_of(values: Any, where: object) -> Result:
    """What `Result.to_dict` gave, also where it is a part of another result. Raises BadInput that names `where` it was."""
    try:
        if values["kind"] != "bench" or values["schema"] != SCHEMA:
            raise BadInput(
                f"{where} is not a result this version reads (kind {values['kind']}, schema {values['schema']})"
            )
        fields = [f.name for f in dataclasses.fields(Row)]
        rows = []
        for row in values["rows"]:
            regions = {n: Region(r["rounds"], r["steady"]) for n, r in row["regions"].items()}
            rows.append(Row(**{**{f: row[f] for f in fields}, "regions": regions}))
        rest = {f.name: values[f.name] for f in dataclasses.fields(Result) if f.name != "rows"}
        return Result(rows=rows, **rest)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{where} is not a result of `hrnet-deploy bench --json` ({error!r})") from error
