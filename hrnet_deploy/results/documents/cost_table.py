"""The document of the cost table: the figures of the HRNet paper beside those measured here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from hrnet_deploy.results.bench import BenchResult, BenchRow, Region
from hrnet_deploy.results.charts import Bar, Bars, Group
from hrnet_deploy.results.cost_table import CostTableEntry, CostTableResult, PaperFigures
from hrnet_deploy.results.document import Cell, Document, Element, Line, Section, Table, Text
from hrnet_deploy.results.documents import bench
from hrnet_deploy.results.documents import training as training_document
from hrnet_deploy.results.documents.provenance import machine, origin
from hrnet_deploy.results.training import TrainingRow
from hrnet_deploy.results.wording import NONE, between, gigabytes, seconds, sentence, times
from hrnet_deploy.stats import faster

# What the paper's figures were measured on ("Deep High-Resolution Representation Learning for Visual Recognition",
# TPAMI, Table 13): the eager figures on PyTorch 1.0, those of a static graph on MXNet.
PAPER = {"inference": "one V100, PyTorch 1.0", "static": "one V100, MXNet 1.5.1", "training": "four V100, PyTorch 1.0"}
EAGER, STATIC, HALF, INT8 = "PyTorch eager", "static graph, float32", "half precision", "static graph, int8"
CLASSES = (EAGER, STATIC, HALF, INT8)
NOTHING = Cell(NONE, tone="note")


class Reasons:
    """Why cells are empty. Each cell gives a number, and each reason stands once under the table."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def cell(self, reason: str) -> Cell:
        return Cell(NONE, f"see {self._numbers.setdefault(reason, len(self._numbers) + 1)}", "warning")

    def texts(self) -> list[Text]:
        return [Text(f"{number}: {reason}", "note", detail=True) for reason, number in self._numbers.items()]


@dataclass(frozen=True)
class Network:
    """One network of the table, which is a column of it."""

    entry: CostTableEntry
    reasons: Reasons

    @property
    def paper(self) -> PaperFigures:
        return self.entry.paper

    @property
    def result(self) -> BenchResult | None:
        return self.entry.result

    @property
    def rows(self) -> Sequence[BenchRow]:
        return self.result.rows if self.result is not None else ()

    @property
    def training(self) -> Sequence[TrainingRow]:
        return self.entry.training.rows if self.entry.training is not None else ()

    def best(self, kind: str) -> BenchRow | None:
        """The row of a class that takes the least time per image."""
        found = [r for r in self.rows if class_of(r) == kind and r.status == "ok" and r.regions]
        return min(found, key=lambda r: region(r).summary.p50 / r.batch, default=None)

    def unavailable_reason(self, kind: str) -> Cell:
        """Why there is no row of a class."""
        if self.result is None:
            return self.reasons.cell(self.entry.reason) if self.entry.reason else Cell(NONE, "not measured", "note")
        failed = next((r for r in self.rows if class_of(r) == kind and r.status != "ok"), None)
        if failed is None:
            return Cell(NONE, "not asked for", "note")
        return self.reasons.cell(f"{failed.title} {failed.status}: {failed.reason}")


def document(result: CostTableResult, name: str) -> Document:
    """The overview, the paper's table with ours, the gains, and everything measured of each network."""
    reasons = Reasons()
    networks = [Network(c, reasons) for c in result.columns]
    here = machine(result.environment) if result.environment is not None else "a machine that is not recorded"
    measured_on = (
        f"Paper: {PAPER['inference']}; its static graph: {PAPER['static']}. Here: {here}, batch 1 unless said."
    )
    elements: list[Element] = [Text(measured_on)]
    if result.settings.quick:
        quick = (
            "Quick run: the inputs are smaller than the paper's, so the figures cannot be compared with its figures."
        )
        elements.append(Text(quick, "warning"))
    if any(r.weights == "random" for n in networks for r in n.rows):
        random = "Where weights are random there is no score; time and memory do not depend on them."
        elements.append(Text(random, "note"))
    each: list[Element] = [overview(networks), *([_steps(networks)] if any(n.training for n in networks) else [])]
    each += [Text(t, "warning") for t in _incomplete(networks)]
    memory = (
        "Memory here is the peak of resident memory over what it was before the model was opened, weights included (of "
        "PyTorch on a GPU, the peak that it allocated there); the paper's is the GPU's."
    )
    ours: list[Element] = [table(networks), *reasons.texts(), *speedups(networks)]
    ours.append(Text(f"{memory} Hardware differs, so only ratios on one machine can be compared.", "note"))
    settings = {f.name: getattr(result.settings, f.name) for f in fields(result.settings)}
    sections = [
        Section("", each, key="overview"),
        Section("", ours, key="figures"),
        Section("Every network", [], [_column(n) for n in networks], key="columns", detail=True),
        origin(result, name, settings, reproduce=True),
    ]
    return Document("The paper's cost table", elements, sections, key="table")


