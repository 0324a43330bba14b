"""The table of the HRNet paper, each of its rows followed by the figures measured here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hrnet_deploy.results.document import Cell, Line, Table
from hrnet_deploy.results.documents import bench
from hrnet_deploy.results.documents.cost_table_network import (
    EAGER,
    HALF,
    INT8,
    NOTHING,
    PAPER,
    STATIC,
    Network,
    class_of,
    peak,
    region,
)
from hrnet_deploy.results.training import TrainingRow
from hrnet_deploy.results.wording import NONE, between, gigabytes, seconds
from hrnet_deploy.stats import faster


def table(networks: Sequence[Network]) -> Table:
    """The rows of the paper's table, each followed by the figures measured here."""
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
    requested = {class_of(r) for n in networks for r in n.rows}
    missing = {
        f"here: {kind}" for kind in (STATIC, HALF, INT8) if kind not in requested and (requested or kind == HALF)
    }
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


def _memory(network: Network, kind: str) -> Cell:
    row = network.best(kind)
    if row is None:
        return network.unavailable_reason(kind)
    size = peak(row)
    return Cell(NONE, "not recorded", "note") if size is None else Cell(gigabytes(size / row.batch), row.engine)


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
    """The largest batch that was measured, marked if it is not the paper's batch."""
    done = [r for r in network.training if r.status == "ok"]
    if not done:
        failed = next(iter(network.training), None)
        if failed is not None:
            return network.reasons.cell(f"training {failed.status}: {failed.reason}")
        if network.result is not None and network.entry.reason:
            return network.reasons.cell(network.entry.reason)
        return Cell(NONE, "not measured", "note")
    most = max(done, key=lambda r: r.batch)
    wanted = network.paper.training_batch
    size = f"batch {most.batch}{f' of {wanted}' if most.batch != wanted else ''}, {most.input_size}"
    return Cell(figure(most), size)


def _parity(network: Network) -> Cell:
    """The difference over the largest output. Detections are not compared number by number: they are matched with their
    counterparts. A graph that differs by more than a limit is not measured."""
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
