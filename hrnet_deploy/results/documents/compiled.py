"""What a compiler made of a graph: its kernels, the bytes between them, and a table of the network's blocks."""

from __future__ import annotations

from hrnet_deploy.results.compiled import CompiledGraph, verdict
from hrnet_deploy.results.document import Element, Facts, Line, Table, Text
from hrnet_deploy.results.wording import NONE, counted, megabytes, sentence


def elements(graph: CompiledGraph, in_fp16: CompiledGraph | None = None, blocks: bool = False) -> list[Element]:
    """The facts of a compiled graph.

    Args:
        graph: the graph.
        in_fp16: of an int8 graph, the same network in fp16, for a verdict.
        blocks: whether a terminal shows the table of blocks too; a page always does.
    """
    found: list[Element] = [Text("What the compiler made of the graph:"), Facts(facts(graph))]
    if in_fp16 is not None:
        found.append(Text(sentence(verdict(graph, in_fp16)), "warning" if graph.count > in_fp16.count else "good"))
    rows: list[Line] = [[b.name, str(b.kernels), NONE if b.bytes is None else megabytes(b.bytes)] for b in graph.blocks]
    rows.append(["all", str(graph.count), NONE if graph.traffic is None else megabytes(graph.traffic)])
    found.append(Table("Kernels of each block", ["block", "kernels", "MB moved"], rows, detail=not blocks))
    return found


def facts(graph: CompiledGraph) -> dict[str, str]:
    """The figures of a compiled graph, by name."""
    moved = "not known, because height or width is open"
    if graph.traffic is not None:
        moved = f"{megabytes(graph.traffic)} MB at batch {graph.batch}, without weights"
    return {
        "kernels": f"{graph.count}: " + ", ".join(f"{n} {kind}" for kind, n in graph.kernels.items()),
        "convolutions": ", ".join(f"{c.count} {c.computes} giving {c.gives}" for c in graph.convolutions) or "none",
        "moved between kernels": moved,
        "streams": f"{graph.streams}, with {counted(graph.joins, 'join')}",
        "memory": f"{megabytes(graph.weights)} MB weights, {megabytes(graph.activations)} MB activations",
    }
