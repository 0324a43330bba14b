"""The paper's cost table, its figures beside those measured here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hrnet_deploy.report.charts import Bar, Bars, Group
from hrnet_deploy.report.document import Block, Cell, Line, Section, Table, Text
from hrnet_deploy.report.sections import measured
from hrnet_deploy.report.sections.provenance import machine, origin
from hrnet_deploy.report.wording import between, gigabytes, seconds, times
from hrnet_deploy.results.bench import BenchResult as Result
from hrnet_deploy.results.bench import BenchRow as Row
from hrnet_deploy.results.bench import Region
from hrnet_deploy.stats import faster

# What the paper's figures were measured on ("Deep High-Resolution Representation Learning for Visual Recognition",
# TPAMI, Table 13): the eager figures on PyTorch 1.0, those of a static graph on MXNet.
PAPER = {"inference": "one V100, PyTorch 1.0", "static": "one V100, MXNet 1.5.1", "training": "four V100, PyTorch 1.0"}
EAGER, STATIC, HALF, INT8 = "PyTorch eager", "static graph, float32", "half precision", "static graph, int8"
CLASSES = (EAGER, STATIC, HALF, INT8)
NOTHING = Cell("–", tone="note")


class Reasons:
    """Why cells are empty. Cells give a number, and each reason stands once under the table."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def cell(self, reason: str) -> Cell:
        return Cell("–", f"see {self._numbers.setdefault(reason, len(self._numbers) + 1)}", "warning")

    def texts(self) -> list[Text]:
        return [Text(f"{number}: {reason}", "note") for reason, number in self._numbers.items()]


@dataclass(frozen=True)
class Column:
    """A column of the table: its facts, and what was measured of it."""

    values: Mapping[str, Any]
    result: Result | None
    reasons: Reasons

    @property
    def paper(self) -> Mapping[str, Any]:
        return self.values["paper"]

    def best(self, kind: str) -> Row | None:
        """The fastest row of a class by the time of an image."""
        rows = self.result.rows if self.result is not None else ()
        measured_ = [r for r in rows if class_of(r) == kind and r.status == "ok" and r.regions]
        return min(measured_, key=lambda r: region(r).summary.p50 / r.batch, default=None)

    def unavailable_reason(self, kind: str) -> Cell:
        """Why there is no row of a class."""
        if self.result is None:
            return (
                self.reasons.cell(self.values["reason"]) if self.values["reason"] else Cell("–", "not measured", "note")
            )
        failed = next((r for r in self.result.rows if class_of(r) == kind and r.status != "ok"), None)
        return (
            self.reasons.cell(f"{failed.title} {failed.status}: {failed.reason}")
            if failed
            else Cell("–", "not asked for", "note")
        )

    @property
    def training(self) -> Sequence[Mapping[str, Any]]:
        return (self.values.get("training") or {}).get("rows", ())


def section(values: Mapping[str, Any], where: str) -> Section:
    reasons = Reasons()
    columns = [Column(c, c["result"] and measured.result_of(c["result"], where), reasons) for c in values["columns"]]
    here = machine(values["environment"])
    blocks: list[Block] = [
        Text(f"Paper: {PAPER['inference']}. Here: {here}, batch 1 unless said. The fastest row of each kind is shown.")
    ]
    if values["settings"].get("quick"):
        blocks.append(
            Text(
                "A quick look: inputs are smaller than the paper's, so the figures cannot be held against it.",
                "warning",
            )
        )
    if any(r.weights == "random" for c in columns if c.result for r in c.result.rows):
        blocks.append(
            Text(
                "Where weights are random there is no score of ours; time and memory do not depend on the values of weights.",
                "note",
            )
        )
    blocks += [table(columns), *reasons.texts(), *speedups(columns)]
    blocks.append(
        Text(
            "Memory here is the resident peak over what it was before the model was opened, weights included (of PyTorch on a GPU, the "
            "peak it allocated there); the paper's is the GPU's. Hardware differs, so only the ratios on one machine can be held "
            "against each other.",
            "note",
        )
    )
    under = [
        *_gpu(values.get("gpu", {}), where),
        Section("Every column", [], [_column(c) for c in columns], key="columns"),
    ]
    return Section(f"The paper's cost table ({where})", [*blocks, *origin(values, where)], under, key="table")


GPU = {
    **{f"modes_{p}": f"HRNetV1-W48 in every mode of PyTorch, {p}" for p in ("fp32", "tf32", "fp16", "bf16")},
    "throughput": "Its throughput by batch",
    "onnxruntime": "ONNX Runtime on the GPU",
}


