"""The document of the cost table: the figures of the HRNet paper and those measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from hrnet_deploy.results.bench import BenchRow
from hrnet_deploy.results.charts import Bar, Bars, Group
from hrnet_deploy.results.cost_table import CostTableResult
from hrnet_deploy.results.document import Cell, Document, Element, Line, Section, Table, Text
from hrnet_deploy.results.documents import bench, paper_table
from hrnet_deploy.results.documents import training as training_document
from hrnet_deploy.results.documents.cost_table_network import (
    CLASSES,
    EAGER,
    NOTHING,
    PAPER,
    Network,
    Reasons,
    peak,
    region,
)
from hrnet_deploy.results.documents.provenance import machine, origin
from hrnet_deploy.results.wording import NONE, counted, gigabytes, seconds, sentence, times
from hrnet_deploy.stats import faster


def document(result: CostTableResult, name: str) -> Document:
    """The overview, the paper's table with our figures, the gains, and all measurements of each network."""
    reasons = Reasons()
    networks = [Network(c, reasons) for c in result.columns]
    here = machine(result.environment) if result.environment is not None else "a machine that is not recorded"
    measured_on = (
        f"Paper: {PAPER['inference']}; its static graph: {PAPER['static']}. Here: {here}, with batch 1 unless noted."
    )
    elements: list[Element] = [Text(measured_on)]
    if result.settings.quick:
        quick = (
            "Quick run: the inputs are smaller than the paper's, so the figures cannot be compared with its figures."
        )
        elements.append(Text(quick, "warning"))
    if any(r.weights == "random" for n in networks for r in n.rows):
        random = "Networks with random weights have no score; time and memory do not depend on the weights."
        elements.append(Text(random, "note"))
    if skipped := [s for c in result.columns if c.score is not None for s in c.score.skipped]:
        others = ", …" if len(skipped) > 1 else ""
        left_out = f"The scores leave out {counted(len(skipped), 'image')} that cannot be read"
        elements.append(Text(f"{left_out} ({skipped[0].file}{others}); the result file names each.", "warning"))
    each: list[Element] = [overview(networks), *([_steps(networks)] if any(n.training for n in networks) else [])]
    each += [Text(t, "warning") for t in _incomplete(networks)]
    memory = (
        "Memory here is the peak of resident memory, less what was used before the model was opened, weights included "
        "(for "
        "PyTorch on a GPU, the peak that it allocated there); the paper's figures are GPU memory."
    )
    ours: list[Element] = [paper_table.table(networks), *reasons.texts(), *speedups(networks)]
    ours.append(Text(f"{memory} Hardware differs, so only ratios on one machine can be compared.", "note"))
    settings = {f.name: getattr(result.settings, f.name) for f in fields(result.settings)}
    sections = [
        Section("", each, key="overview"),
        Section("", ours, key="figures"),
        Section("Every network", [], [_column(n) for n in networks], key="columns", detail=True),
        origin(result, name, settings, reproduce=True),
    ]
    return Document("The paper's cost table", elements, sections, key="table")


def overview(networks: Sequence[Network]) -> Table:
    """One line for each network, and a column for each engine: seconds per image."""
    titles = list(dict.fromkeys(r.title for n in networks for r in n.rows))
    columns = ["network", "input", "paper s", "static s", *(f"{t} s" for t in titles), "paper GB", "PyTorch GB"]
    rows: list[Line] = []
    for n in networks:
        eager = next((r for r in n.rows if r.engine.partition(":")[0] == "torch" and r.status == "ok"), None)
        cells = [_each(next((r for r in n.rows if r.title == t), None)) for t in titles]
        memory = peak(eager) if eager is not None else None
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
    """Seconds per image of a row, or its status."""
    if row is None:
        return NOTHING
    if row.status != "ok" or not row.regions:
        return Cell(row.status, tone="warning")
    found = region(row)
    text = seconds(found.summary.p50 / row.batch)
    return Cell(text, "unstable", "warning") if found.unstable else Cell(text)


def _incomplete(networks: Sequence[Network]) -> list[str]:
    """Why networks and rows have no figures. Networks with the same reason share a sentence."""
    names: dict[str, list[str]] = {}
    for n in networks:
        if n.entry.reason:
            names.setdefault(n.entry.reason, []).append(n.entry.name)
        for r in (r for r in n.rows if r.status != "ok"):
            batch = f", batch {r.batch}" if r.batch != 1 else ""
            names.setdefault(f"{r.title}{batch}: {r.reason}", []).append(n.entry.name)
    return [sentence(f"{', '.join(dict.fromkeys(of))}: {reason}") for reason, of in names.items()]


def speedups(networks: Sequence[Network]) -> list[Bars]:
    """How many times faster than eager, in the paper and here. This can be compared across hardware."""
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
    """The cost of a training step, one line for each batch size, next to the paper's figures."""
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
    """All measurements of one network."""
    entry = network.entry
    found: list[Element] = [Text(f"Not complete: {entry.reason}", "warning")] if entry.reason else []
    under = bench.parts(entry.result) if entry.result is not None else []
    if entry.training is not None and entry.training.rows:
        under.append(Section("", [training_document.table(entry.training)], key="training"))
    return Section(f"{entry.name} ({entry.card}, {entry.input_size})", found, under, key=entry.name)
