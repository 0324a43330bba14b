"""A result of `bench`: times and memory as charts, and everything as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput
from hrnet_deploy.report.charts import Bar, Bars, Group
from hrnet_deploy.report.document import Block, Cell, Line, Section, Table, Text
from hrnet_deploy.report.sections.provenance import origin
from hrnet_deploy.report.wording import between, megabytes, ms, times
from hrnet_deploy.results import codec
from hrnet_deploy.results.bench import BenchResult as Result
from hrnet_deploy.results.bench import BenchRow as Row
from hrnet_deploy.results.bench import Region
from hrnet_deploy.stats import Ratio

REGIONS = {"end_to_end": "end to end", "compute": "compute", "pipeline": "pipeline"}
MEMORY = {  # what each figure of a row covers
    "peak_rss_over_before": "peak over before opening",
    "rss": "resident when open",
    "file": "file on disk",
    "activations": "activations on the GPU, as the engine declares",
    "weights": "weights on the GPU, as the engine declares",
    "process": "this process on the GPU, by NVML",
    "torch_peak_allocated": "PyTorch's peak on the GPU",
}
NOT_CHARTED = ("rss_before_open",)  # of the process, not of the model
LAYERS = 20  # the slowest that a chart shows


def section(values: Mapping[str, Any], where: str) -> Section:
    result = result_of(values, where)
    cards = sorted({r.card for r in result.rows})
    title = f"{', '.join(cards) or 'Nothing'}: time and memory"
    return Section(f"{title} ({where})", [], [*parts(result), Section("", origin(values, where))], key=Path(where).stem)


def result_of(values: Any, where: object) -> Result:
    """A result of `bench`, also where it is a part of another result."""
    found = codec.from_dict(values, where)
    if not isinstance(found, Result):
        raise BadInput(f"{where} is not a result of `hrnet-deploy bench`")
    return found


def parts(result: Result) -> list[Section]:
    """Charts of each model and input size that was measured, then the table of all rows, also of those that failed."""
    if not result.rows:
        return [Section("", [Text("Nothing was measured.", "warning")])]
    models = _by_model(r for r in result.rows if r.status == "ok")
    latencies = [c for rows in models for c in latency(rows)]
    others = [c for rows in models for c in (*memory(rows), *layers(rows))]
    return [
        Section("", [*_weights(result), *latencies], key="latency"),
        Section("", others, key="memory"),
        Section("", [table(result)], key="rows"),
        Section("", _remarks(result), key="remarks"),
    ]


def _weights(result: Result) -> list[Block]:
    """Which rows were measured with random weights."""
    found = [r for r in result.rows if r.weights == "random"]
    if not found:
        return []
    which = (
        "Weights are random"
        if len(found) == len(result.rows)
        else f"Weights of {', '.join(r.title for r in found)} are random"
    )
    return [
        Text(f"{which}: time and memory do not depend on their values, and these rows say nothing of accuracy.", "note")
    ]


def latency(rows: Sequence[Row]) -> list[Bars]:
    """The widest span of time that was measured. The rows are of one model and input size, here and below."""
    name = next((n for n in REGIONS if any(n in r.regions for r in rows)), "")
    bars = [_latency(r, r.regions[name], _name(r, rows)) for r in rows if name in r.regions]
    axis = f"ms a batch, {REGIONS.get(name)}, 95% interval; less is better"
    return [Bars(f"Latency: {_subject(rows[0])}", axis, [Group("", bars)])] if bars else []


def memory(rows: Sequence[Row]) -> list[Bars]:
    """A chart a figure, each under its own name."""
    names = [n for n in dict.fromkeys(k for r in rows for k in (*MEMORY, *r.memory)) if n not in NOT_CHARTED]
    charts = []
    for name in names:
        bars = [_memory(_name(r, rows), r, r.memory[name]) for r in rows if r.memory.get(name)]
        if bars:
            charts.append(
                Bars(f"Memory, {MEMORY.get(name, name)}: {_subject(rows[0])}", "MB, less is better", [Group("", bars)])
            )
    return charts


def layers(rows: Sequence[Row]) -> list[Bars]:
    """The time of layers or blocks, where a row records it."""
    return [_layers(r, _name(r, rows)) for r in rows if r.layers]


def table(result: Result) -> Table:
    """One line a row; what a column covers is in its name. Times are medians with 95% intervals."""
    several = len({r.model for r in result.rows}) > 1
    spans = [n for n in REGIONS if any(n in r.regions for r in result.rows)]
    columns = [
        "engine",
        "batch, threads",
        *(f"{REGIONS[n]} ms" for n in spans),
        "times faster",
        "first s",
        "file MB",
        "peak MB",
        "remarks",
    ]
    rows: list[Line] = []
    for r in result.rows:
        head: Line = [Cell(r.title, r.model if several else ""), f"{r.batch}, {r.threads}"]
        if r.status != "ok":
            rows.append([*head, *[Cell("–", tone="note")] * (len(columns) - 3), Cell(r.status, r.reason, "warning")])
            continue
        first = r.cold.get("open_s", 0.0) + r.cold.get("first_inference_s", 0.0)
        sizes = [megabytes(r.memory[n]) if r.memory.get(n) else "–" for n in ("file", "peak_rss_over_before")]
        rows.append(
            [*head, *(time_cell(r, n) for n in spans), _faster(result, r), f"{first:.2f}", *sizes, _remark(result, r)]
        )
    return Table("Every row that was asked for", columns, rows, f"ll{'r' * (len(columns) - 3)}l", wide=True)


def time_cell(row: Row, region: str) -> Cell | str:
    """The median, its interval, and whether to rely on it."""
    if region not in row.regions:
        return Cell("–", tone="note")
    s, shaky = row.regions[region].summary, row.regions[region].unstable
    return Cell(
        ms(s.p50), f"{between(ms(s.low), ms(s.high))}{', unstable' if shaky else ''}", "warning" if shaky else ""
    )


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


def _subject(row: Row) -> str:
    return f"{row.card}, {row.input_size}" if row.input_size and not row.card.endswith(row.input_size) else row.card


def _name(row: Row, rows: Sequence[Row]) -> str:
    """What tells a row from the others of its chart."""
    parts = [row.title]
    if len({r.model for r in rows}) > 1:
        parts.append(row.model)
    if row.batch != 1 or len({r.batch for r in rows}) > 1:
        parts.append(f"batch {row.batch}")
    if len({r.threads for r in rows}) > 1:
        parts.append(f"{row.threads} threads")
    if together := _in_flight(row):
        parts.append(together)
    return ", ".join(parts)


def _in_flight(row: Row) -> str:
    """Said of an engine that keeps several inputs in flight: the time is then a share, and no latency."""
    together = row.info.in_flight
    return f"{together} in flight" if together > 1 else ""


def _latency(row: Row, region: Region, name: str) -> Bar:
    s, shaky = region.summary, region.unstable
    return Bar(
        f"{name}, UNSTABLE" if shaky else name, s.p50, f"{ms(s.p50)} ms", s.low, s.high, tone(row.precision), shaky
    )


def _memory(name: str, row: Row, size: int) -> Bar:
    return Bar(name, size / 1e6, f"{megabytes(size)} MB", tone=tone(row.precision))


def _layers(row: Row, name: str) -> Bars:
    """The slowest layers, and what the others take together."""
    layers = sorted(row.layers, key=lambda v: -v.ms)
    bars = [Bar(v.name, v.ms, f"{ms(v.ms)} ms", tone=tone(row.precision)) for v in layers[:LAYERS]]
    if rest := layers[LAYERS:]:
        total = sum(v.ms for v in rest)
        bars.append(Bar(f"the other {len(rest)} together", total, f"{ms(total)} ms"))
    return Bars(f"Where the time goes: {name}", "milliseconds of an inference, the slowest first", [Group("", bars)])


def _faster(result: Result, row: Row) -> Cell:
    return Cell("1", "base") if row is result.base else ratio_cell(result.ratio(row, _region(result)))


def _region(result: Result) -> str:
    """What ratios are of: end to end where that was measured."""
    return next((n for n in REGIONS if result.base is not None and n in result.base.regions), "end_to_end")


def _remark(result: Result, row: Row) -> Cell:
    more = result.memory_per_extra_image(row)
    grows = "" if more is None else f"{megabytes(more)} MB a further image"
    note = ", ".join(filter(None, (grows or _in_flight(row), row.info.note, row.remark)))
    return Cell("UNSTABLE", note, "warning") if row.unstable else Cell("", note)


def _remarks(result: Result) -> list[Block]:
    said = "compute is the engine alone, end to end host array in and out, pipeline image in and decoded result out."
    if result.base is not None:
        said += f" Times faster is {REGIONS[_region(result)]} against {result.base.title}; rows took turns in one run."
    said += " first s is opening and the first inference. peak MB is resident memory at its peak, over what it was before the model was opened."
    notes: list[Block] = [*(Text(f"{sentence}.") for sentence in result.gains()), Text(said, "note")]
    if any(r.unstable for r in result.rows if r.status == "ok"):
        notes.append(
            Text("Rows marked UNSTABLE moved too much between rounds to be quoted to the second digit.", "warning")
        )
    return notes