def class_of(row: BenchRow) -> str:
    """What the paper would call a row: eager, or a static graph, and in which precision."""
    eager = row.engine.partition(":")[0] == "torch" and row.info.mode in ("", "eager")
    if eager and row.precision == "fp32":
        return EAGER
    return {"fp32": STATIC, "fp16": HALF, "bf16": HALF, "int8": INT8}.get(row.precision, row.precision)


def region(row: BenchRow) -> Region:
    """End to end, or the widest region that was measured."""
    return next(row.regions[n] for n in bench.REGIONS if n in row.regions)


def overview(networks: Sequence[Network]) -> Table:
    """One line for each network, and a column for each engine: seconds per image."""
    titles = list(dict.fromkeys(r.title for n in networks for r in n.rows))
    columns = ["network", "input", "paper s", "static s", *(f"{t} s" for t in titles), "paper GB", "PyTorch GB"]
    rows: list[Line] = []
    for n in networks:
        eager = next((r for r in n.rows if r.engine.partition(":")[0] == "torch" and r.status == "ok"), None)
        cells = [_each(next((r for r in n.rows if r.title == t), None)) for t in titles]
        memory = _peak(eager) if eager is not None else None
        rows.append(
            [
                n.entry.name,
                n.entry.input_size,
                f"{n.paper.inference_s:.3f}",
                NONE if n.paper.inference_static_s is None else f"{n.paper.inference_static_s:.3f}",
                *cells,
                f"{n.paper.inference_memory_gb:.2f}",
                NONE if memory is None else gigabytes(memory),
            ]
        )
    return Table("Median seconds per image, by engine", columns, rows, f"ll{'r' * (len(columns) - 2)}")


def _each(row: BenchRow | None) -> Cell:
    """Seconds per image of a row, or what became of it."""
    if row is None:
        return NOTHING
    if row.status != "ok" or not row.regions:
        return Cell(row.status, tone="warning")
    found = region(row)
    text = seconds(found.summary.p50 / row.batch)
    return Cell(text, "unstable", "warning") if found.unstable else Cell(text)


def _incomplete(networks: Sequence[Network]) -> list[str]:
    """Why networks and rows have no figures."""
    texts = []
    for n in networks:
        if n.entry.reason:
            texts.append(f"{n.entry.name}: {n.entry.reason}")
        for r in (r for r in n.rows if r.status != "ok"):
            batch = f", batch {r.batch}" if r.batch != 1 else ""
            texts.append(f"{n.entry.name}, {r.title}{batch}: {r.reason}")
    return [sentence(t) for t in texts]


