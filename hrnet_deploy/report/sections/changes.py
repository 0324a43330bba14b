"""A comparison of two results. What is real is decided by `jobs.compare`; here it is marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrnet_deploy.report.charts import Bar, Bars, Group
from hrnet_deploy.report.document import Block, Cell, Line, Section, Table, Text
from hrnet_deploy.report.wording import percent


def section(values: Mapping[str, Any], where: str) -> Section:
    """What `compare --json` writes."""
    changes = values["changes"]
    real = [c for c in changes if c["real"]]
    worse = sum(c["worse"] for c in real)
    found: list[Block] = [
        Text(f"{values['base']} is the base, {values['new']} is new.", "note"),
        Text(f"{len(real)} of {len(changes)} figures really differ: {worse} worse, {len(real) - worse} better."),
    ]
    if any(c["limit"] for c in changes):
        passed = values["passed"]
        found.append(
            Text(
                "Passed: nothing got worse past its limit." if passed else "FAILED: past a limit.",
                "good" if passed else "bad",
            )
        )
    groups: dict[str, list[Bar]] = {}
    for c in changes:
        if c["percent"] is not None:
            groups.setdefault(c["subject"], []).append(_bar(c))
    if groups:
        axis = "change in percent of the base; faint where there is no real one"
        found.append(Bars("What changed", axis, [Group(subject, bars) for subject, bars in groups.items()]))
    rows: list[Line] = []
    for c in changes:
        said = "" if c["percent"] is None else percent(c["percent"])
        rows.append(
            [
                c["subject"],
                c["name"],
                _figure(c["base"], c["unit"]),
                _figure(c["new"], c["unit"]),
                _change(c, said),
                _state(c),
            ]
        )
    found.append(Table("Every figure of both", ["of", "figure", "base", "new", "change", "verdict"], rows, "llrrrl"))
    found += [
        Text(f"Only in {values[side]}: {'; '.join(values[only])}.", "note")
        for side, only in (("base", "only_base"), ("new", "only_new"))
        if values[only]
    ]
    found.append(
        Text(
            "Where the ranges that a figure was seen in overlap there is no difference; computed figures differ if they differ.",
            "note",
        )
    )
    return Section(f"What changed ({where})", found)


def _figure(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}"


def _change(change: Mapping[str, Any], share: str) -> Cell:
    if not change["real"]:
        return Cell("no difference", share, "note")
    return Cell(f"{change['change']:+.4g} {change['unit']}".replace("-", "−", 1), share)


def _state(change: Mapping[str, Any]) -> Cell:
    if change["failed"]:
        return Cell("FAILED", f"limit {change['limit']}", "bad")
    limit = f"limit {change['limit']}" if change["limit"] else ""
    if not change["real"]:
        return Cell("", limit)
    return Cell("worse", limit, "bad") if change["worse"] else Cell("better", limit, "good")


def _bar(change: Mapping[str, Any]) -> Bar:
    real, share = change["real"], change["percent"]
    said = ", no difference" if not real else ", worse" if change["worse"] else ", better"
    tone = "plain" if not real else "bad" if change["worse"] else "good"
    return Bar(f"{change['name']}{said}", share, percent(share), tone=tone, faint=not real)