def _gpu(found: Mapping[str, Any], where: str) -> list[Section]:
    """What `benchmarks/gpu.py` found besides the columns."""
    sections = []
    if rates := found.get("matrix_rates"):
        rows: list[Line] = [[name, f"{rate:.2f}"] for name, rate in rates.items()]
        table_ = Table(
            "Rate of a plain matrix product", ["precision", "1e12 multiply-accumulates a second"], rows, "lr"
        )
        sections.append(Section("", [table_], key="rates"))
    for key, title in GPU.items():
        part = found.get(key)
        if part and "unavailable_reason" in part:
            sections.append(Section(title, [Text(f"Not measured: {part['unavailable_reason']}.", "warning")], key=key))
        elif part:
            sections.append(Section(title, [], measured.parts(measured.result_of(part, where)), key=key))
    return sections


def class_of(row: Row) -> str:
    """What the paper would call a row: eager, or a static graph, and of which precision."""
    eager = row.engine.partition(":")[0] == "torch" and row.info.mode in ("", "eager")
    if eager and row.precision == "fp32":
        return EAGER
    return {"fp32": STATIC, "fp16": HALF, "bf16": HALF, "int8": INT8}.get(row.precision, row.precision)


def region(row: Row) -> Region:
    """End to end, or the widest that was measured."""
    return next(row.regions[n] for n in measured.REGIONS if n in row.regions)


def table(columns: Sequence[Column]) -> Table:
    """The paper's rows, each followed by ours."""
    lines: list[tuple[Cell, Callable[[Column], Cell]]] = [
        (Cell("Task", "and input"), lambda c: Cell(str(c.values["task"]), str(c.values["input_size"]))),
        (
            Cell("Memory an image, GB", f"paper: {PAPER['inference']}"),
            lambda c: Cell(f"{c.paper['inference_memory_gb']:.2f}"),
        ),
        (Cell("Memory an image, GB", f"here: {EAGER}"), lambda c: _memory(c, EAGER)),
        (Cell("Memory an image, GB", f"here: {INT8}"), lambda c: _memory(c, INT8)),
        (Cell("Seconds an image", f"paper: {PAPER['inference']}"), lambda c: _paper_seconds(c.paper["inference_s"])),
        (Cell("Seconds an image", f"here: {EAGER}"), lambda c: _seconds(c, EAGER)),
        (
            Cell("Seconds an image", f"paper, static graph: {PAPER['static']}"),
            lambda c: _paper_seconds(c.paper["inference_static_s"]),
        ),
        (Cell("Seconds an image", f"here: {STATIC}"), lambda c: _seconds(c, STATIC)),
        (Cell("Seconds an image", f"here: {HALF}"), lambda c: _seconds(c, HALF)),
        (Cell("Seconds an image", f"here: {INT8}"), lambda c: _seconds(c, INT8)),
        (Cell("Times faster than eager", f"here: {INT8}"), lambda c: _faster(c, INT8)),
        (
            Cell("Score", "paper: COCO val, Cityscapes val"),
            lambda c: Cell(f"{c.paper['score']:.1f}", str(c.paper["metric"])),
        ),
        (Cell("Score", "here"), _score),
    ]
    if any(c.values.get("parity") for c in columns):
        lines.insert(1, (Cell("Largest difference", "ONNX Runtime from PyTorch, before it was measured"), _parity))
    asked = {class_of(r) for c in columns if c.result for r in c.result.rows}
    missing = {f"here: {kind}" for kind in (STATIC, HALF, INT8) if kind not in asked and (asked or kind == HALF)}
    lines = [line for line in lines if line[0].note not in missing]
    if any(c.training for c in columns):
        lines += [
            (
                Cell("Training memory, GB", f"paper: {PAPER['training']}"),
                lambda c: Cell(f"{c.paper['training_memory_gb']:.1f}"),
            ),
            (Cell("Training memory, GB", "here"), lambda c: _training(c, lambda r: gigabytes(r["peak_bytes"]))),
            (Cell("Seconds an iteration", f"paper: {PAPER['training']}"), _paper_iteration),
            (Cell("Seconds an iteration", "here"), lambda c: _training(c, lambda r: f"{r['seconds']:.3f}")),
        ]
    rows: list[Line] = [[name, *(cell(c) for c in columns)] for name, cell in lines]
    return Table(
        "Figures of the paper and of this machine", ["figure", *(c.values["name"] for c in columns)], rows, wide=True
    )


