"""A result of `bench`: times and memory as charts, and everything as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hrnet_deploy.bench.result import Region, Result, Row, result_of
from hrnet_deploy.bench.stats import Ratio
from hrnet_deploy.report.charts import Bar, Bars, Group
from hrnet_deploy.report.document import Block, Cell, Line, Section, Table, Text
from hrnet_deploy.report.sections.provenance import origin
from hrnet_deploy.report.wording import between, megabytes, ms, times

REGIONS = {"end_to_end": "end to end", "compute": "compute", "pipeline": "pipeline"}
MEMORY = {  # what each figure of a row covers
    "peak_rss_over_before": "peak over what was resident before opening",
    "rss": "resident with the model open",
    "file": "file on disk",
}
NOT_CHARTED = ("rss_before_open",)  # of the process, not of the model
LAYERS = 20  # the slowest that a chart shows


def section(values: Mapping[str, Any], where: str) -> Section:
    result = result_of(values, where)
    cards = sorted({r.card for r in result.rows})
    title = f"{', '.join(cards) or 'Nothing'}: time and memory"
    return Section(f"{title} ({where})", [*blocks(result), *origin(values, where)])


def blocks(result: Result) -> list[Block]:
    """Charts of each model and input size that was measured, then the table of all rows, also of those that failed."""
    found: list[Block] = []
    if result.rows and any(r.weights == "random" for r in result.rows):
        found.append(Text("Weights are random: time and memory do not depend on them, and nothing here speaks of accuracy.", "note"))
    for rows in _by_model(r for r in result.rows if r.status == "ok"):
        found += charts(rows)
    if not result.rows:
        return [Text("Nothing was measured.", "warning")]
    return [*found, table(result), *_remarks(result)]


def charts(rows: Sequence[Row]) -> list[Bars]:
    """Latency, memory and, where a row records it, the time of its layers. The rows are of one model and input size."""
    card, size = rows[0].card, rows[0].input_size
    subject = f"{card}, {size}" if size and not card.endswith(size) else card
    made = []
    name = next((n for n in REGIONS if any(n in r.regions for r in rows)), "")
    measured = [r for r in rows if name in r.regions]
    if measured:
        bars = [_latency(r, r.regions[name], _name(r, rows)) for r in measured]
        axis = f"milliseconds a batch, {REGIONS[name]}, 95% interval; less is better"
        made.append(Bars(f"Latency: {subject}", axis, [Group("", bars)]))
    names = [n for n in dict.fromkeys(k for r in rows for k in (*MEMORY, *r.memory)) if n not in NOT_CHARTED]
    groups = [
        Group(MEMORY.get(n, n), [_memory(_name(r, rows), r, r.memory[n]) for r in rows if r.memory.get(n)])
        for n in names
        if any(r.memory.get(n) for r in rows)
    ]
    if groups:
        made.append(Bars(f"Memory: {subject}", "megabytes; less is better", groups))
    return made + [_layers(r, _name(r, rows)) for r in rows if r.facts.get("layers")]


def table(result: Result) -> Table:
    """One line a row; what a column covers is in its name. Times are medians with 95% intervals."""
    several = len({r.model for r in result.rows}) > 1
    spans = [f"{n} ms" for n in REGIONS.values()]
    columns = ["engine", "batch, threads", *spans, "times faster", "first s", "file MB", "peak MB", "remarks"]
    rows: list[Line] = []
    for r in result.rows:
        head: Line = [Cell(r.title, r.model if several else ""), f"{r.batch}, {r.threads}"]
        if r.status != "ok":
            rows.append([*head, *[Cell("–", tone="note")] * 7, Cell(r.status, r.reason, "warning")])
            continue
        first = r.cold.get("open_s", 0.0) + r.cold.get("first_inference_s", 0.0)
        sizes = [megabytes(r.memory[n]) if r.memory.get(n) else "–" for n in ("file", "peak_rss_over_before")]
        rows.append([*head, *(time_cell(r, n) for n in REGIONS), _faster(result, r), f"{first:.2f}", *sizes, _remark(result, r)])
    return Table("Every row that was asked for", columns, rows, "ll" + "r" * 7 + "l", wide=True)


def time_cell(row: Row, region: str) -> Cell | str:
    """The median, its interval, and whether to rely on it."""
    if region not in row.regions:
        return Cell("–", tone="note")
    s = row.regions[region].summary
    return Cell(ms(s.p50), between(ms(s.low), ms(s.high)), "warning" if unstable(row.regions[region]) else "")


def unstable(region: Region) -> bool:
    return region.summary.unstable or not region.steady


def tone(precision: str) -> str:
    """The colour class of a precision."""
    return {"fp32": "fp32", "fp16": "half", "bf16": "half", "int8": "int8"}.get(precision, "plain")


def ratio_cell(ratio: Ratio | None) -> Cell:
    """How many times faster, with its interval; a ratio whose interval holds 1 is none."""
    if ratio is None:
        return Cell("–", tone="note")
    interval = between(f"{ratio.low:.2f}", f"{ratio.high:.2f}")
    return Cell(times(ratio.ratio) if ratio.differs else "no difference", interval)


def _by_model(rows: Iterable[Row]) -> list[list[Row]]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.card, row.input_size), []).append(row)
    return list(groups.values())


def _name(row: Row, rows: Sequence[Row]) -> str:
    """What tells a row from the others of its chart."""
    parts = [row.title]
    if len({r.model for r in rows}) > 1:
        parts.append(row.model)
    if row.batch != 1 or len({r.batch for r in rows}) > 1:
        parts.append(f"batch {row.batch}")
    if len({r.threads for r in rows}) > 1:
        parts.append(f"{row.threads} threads")
    return ", ".join(parts)


def _latency(row: Row, region: Region, name: str) -> Bar:
    s, shaky = region.summary, unstable(region)
    return Bar(f"{name}, UNSTABLE" if shaky else name, s.p50, f"{ms(s.p50)} ms", s.low, s.high, tone(row.precision), shaky)


def _memory(name: str, row: Row, size: int) -> Bar:
    return Bar(name, size / 1e6, f"{megabytes(size)} MB", tone=tone(row.precision))


def _layers(row: Row, name: str) -> Bars:
    """The slowest layers, and what the others take together."""
    layers = sorted(row.facts["layers"], key=lambda v: -v["ms"])
    bars = [Bar(v["name"], v["ms"], f"{ms(v['ms'])} ms", tone=tone(row.precision)) for v in layers[:LAYERS]]
    if rest := layers[LAYERS:]:
        total = sum(v["ms"] for v in rest)
        bars.append(Bar(f"the other {len(rest)} together", total, f"{ms(total)} ms"))
    return Bars(f"Where the time goes: {name}", "milliseconds of an inference, the slowest first", [Group("", bars)])


def _faster(result: Result, row: Row) -> Cell:
    return Cell("1", "base") if row is result.base else ratio_cell(result.ratio(row, _region(result)))


def _region(result: Result) -> str:
    """What ratios are of: end to end where that was measured."""
    return next((n for n in REGIONS if result.base is not None and n in result.base.regions), "end_to_end")


def _remark(result: Result, row: Row) -> Cell:
    notes = []
    if (more := result.memory_per_extra_image(row)) is not None:
        notes.append(f"{megabytes(more)} MB a further image")
    shaky = [REGIONS.get(n, n) for n, r in row.regions.items() if unstable(r)]
    if shaky:
        return Cell("UNSTABLE", "; ".join([*notes, f"{', '.join(shaky)} moved between rounds"]), "warning")
    return Cell("", "; ".join(notes))


def _remarks(result: Result) -> list[Block]:
    said = "compute is the engine alone, end to end host array in and out, pipeline image in and decoded result out."
    if result.base is not None:
        said += f" Times faster is {REGIONS[_region(result)]} against {result.base.title}; rows took turns in one run."
    said += f" first s is opening and the first inference. peak MB is the {MEMORY['peak_rss_over_before']}."
    notes: list[Block] = [Text(said, "note")]
    if any(r.unstable for r in result.rows if r.status == "ok"):
        notes.append(Text("Rows marked UNSTABLE moved too much between rounds to be quoted to the second digit.", "warning"))
    return notes
