"""The document of `bench`: charts of times and memory, and a table of all rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hrnet_deploy.results.bench import BenchResult, BenchRow, Region
from hrnet_deploy.results.charts import Bar, Bars, Group
from hrnet_deploy.results.document import Cell, Document, Element, Line, Section, Table, Text
from hrnet_deploy.results.documents.provenance import machine, origin
from hrnet_deploy.results.wording import NONE, between, megabytes, ms, times
from hrnet_deploy.stats import Ratio

REGIONS = {
    "end_to_end": "end to end",
    "compute": "compute",
    "pipeline": "pipeline",
}  # ratios are of the first one that was measured
COVERS = {
    "compute": "compute is the engine alone",
    "end_to_end": "end to end is from a host array to a host array",
    "pipeline": "pipeline is from an image to a decoded result",
}
MEMORY = {  # what each figure of a row covers
    "peak_rss_over_before": "peak, less what was used before opening",
    "rss": "resident when open",
    "file": "file on disk",
    "activations": "activations on the GPU, as reported by the engine",
    "weights": "weights on the GPU, as reported by the engine",
    "process": "this process on the GPU, as reported by NVML",
    "torch_peak_allocated": "PyTorch's peak on the GPU",
}
IN_TABLE = ("peak_rss_over_before", "file")  # figures that are also columns of the table
NOT_CHARTED = ("rss_before_open",)  # a figure of the process and not of the model
LAYERS = 20  # how many of the slowest layers a chart shows


def document(result: BenchResult, name: str) -> Document:
    """Charts of each model and input size that was measured, then the table of all rows, failed ones included."""
    cards = ", ".join(sorted({r.card for r in result.rows})) or "Nothing"
    where = [Text(f"Measured on {machine(result.environment)}.", "note")] if result.environment is not None else []
    sections = [*parts(result), origin(result, name, reproduce=True)]
    return Document(f"{cards}: time and memory", where, sections, key=Path(name).stem)


def parts(result: BenchResult) -> list[Section]:
    """The sections of a measurement, also if it is a part of another result."""
    if not result.rows:
        return [Section("", [Text("Nothing was measured.", "warning")])]
    models = _by_model(r for r in result.rows if r.status == "ok")
    latencies = [c for rows in models for c in latency(rows)]
    memories = [c for rows in models for c in memory(rows)]
    timelines = [c for rows in models for c in layers(rows)]
    return [
        Section("", [*_weights(result), *latencies], key="latency"),
        Section("", memories, key="memory"),
        Section("", [table(result)], key="rows"),
        Section("", _remarks(result), key="remarks"),
        *([Section("", timelines, key="layers")] if timelines else []),
    ]


def _weights(result: BenchResult) -> list[Element]:
    """Which rows were measured with random weights."""
    found = [r for r in result.rows if r.weights == "random"]
    if not found:
        return []
    names = ", ".join(dict.fromkeys(r.title for r in found))
    which = "The weights are random" if len(found) == len(result.rows) else f"The weights of {names} are random"
    return [Text(f"{which}: time and memory do not depend on them, but these rows say nothing about accuracy.", "note")]


def latency(rows: Sequence[BenchRow]) -> list[Bars]:
    """A chart of the widest region that was measured. Here and below, the rows are of one model and input size."""
    name = next((n for n in REGIONS if any(n in r.regions for r in rows)), "")
    bars = [_latency(r, r.regions[name], _name(r, rows)) for r in rows if name in r.regions]
    axis = f"ms per batch, {REGIONS.get(name)}, 95% interval; less is better"
    return [Bars(f"Latency: {_subject(rows[0])}", axis, [Group("", bars)], in_table=True)] if bars else []


def memory(rows: Sequence[BenchRow]) -> list[Bars]:
    """One chart for each figure."""
    names = [n for n in dict.fromkeys(k for r in rows for k in (*MEMORY, *r.memory)) if n not in NOT_CHARTED]
    charts = []
    for name in names:
        bars = [_memory(_name(r, rows), r, r.memory[name]) for r in rows if r.memory.get(name)]
        if bars:
            title = f"Memory, {MEMORY.get(name, name)}: {_subject(rows[0])}"
            known = name in IN_TABLE
            charts.append(Bars(title, "MB; less is better", [Group("", bars)], in_table=known, detail=not known))
    return charts


def layers(rows: Sequence[BenchRow]) -> list[Bars]:
    """Charts of the time of layers or blocks, for rows that record it."""
    return [_layers(r, _name(r, rows)) for r in rows if r.layers]


def table(result: BenchResult) -> Table:
    """One line for each row. Times are medians of a batch with 95% intervals."""
    done = [r for r in result.rows if r.status == "ok"]
    several = len({r.model for r in result.rows}) > 1
    regions = [n for n in REGIONS if any(n in r.regions for r in result.rows)]
    with_file = any(r.memory.get("file") for r in done)
    ratios, sizes = (["times faster"] if len(done) > 1 else []), [*(["file MB"] if with_file else []), "peak MB"]
    head = ["engine", "batch", "threads"]
    columns = [*head, *(f"{REGIONS[n]} ms" for n in regions), *ratios, "first s", *sizes, "remarks"]
    rows: list[Line] = []
    for r in result.rows:
        line: Line = [Cell(r.title, r.model if several else ""), str(r.batch), str(r.threads)]
        if r.status == "ok":
            line += [time_cell(r, n) for n in regions]
            line += [_faster(result, r)] if ratios else []
            line += [f"{r.cold.get('open_s', 0.0) + r.cold.get('first_inference_s', 0.0):.2f}"]
            line += [_size(r, "file")] if with_file else []
            line += [_size(r, "peak_rss_over_before"), _remark(result, r)]
        else:
            line += [Cell(NONE, tone="note")] * (len(columns) - 4) + [Cell(r.status, r.reason, "warning")]
        rows.append(line)
    return Table("All rows", columns, rows, f"l{'r' * (len(columns) - 2)}l", wide=True)


def time_cell(row: BenchRow, region: str) -> Cell:
    """The median, its interval, and whether it is unstable."""
    if region not in row.regions:
        return Cell(NONE, tone="note")
    s, shaky = row.regions[region].summary, row.regions[region].unstable
    note = between(ms(s.low), ms(s.high)) + (", unstable" if shaky else "")
    return Cell(ms(s.p50), note, "warning" if shaky else "")


def tone(precision: str) -> str:
    """The colour class of a precision."""
    return {"fp32": "fp32", "fp16": "half", "bf16": "half", "int8": "int8"}.get(precision, "plain")


def ratio_cell(ratio: Ratio | None) -> Cell:
    """How many times faster, with its interval. If the interval includes 1, there is no difference."""
    if ratio is None:
        return Cell(NONE, tone="note")
    interval = between(f"{ratio.low:.2f}", f"{ratio.high:.2f}")
    return Cell(times(ratio.ratio) if ratio.differs else "no difference", interval)


def _by_model(rows: Iterable[BenchRow]) -> list[list[BenchRow]]:
    groups: dict[tuple[str, str], list[BenchRow]] = {}
    for row in rows:
        groups.setdefault((row.card, row.input_size), []).append(row)
    return list(groups.values())


def _subject(row: BenchRow) -> str:
    return f"{row.card}, {row.input_size}" if row.input_size and not row.card.endswith(row.input_size) else row.card


def _name(row: BenchRow, rows: Sequence[BenchRow]) -> str:
    """A name that distinguishes a row from the others of its chart."""
    parts = [row.title]
    if len({r.model for r in rows}) > 1:
        parts.append(row.model)
    if row.batch != 1 or len({r.batch for r in rows}) > 1:
        parts.append(f"batch {row.batch}")
    if len({r.threads for r in rows}) > 1:
        parts.append(f"{row.threads} threads")
    if row.info.in_flight > 1:
        parts.append(f"{row.info.in_flight} in flight")
    return ", ".join(parts)


def _latency(row: BenchRow, region: Region, name: str) -> Bar:
    s, shaky = region.summary, region.unstable
    name = f"{name}, UNSTABLE" if shaky else name
    return Bar(name, s.p50, f"{ms(s.p50)} ms", s.low, s.high, tone(row.precision), shaky)


def _memory(name: str, row: BenchRow, size: int) -> Bar:
    return Bar(name, size / 1e6, f"{megabytes(size)} MB", tone=tone(row.precision))


def _layers(row: BenchRow, name: str) -> Bars:
    """The slowest layers, and the sum of the others."""
    found = sorted(row.layers, key=lambda v: -v.ms)
    bars = [Bar(v.name, v.ms, f"{ms(v.ms)} ms", tone=tone(row.precision)) for v in found[:LAYERS]]
    if rest := found[LAYERS:]:
        total = sum(v.ms for v in rest)
        bars.append(Bar(f"the other {len(rest)} together", total, f"{ms(total)} ms"))
    return Bars(f"Where the time goes: {name}", "milliseconds per inference, the slowest first", [Group("", bars)])


def _size(row: BenchRow, name: str) -> str:
    return megabytes(row.memory[name]) if row.memory.get(name) else NONE


def _faster(result: BenchResult, row: BenchRow) -> Cell:
    return Cell("1", "base") if row is result.base else ratio_cell(result.ratio(row, _region(result)))


def _region(result: BenchResult) -> str:
    """The region of the ratios: end to end if that was measured."""
    return next((n for n in REGIONS if result.base is not None and n in result.base.regions), "end_to_end")


def _remark(result: BenchResult, row: BenchRow) -> Cell:
    more = result.memory_per_extra_image(row)
    notes = [
        "" if more is None else f"{megabytes(more)} MB per further image",
        f"{row.info.in_flight} in flight, so its time is not a latency" if row.info.in_flight > 1 else "",
        row.info.note,
        row.remark,
    ]
    note = "; ".join(filter(None, notes))
    return Cell("UNSTABLE", note, "warning") if row.unstable else Cell("", note)


def _remarks(result: BenchResult) -> list[Element]:
    """Conclusions from all rows, then explanations of the columns."""
    elements: list[Element] = [Text(f"{sentence}.") for sentence in result.gains()]
    done = [r for r in result.rows if r.status == "ok"]
    if result.base is not None and len(done) > 1:
        region = REGIONS[_region(result)]
        elements.append(
            Text(f"Times faster: {region}, compared with {result.base.title}; the rows took turns in one run.", "note")
        )
    if done:
        elements.append(
            Text("peak MB: peak of resident memory, less what was used before the model was opened.", "note")
        )
        covers = [COVERS[n] for n in REGIONS if any(n in r.regions for r in done)]
        what = f"Times are medians per batch with 95% intervals: {', '.join(covers)}."
        elements.append(
            Text(f"{what} first s: seconds of opening the model and of the first inference.", "note", detail=True)
        )
    if any(r.unstable for r in done):
        shaky = "Rows marked UNSTABLE varied too much between rounds: do not quote them to the second digit."
        elements.append(Text(shaky, "warning"))
    return elements
