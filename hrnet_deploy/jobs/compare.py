"""Two result files: what really changed, and whether it is too much. Needs no torch and opens no model.

A figure that was measured several times comes with the range it was seen in; where two such ranges overlap there is
no difference. A figure that was computed (a score on the same images) differs if it differs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import read_json

WANTED = "a result of `hrnet-deploy bench -o`, `check -o`, `quantize --json` or `half --json`"


@dataclass(frozen=True)
class Figure:
    """One number of a result. `low` and `high` bound what was seen of it; more of it is better, or less."""

    value: float
    low: float
    high: float
    more_is_better: bool
    unit: str


@dataclass(frozen=True)
class Change:
    """One figure in both results. `change` is new minus base, `percent` of the base; `limit` is what was allowed."""

    subject: str
    name: str
    unit: str
    base: float
    new: float
    real: bool
    worse: bool
    limit: str = ""
    failed: bool = False

    @property
    def change(self) -> float:
        return self.new - self.base

    @property
    def percent(self) -> float | None:
        return 100 * self.change / self.base if self.base else None


@dataclass(frozen=True)
class Comparison:
    """What changed, and what is in one of the two only."""

    base: str
    new: str
    changes: Sequence[Change]
    only_base: Sequence[str]
    only_new: Sequence[str]

    @property
    def passed(self) -> bool:
        return not any(c.failed for c in self.changes)

    def to_dict(self) -> dict[str, Any]:
        values = [{**vars(c), "change": c.change, "percent": c.percent} for c in self.changes]
        return {"schema": 1, "kind": "compare", "passed": self.passed, **vars(self), "changes": values}


@dataclass(frozen=True)
class Limit:
    """How much worse a figure may become: in its own unit, or in percent of the base."""

    text: str
    amount: float
    percent: bool

    def exceeded(self, change: float, base: float) -> bool:
        return abs(change) > (abs(base) * self.amount / 100 if self.percent else self.amount)


def parse_limits(text: str) -> dict[str, Limit]:
    """`ap=0.3,latency=5%` -> a limit a name."""
    limits = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        found = re.fullmatch(r"(\w+)=(\d+(?:\.\d+)?)(%?)", part)
        if not found:
            raise BadInput(f"--fail-on {part} is no limit — write it like ap=0.3 or latency=5%")
        limits[found[1].lower()] = Limit(part, float(found[2]), bool(found[3]))
    return limits


def compare(base: Path, new: Path, fail_on: str = "") -> Comparison:
    """Raises BadInput where the files cannot be compared, or a limit is on something they do not hold."""
    limits = parse_limits(fail_on)
    ours, theirs = read_figures(base), read_figures(new)
    shared = [k for k in ours if k in theirs]
    if not shared:
        raise BadInput(f"{base} and {new} have nothing in common — compare two results of the same kind and model")
    names = dict.fromkeys(n for _, n in shared)
    for name in limits:
        if name not in names:
            raise BadInput(f"--fail-on {name}: the results hold no {name} — they hold {', '.join(names)}")
    changes = [_change(k, ours[k], theirs[k], limits.get(k[1])) for k in shared]
    subjects = [dict.fromkeys(s for s, _ in found) for found in (ours, theirs)]
    only = [[s for s in a if s not in b] for a, b in (subjects, subjects[::-1])]
    return Comparison(str(base), str(new), changes, *only)


def _change(key: tuple[str, str], base: Figure, new: Figure, limit: Limit | None) -> Change:
    change = new.value - base.value
    real = new.low > base.high or new.high < base.low
    worse = real and (change < 0) == base.more_is_better
    failed = worse and limit is not None and limit.exceeded(change, base.value)
    return Change(*key, base.unit, base.value, new.value, real, worse, limit.text if limit else "", failed)


def read_figures(path: Path) -> dict[tuple[str, str], Figure]:
    """Every figure of a result file, by what it is of and its name."""
    values = read_json(path, WANTED)
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in READERS:
        raise BadInput(f"{path} is no result that can be compared — expected {WANTED}")
    try:
        return READERS[kind](values)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise BadInput(f"{path} is a damaged result ({error!r}) — expected {WANTED}") from error


def _bench(values: Mapping[str, Any]) -> dict[tuple[str, str], Figure]:
    found = {}
    for row in values["rows"]:
        if row["status"] != "ok":
            continue
        subject = f"{row['engine']} {row['precision']} {row['card']} batch {row['batch']}, {row['threads']} threads"
        for region, name in (("end_to_end", "latency"), ("compute", "compute"), ("pipeline", "pipeline")):
            if region in row["regions"]:
                medians = [sorted(r)[len(r) // 2] for r in row["regions"][region]["rounds"]]
                middle = float(row["regions"][region]["milliseconds"]["p50"])
                found[subject, name] = Figure(middle, min(*medians, middle), max(*medians, middle), False, "ms")
        peak = row["memory"]["peak_rss_over_before"] / 1e6
        found[subject, "memory"] = Figure(peak, 0.95 * peak, 1.05 * peak, False, "MB")  # allocators round
    return found


def _suite(values: Mapping[str, Any]) -> dict[tuple[str, str], Figure]:
    """Every column that was measured; rows name their card, so columns do not mix."""
    return {k: f for column in values["columns"] if column["result"] for k, f in _bench(column["result"]).items()}


def _task(values: Mapping[str, Any]) -> dict[tuple[str, str], Figure]:
    """A comparison with a reference on images: `check`, and what `quantize` and `half` judge by."""
    task = values.get("task") or values.get("figures") or values["trials"][-1]["figures"]
    subject = f"{values['card']} on {task['images']} images"
    distances = task["distance"]["figures"]
    found = {}
    if task["difference"] is not None:
        name = task["metric"]
        score = 100 * task["engine"][name]
        found[subject, name.lower()] = _exact(score, True, "points")
    for name, alias, unit in (
        ("pixels_mean", "pixels", "px"),
        ("moved_over_1px", "moved", "share"),
        ("differing", "differing", "share"),
    ):
        if name in distances:
            found[subject, alias] = _exact(distances[name], False, unit)
    for tensor in task["tensors"]:
        found[subject, "relative"] = _exact(tensor["relative"], False, "of maximum")
    return found


def _exact(value: float, more_is_better: bool, unit: str) -> Figure:
    """A computed figure; what floating point adds up differently on another machine is no difference."""
    slack = 1e-6 * max(abs(value), 1.0)
    return Figure(value, value - slack, value + slack, more_is_better, unit)


READERS: dict[str, Callable[[Mapping[str, Any]], dict[tuple[str, str], Figure]]] = {
    "bench": _bench,
    "suite": _suite,
    "check": _task,
    "quantize": _task,
    "half": _task,
}
