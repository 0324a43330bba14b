"""The document of `compare`. `jobs.compare` decides what counts as a difference."""

from __future__ import annotations

from hrnet_deploy.results.charts import Bar, Bars, Group
from hrnet_deploy.results.comparison import Change, CompareResult
from hrnet_deploy.results.document import Cell, Document, Element, Line, Table, Text
from hrnet_deploy.results.documents.figures import verdict
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.wording import counted, percent, sentence

RULE = (
    "Times differ if the 95% intervals of their medians do not overlap; memory differs if it changes by over "
    "{memory:.0%}; computed figures differ if they are not equal."
)


def document(result: CompareResult, name: str) -> Document:
    """The verdict, what changed by more than noise, and every figure that both results have."""
    from hrnet_deploy.stats import MEMORY_TOLERANCE

    changes = result.changes
    real = [c for c in changes if c.real]
    worse = sum(c.worse for c in real)
    figures = counted(len(changes), "figure")
    found: list[Element] = [
        Text(f"{len(real)} of {figures} differ by more than noise: {worse} worse, {len(real) - worse} better."),
        Text(f"{result.base} is the base, {result.new} is new.", "note"),
    ]
    if result.verdict:
        found.append(Text(sentence(result.verdict)))
    if any(c.limit for c in changes):
        what = "no figure became" if result.passed else "a figure became"
        found.insert(0, verdict(result.passed, f"{what} worse by more than its limit"))
    groups: dict[str, list[Bar]] = {}
    for c in changes:
        if c.percent is not None and c.percent == c.percent:
            groups.setdefault(c.subject, []).append(_bar(c, c.percent))
    if groups:
        axis = "change in percent of the base; faint if it is not larger than noise"
        chart = Bars("What changed", axis, [Group(subject, bars) for subject, bars in groups.items()], in_table=True)
        found.append(chart)
    rows: list[Line] = []
    for c in changes:
        values = (f"{c.base:.4g} {c.unit}", f"{c.new:.4g} {c.unit}")
        rows.append([c.subject, c.name, *values, _change(c), _state(c)])
    found.append(
        Table("Every figure of both", ["subject", "figure", "base", "new", "change", "verdict"], rows, "llrrrl")
    )
    for path, only in ((result.base, result.only_base), (result.new, result.only_new)):
        if only:
            found.append(Text(f"Only in {path}: {'; '.join(only)}.", "note"))
    found.append(Text(RULE.format(memory=MEMORY_TOLERANCE), "note"))
    return Document("What changed", found, [origin(result, name)])


def _change(change: Change) -> Cell:
    share = "" if change.percent is None else percent(change.percent)
    if not change.real:
        return Cell("no difference", share, "note")
    return Cell(f"{change.change:+.4g} {change.unit}".replace("-", "−", 1), share)


def _state(change: Change) -> Cell:
    limit = f"limit {change.limit}" if change.limit else ""
    if change.failed:
        return Cell("FAILED", limit, "bad")
    if not change.real:
        return Cell("", limit)
    return Cell("worse", limit, "bad") if change.worse else Cell("better", limit, "good")


def _bar(change: Change, share: float) -> Bar:
    text = ", no difference" if not change.real else ", worse" if change.worse else ", better"
    tone = "plain" if not change.real else "bad" if change.worse else "good"
    return Bar(f"{change.name}{text}", share, percent(share), tone=tone, faint=not change.real)
