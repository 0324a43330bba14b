"""The document of `run`: one line for each stage, then what was measured."""

from __future__ import annotations

from hrnet_deploy.results.document import Cell, Document, Element, Line, Section, Table, Text
from hrnet_deploy.results.documents import bench
from hrnet_deploy.results.documents.figures import difference, verdict, verdict_cell
from hrnet_deploy.results.documents.provenance import nested, origin
from hrnet_deploy.results.run import RunResult, RunStage
from hrnet_deploy.results.wording import counted


def document(result: RunResult, name: str) -> Document:
    """The verdict of every stage, and the measurement of everything that passed."""
    failed = sum(not s.passed for s in result.stages)
    stages = counted(len(result.stages), "stage")
    what = f"{failed} of {stages} failed" if failed else f"no failure in {stages}"
    rows: list[Line] = [_line(s) for s in result.stages]
    found: list[Element] = [verdict(result.passed, what)]
    found.append(Table("Stages", ["stage", "verdict", "difference", "differences"], rows, "llrl"))
    if result.folder:
        found.append(Text(f"Every file and report is in {result.folder}.", "note"))
    cards = ", ".join(sorted({r.card for r in result.result.rows})) or "Nothing"
    measured = nested(result.result, result)
    under = [Section("What was measured", [], bench.parts(result.result)), origin(measured, name, reproduce=True)]
    return Document(f"{cards}: from checkpoint to figures", found, under)


def _line(stage: RunStage) -> Line:
    note = f"ran again: {stage.redone}" if stage.redone else "reused from an earlier run" if stage.reused else ""
    moved = stage.figures.distance.sentence if stage.figures is not None else ""
    return [stage.name, verdict_cell(stage.passed, note), difference(stage.figures), Cell(moved)]