def speedups(columns: Sequence[Column]) -> list[Bars]:
    """What survives a change of hardware: how many times faster than eager, in the paper and here."""
    groups = []
    for c in columns:
        bars = []
        if static := c.paper["inference_static_s"]:
            ratio = c.paper["inference_s"] / static
            bars.append(Bar("paper: MXNet against PyTorch", ratio, times(ratio)))
        for kind in CLASSES[1:]:
            row, eager = c.best(kind), c.best(EAGER)
            if row is None or eager is None or row.batch != eager.batch:
                continue
            found = faster(region(eager).rounds, region(row).rounds)
            shaky = region(row).unstable or region(eager).unstable
            name = f"{row.title}{', UNSTABLE' if shaky else ''}"
            bars.append(
                Bar(name, found.ratio, times(found.ratio), found.low, found.high, measured.tone(row.precision), shaky)
            )
        if bars:
            groups.append(Group(f"{c.values['name']} ({c.values['task']})", bars))
    axis = "times faster than PyTorch eager, on one machine; more is better"
    return [Bars("What a static graph and int8 gain", axis, groups)] if groups else []


def _column(column: Column) -> Section:
    """Everything that was measured of one column."""
    values = column.values
    found: list[Block] = [Text(f"Not complete: {values['reason']}", "warning")] if values["reason"] else []
    under = measured.parts(column.result) if column.result is not None else []
    if column.training:
        rows: list[Line] = []
        for r in column.training:
            if r["status"] == "ok":
                rows.append([str(r["batch"]), r["input_size"], gigabytes(r["peak_bytes"]), f"{r['seconds']:.3f}", ""])
            else:
                rows.append(
                    [str(r["batch"]), r["input_size"], NOTHING, NOTHING, Cell(r["status"], r["reason"], "warning")]
                )
        columns = ["batch", "input", "peak GB", "seconds", "remarks"]
        under.append(Section("", [Table("Training, an iteration", columns, rows, "lrrrl")], key="training"))
    return Section(f"{values['name']} ({values['card']}, {values['input_size']})", found, under, key=values["name"])


def _memory(column: Column, kind: str) -> Cell:
    row = column.best(kind)
    if row is None:
        return column.unavailable_reason(kind)
    peak = row.memory.get("torch_peak_allocated") or row.memory["peak_rss_over_before"]
    return Cell(gigabytes(peak / row.batch), row.engine)


def _seconds(column: Column, kind: str) -> Cell:
    row = column.best(kind)
    if row is None:
        return column.unavailable_reason(kind)
    found = region(row)
    s, shaky = found.summary, found.unstable
    batch = f", batch {row.batch}" if row.batch != 1 else ""
    note = f"{row.engine}{batch}, {between(seconds(s.low / row.batch), seconds(s.high / row.batch))}{', UNSTABLE' if shaky else ''}"
    return Cell(seconds(s.p50 / row.batch), note, "warning" if shaky else "")


def _faster(column: Column, kind: str) -> Cell:
    row, eager = column.best(kind), column.best(EAGER)
    if row is None or eager is None or row.batch != eager.batch:
        return NOTHING
    cell = measured.ratio_cell(faster(region(eager).rounds, region(row).rounds))
    if region(eager).unstable or region(row).unstable:
        return Cell(cell.text, f"{cell.note}, UNSTABLE", "warning")
    return cell


def _paper_seconds(value: float | None) -> Cell:
    return Cell("–", "not in the paper", "note") if value is None else Cell(f"{value:.3f}")


def _paper_iteration(column: Column) -> Cell:
    p = column.paper
    return Cell(f"{p['training_s']:.3f}", f"batch {p['training_batch']}, {p['training_input']}")


def _training(column: Column, figure: Callable[[Mapping[str, Any]], str]) -> Cell:
    """The largest batch that was measured; smaller than the paper's it is marked."""
    done = [r for r in column.training if r["status"] == "ok"]
    if not done:
        failed = next(iter(column.training), None)
        if failed is None and column.result is not None and column.values["reason"]:
            return column.reasons.cell(column.values["reason"])
        return (
            column.reasons.cell(f"training {failed['status']}: {failed['reason']}")
            if failed
            else Cell("–", "not measured", "note")
        )
    most = max(done, key=lambda r: r["batch"])
    asked = column.paper["training_batch"]
    size = f"batch {most['batch']}{f' of {asked}' if most['batch'] != asked else ''}, {most['input_size']}"
    return Cell(figure(most), size)


def _parity(column: Column) -> Cell:
    """Of the largest output; of detections, which are not compared number by number, what became of their twins. A column whose
    graph is another network is not measured."""
    found = column.values.get("parity")
    if not found:
        return Cell("–", "not recorded" if column.result else "", "note")
    if found["relative"] is not None:
        return Cell(f"{found['relative']:.0e}", "of the largest output")
    return Cell("all have twins", found["sentence"].partition(";")[0])


def _score(column: Column) -> Cell:
    score = column.values.get("score")
    if score:
        return Cell(f"{score['value']:.1f}", f"{score['metric']}, {score['data']}")
    rows = column.result.rows if column.result else ()
    return Cell("–", "random weights" if any(r.weights == "random" for r in rows) else "not measured", "note")