def table(networks: Sequence[Network]) -> Table:
    """The rows of the paper's table, each followed by ours."""
    lines: list[tuple[Cell, Callable[[Network], Cell]]] = [
        (Cell("Task", "and input"), lambda n: Cell(n.entry.task, n.entry.input_size)),
        (
            Cell("Memory per image, GB", f"paper: {PAPER['inference']}"),
            lambda n: Cell(f"{n.paper.inference_memory_gb:.2f}"),
        ),
        (Cell("Memory per image, GB", f"here: {EAGER}"), lambda n: _memory(n, EAGER)),
        (Cell("Memory per image, GB", f"here: {INT8}"), lambda n: _memory(n, INT8)),
        (Cell("Seconds per image", f"paper: {PAPER['inference']}"), lambda n: _paper_seconds(n.paper.inference_s)),
        (Cell("Seconds per image", f"here: {EAGER}"), lambda n: _seconds(n, EAGER)),
        (
            Cell("Seconds per image", f"paper, static graph: {PAPER['static']}"),
            lambda n: _paper_seconds(n.paper.inference_static_s),
        ),
        (Cell("Seconds per image", f"here: {STATIC}"), lambda n: _seconds(n, STATIC)),
        (Cell("Seconds per image", f"here: {HALF}"), lambda n: _seconds(n, HALF)),
        (Cell("Seconds per image", f"here: {INT8}"), lambda n: _seconds(n, INT8)),
        (Cell("Times faster than eager", f"here: {INT8}"), lambda n: _faster(n, INT8)),
        (Cell("Score", "paper: COCO val, Cityscapes val"), lambda n: Cell(f"{n.paper.score:.1f}", n.paper.metric)),
        (Cell("Score", "here"), _score),
    ]
    if any(n.entry.parity for n in networks):
        lines.insert(1, (Cell("Largest difference", "ONNX Runtime from PyTorch, before it was measured"), _parity))
    asked = {class_of(r) for n in networks for r in n.rows}
    missing = {f"here: {kind}" for kind in (STATIC, HALF, INT8) if kind not in asked and (asked or kind == HALF)}
    lines = [line for line in lines if line[0].note not in missing]
    if any(n.training for n in networks):
        lines += [
            (
                Cell("Training memory, GB", f"paper: {PAPER['training']}"),
                lambda n: Cell(f"{n.paper.training_memory_gb:.1f}"),
            ),
            (Cell("Training memory, GB", "here"), lambda n: _training(n, lambda r: gigabytes(r.peak_bytes))),
            (Cell("Seconds per iteration", f"paper: {PAPER['training']}"), _paper_iteration),
            (Cell("Seconds per iteration", "here"), lambda n: _training(n, lambda r: f"{r.seconds:.3f}")),
        ]
    rows: list[Line] = [[name, *(cell(n) for n in networks)] for name, cell in lines]
    columns = ["figure", *(n.entry.name for n in networks)]
    caption = "Figures of the paper and of this machine, the fastest row of each kind"
    return Table(caption, columns, rows, wide=True, detail=True)


def speedups(networks: Sequence[Network]) -> list[Bars]:
    """How many times faster than eager, in the paper and here: this can be compared across hardware."""
    groups = []
    for n in networks:
        bars = []
        if static := n.paper.inference_static_s:
            ratio = n.paper.inference_s / static
            bars.append(Bar("paper: MXNet against PyTorch", ratio, times(ratio)))
        for kind in CLASSES[1:]:
            row, eager = n.best(kind), n.best(EAGER)
            if row is None or eager is None or row.batch != eager.batch:
                continue
            found = faster(region(eager).rounds, region(row).rounds)
            shaky = region(row).unstable or region(eager).unstable
            name = f"{row.title}{', UNSTABLE' if shaky else ''}"
            tone = bench.tone(row.precision)
            bars.append(Bar(name, found.ratio, times(found.ratio), found.low, found.high, tone, shaky))
        if bars:
            groups.append(Group(f"{n.entry.name} ({n.entry.task})", bars))
    axis = "times faster than PyTorch eager, on one machine; more is better"
    return [Bars("What a static graph and int8 gain", axis, groups)] if groups else []


def _steps(networks: Sequence[Network]) -> Table:
    """What a step of training takes, one line for each batch size, beside the paper's."""
    rows: list[Line] = []
    for n in networks:
        for r in n.training:
            theirs = [str(n.paper.training_batch), f"{n.paper.training_s:.3f}", f"{n.paper.training_memory_gb:.1f}"]
            if r.status == "ok":
                ours: Line = [f"{r.seconds:.2f}", f"{r.seconds / r.batch:.2f}", gigabytes(r.peak_bytes)]
            else:
                ours = [Cell(NONE, r.status, "warning"), NOTHING, NOTHING]
            rows.append([n.entry.name, r.input_size, str(r.batch), *ours, *theirs])
    columns = ["network", "input", "batch", "s per step", "s per image", "GB", "paper batch", "paper s", "paper GB"]
    return Table("Training, by batch", columns, rows, "llrrrrrrr")


