"""The result of `compiler.py`: what the compiler of TensorRT for RTX makes of each network in each precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import Result
from hrnet_deploy.results.compiled import CompiledGraph, verdict
from hrnet_deploy.results.document import Cell, Document, Element, Line, Section, Table, Text
from hrnet_deploy.results.documents import register
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.wording import NONE, megabytes, sentence


@dataclass(frozen=True)
class CompiledRow:
    """One network in one precision.

    Attributes:
        card, size: the network, and HEIGHTxWIDTH of its input.
        precision: "fp32", "fp16", "int8", "int8 + fp16" (both for the target trt) or "int8 for trt-rtx" (with fp16).
        batch: "1", or "open" with the bounds 1:1:16.
        graph: what the compiler made of it, without its blocks; None if it was not built.
        plan: bytes of the plan.
        seconds: for parsing and building.
        error: why it was not built.
        remark: what was changed in the graph so that it could be built.
    """

    card: str
    size: str
    precision: str
    batch: str
    graph: CompiledGraph | None = None
    plan: int = 0
    seconds: float = 0.0
    error: str = ""
    remark: str = ""


@dataclass(frozen=True)
class CompilerResult(Result):
    """Every network that was compiled, by the library and version `builder`."""

    kind: ClassVar[str] = "compiler"

    builder: str
    rows: Sequence[CompiledRow]


def document(result: CompilerResult, name: str) -> Document:
    """A table of all rows, and the verdict on int8 of each network."""
    columns = ["network", "precision", "batch", "kernels", "int8 convolutions", "MB moved", "MB weights"]
    columns += ["MB activations", "MB plan", "s"]
    table = Table(f"What {result.builder} makes of each network", columns, [_line(r) for r in result.rows], "lll")
    remarks = dict.fromkeys(f"{r.card}: {r.remark}" for r in result.rows if r.remark)
    failed = dict.fromkeys(f"{r.card}, {r.precision}: {r.error}" for r in result.rows if r.error)
    notes: list[Element] = [Text(sentence(t), "note") for t in (*remarks, *failed)]
    verdicts = Section("", [Text(sentence(v)) for v in _verdicts(result.rows)], key="verdicts")
    sections = [Section("", [table, *notes], key="compiled"), verdicts]
    return Document("What a compiler makes of the networks", [], [*sections, origin(result, name)])


def _line(row: CompiledRow) -> Line:
    named: Line = [row.card, row.precision, row.batch]
    if row.graph is None:
        return [*named, Cell("not built", tone="bad"), *[NONE] * 6]
    int8 = sum(c.count for c in row.graph.convolutions if c.computes == "int8")
    moved = NONE if row.graph.traffic is None else megabytes(row.graph.traffic)
    sizes = [megabytes(b) for b in (row.graph.weights, row.graph.activations, row.plan)]
    return [*named, str(row.graph.count), str(int8), moved, *sizes, f"{row.seconds:.0f}"]


def _verdicts(rows: Sequence[CompiledRow]) -> list[str]:
    """One sentence for each network and each int8 file that can be compared with fp16."""
    fixed = {(r.card, r.precision): r.graph for r in rows if r.batch == "1" and r.graph is not None}
    found = []
    for (card, precision), graph in fixed.items():
        fp16 = fixed.get((card, "fp16"))
        if fp16 is not None and precision in ("int8 + fp16", "int8 for trt-rtx"):
            found.append(f"{card}, {precision}: {verdict(graph, fp16)}")
    return found


register(CompilerResult, document)
