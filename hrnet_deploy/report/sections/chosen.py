"""Choices: results of `tune` and `run`. Accuracy against latency, and the measurement they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from hrnet_deploy.report.charts import Point, Scatter
from hrnet_deploy.report.document import Block, Cell, Code, Line, Section, Table, Text
from hrnet_deploy.report.sections import measured
from hrnet_deploy.report.sections.provenance import origin
from hrnet_deploy.report.wording import between, megabytes, signed
from hrnet_deploy.results.bench import BenchRow as Row
from hrnet_deploy.stats import Ratio

SHAKY = ", of UNSTABLE rows: not to be quoted to the second digit."


def tuned(values: Mapping[str, Any], where: str) -> Section:
    """A report of `tune`: the candidates, those that no other beats in both respects, and how to make the winner."""
    result = measured.result_of(values["result"], where)
    rows = {(r.engine, r.precision, r.threads): r for r in result.rows}
    candidates = values["candidates"]
    several = len({c["threads"] for c in candidates}) > 1
    named = [(c, _title(c, several), rows.get((c["engine"], c["precision"], c["threads"]))) for c in candidates]
    found: list[Block] = [Text(f"Winner: {named[0][1]}. {values['verdict']}.")]
    if values["faster_than_base"] and result.base is not None:
        ratio = Ratio(**values["faster_than_base"])
        interval = between(f"{ratio.low:.2f}", f"{ratio.high:.2f}")
        shaky = any(r.unstable for r in (result.base, named[0][2]) if r is not None)
        found.append(
            Text(f"{ratio.ratio:.2f} times faster than {result.base.title} eager ({interval}){SHAKY if shaky else '.'}")
        )
    points = _points(named)
    if points:
        x_axis, y_axis = (
            "milliseconds end to end; less is better",
            f"{_metric(candidates)} difference in points, 95% interval",
        )
        found.append(Scatter("Latency against accuracy", x_axis, y_axis, points))
        found.append(
            Text(
                "On the front: no other candidate is both faster and nearer to the float model's score, whichever way it moved.",
                "note",
            )
        )
    if unseen := candidates[0].get("verdict"):
        found.append(
            Text(
                f"The winner on {unseen['images']} images that nothing was chosen by: {unseen['distance']['sentence']}."
            )
        )
        if unseen["difference"] is not None:
            change = _difference(unseen)
            found.append(Text(f"There its difference is {change.text}, 95% interval {change.note}."))
    letters = {p.name: p.letter for p in points}
    found.append(
        Table(
            "Candidates, the fastest first",
            _columns(candidates),
            [_row(*n, letters, n is named[0]) for n in named],
            "lrrrrl",
        )
    )
    found.append(Text(f"{values['output']} is the winner; made and measured again by:", "note"))
    found += [Code(c) for c in values["commands"]]
    below = Section("The measurement", [], measured.parts(result))
    return Section(
        f"{values['card']}: the fastest that is accurate ({where})", [*found, *origin(values["result"], where)], [below]
    )


def ran(values: Mapping[str, Any], where: str) -> Section:
    """A report of `run`: a line a stage, then what was measured."""
    result = measured.result_of(values["result"], where)
    rows: list[Line] = []
    for stage in values["stages"]:
        report = stage["report"]
        figures = report.get("task") or report.get("figures") or report["trials"][-1]["figures"]
        state = Cell("passed", tone="good") if stage["passed"] else Cell("FAILED", tone="bad")
        rows.append([stage["name"], state, _difference(figures), Cell(figures["distance"]["sentence"])])
    stages = Table("Stages", ["stage", "verdict", "difference", "what moved"], rows, "llrl")
    title = ", ".join(sorted({r.card for r in result.rows})) or "Nothing"
    under = [*measured.parts(result), Section("", origin(values["result"], where))]
    return Section(f"{title}: from checkpoint to figures ({where})", [stages], under)


def front(costs: Sequence[tuple[float, float]]) -> list[bool]:
    """Which of some pairs no other is at least as little as in both, and less in one."""
    return [not any(o != c and o[0] <= c[0] and o[1] <= c[1] for o in costs) for c in costs]


def _points(named: Sequence[tuple[Mapping[str, Any], str, Row | None]]) -> list[Point]:
    """The candidates that were measured and scored."""
    scored = [(c, n) for c, n, _ in named if not c["out"] and c["milliseconds"] is not None and c["figures"]]
    scored = [(c, n) for c, n in scored if c["figures"]["difference"] is not None][: len(ascii_uppercase)]
    best = front([(c["milliseconds"], abs(c["figures"]["difference"])) for c, _ in scored])
    return [
        Point(
            letter,
            name,
            c["milliseconds"],
            c["figures"]["difference"],
            c["figures"]["interval"][0],
            c["figures"]["interval"][1],
            measured.tone(c["precision"]),
            on,
        )
        for letter, (c, name), on in zip(ascii_uppercase, scored, best, strict=False)
    ]


def _row(candidate: Mapping[str, Any], name: str, row: Row | None, letters: Mapping[str, str], winner: bool) -> Line:
    figures = candidate["figures"] or {}
    letter = f"{letters[name]}  " if name in letters else ""
    score = "–" if figures.get("difference") is None else f"{100 * figures['engine'][figures['metric']]:.2f}"
    times: Cell | str = Cell("–", tone="note")
    peak, state = "–", Cell("out", candidate["out"], "warning")
    if not candidate["out"]:
        state = Cell("winner", tone="good") if winner else Cell("")
        if row is not None and row.status == "ok":
            times, peak = measured.time_cell(row, "end_to_end"), megabytes(row.memory["peak_rss_over_before"])
    return [f"{letter}{name}", times, peak, score, _difference(figures), state]


def _difference(figures: Mapping[str, Any]) -> Cell:
    if figures.get("difference") is None:
        return Cell("–", figures.get("unscored", ""), "note")
    low, high = figures["interval"]
    return Cell(f"{signed(figures['difference'])} {figures['metric']}", between(signed(low), signed(high)))


def _columns(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    return ["candidate", "end to end ms", "peak MB", _metric(candidates), "difference", "verdict"]


def _metric(candidates: Sequence[Mapping[str, Any]]) -> str:
    return next((c["figures"]["metric"] for c in candidates if c["figures"] and c["figures"]["metric"]), "score")


def _title(candidate: Mapping[str, Any], several: bool) -> str:
    engine, precision = candidate["engine"], candidate["precision"]
    title = engine if precision in engine else f"{engine} {precision}"
    return f"{title}, {candidate['threads']} threads" if several else title