def _column(network: Network) -> Section:
    """Everything that was measured of one network."""
    entry = network.entry
    found: list[Element] = [Text(f"Not complete: {entry.reason}", "warning")] if entry.reason else []
    under = bench.parts(entry.result) if entry.result is not None else []
    if entry.training is not None and entry.training.rows:
        under.append(Section("", [training_document.table(entry.training)], key="training"))
    return Section(f"{entry.name} ({entry.card}, {entry.input_size})", found, under, key=entry.name)


def _peak(row: BenchRow) -> int | None:
    return row.memory.get("torch_peak_allocated") or row.memory.get("peak_rss_over_before")


def _memory(network: Network, kind: str) -> Cell:
    row = network.best(kind)
    if row is None:
        return network.unavailable_reason(kind)
    peak = _peak(row)
    return Cell(NONE, "not recorded", "note") if peak is None else Cell(gigabytes(peak / row.batch), row.engine)


def _seconds(network: Network, kind: str) -> Cell:
    row = network.best(kind)
    if row is None:
        return network.unavailable_reason(kind)
    found = region(row)
    s, shaky = found.summary, found.unstable
    batch = f", batch {row.batch}" if row.batch != 1 else ""
    interval = between(seconds(s.low / row.batch), seconds(s.high / row.batch))
    note = f"{row.engine}{batch}, {interval}{', UNSTABLE' if shaky else ''}"
    return Cell(seconds(s.p50 / row.batch), note, "warning" if shaky else "")


def _faster(network: Network, kind: str) -> Cell:
    row, eager = network.best(kind), network.best(EAGER)
    if row is None or eager is None or row.batch != eager.batch:
        return NOTHING
    cell = bench.ratio_cell(faster(region(eager).rounds, region(row).rounds))
    if region(eager).unstable or region(row).unstable:
        return Cell(cell.text, f"{cell.note}, UNSTABLE", "warning")
    return cell


def _paper_seconds(value: float | None) -> Cell:
    return Cell(NONE, "not in the paper", "note") if value is None else Cell(f"{value:.3f}")


def _paper_iteration(network: Network) -> Cell:
    paper = network.paper
    return Cell(f"{paper.training_s:.3f}", f"batch {paper.training_batch}, {paper.training_input}")


def _training(network: Network, figure: Callable[[TrainingRow], str]) -> Cell:
    """The largest batch that was measured, marked where it is not the paper's."""
    done = [r for r in network.training if r.status == "ok"]
    if not done:
        failed = next(iter(network.training), None)
        if failed is not None:
            return network.reasons.cell(f"training {failed.status}: {failed.reason}")
        if network.result is not None and network.entry.reason:
            return network.reasons.cell(network.entry.reason)
        return Cell(NONE, "not measured", "note")
    most = max(done, key=lambda r: r.batch)
    asked = network.paper.training_batch
    size = f"batch {most.batch}{f' of {asked}' if most.batch != asked else ''}, {most.input_size}"
    return Cell(figure(most), size)


def _parity(network: Network) -> Cell:
    """The difference over the largest output. Detections are not compared number by number: they are matched with their
    counterparts. A graph that is another network is not measured."""
    found = network.entry.parity
    if found is None:
        return Cell(NONE, "not recorded" if network.result else "", "note")
    if found.relative is not None:
        return Cell(f"{found.relative:.0e}", "of the largest output")
    return Cell("all match", found.sentence.partition(";")[0])


def _score(network: Network) -> Cell:
    score = network.entry.score
    if score is not None:
        return Cell(f"{score.value:.1f}", f"{score.metric}, {score.data}")
    random = any(r.weights == "random" for r in network.rows)
    return Cell(NONE, "random weights" if random else "not measured", "note")
