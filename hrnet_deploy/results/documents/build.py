"""The document of `build`."""

from __future__ import annotations

from hrnet_deploy.results.build import BuildResult
from hrnet_deploy.results.document import Cell, Document, Element, Facts, Line, Table, Text
from hrnet_deploy.results.documents.compiled import elements
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.wording import megabytes, sentence


def document(result: BuildResult, name: str) -> Document:
    """The plan, what it fits, and what the engine reports about it."""
    written = f"{result.output}, {result.size / 1e6:.1f} MB, built in {result.build_seconds:.0f} s."
    found: list[Element] = [Text(written, "good")]
    identity = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in result.identity.items())
    found.append(Text(sentence(f"It runs only with {', '.join(filter(None, (result.builder, identity)))}"), "note"))
    remark = result.engine_info.note
    if remark and not result.engine_info.gpu:  # no engine has opened the plan, and the remark says why
        found.append(Text(sentence(remark[0].upper() + remark[1:]), "note"))
        remark = ""
    for note in filter(None, (result.warning, remark)):
        found.append(Text(sentence(f"Warning: {note}"), "warning"))
    found.append(Facts({"built from": " ".join(result.onnx.values()), "precision": result.precision}, detail=True))
    if result.profiles:
        rows: list[Line] = []
        for tensor, bounds in result.profiles.items():
            rows.append([tensor, *("x".join(map(str, b)) for b in bounds)])
        found.append(Table("Bounds of the inputs", ["input", "smallest", "tuned for", "largest"], rows))
    if result.compiled is not None:
        found += elements(result.compiled, result.in_fp16, result.layers)
    elif result.engine_info.layer_counts:
        layers = ", ".join(f"{n} {kind}" for kind, n in result.engine_info.layer_counts.items())
        found.append(Text(f"Layers: {layers}."))
    if result.engine_info.memory:
        sizes: list[Line] = [[k, Cell(megabytes(v))] for k, v in result.engine_info.memory.items()]
        found.append(Table("Memory as reported by the engine", ["memory", "MB"], sizes))
    return Document(f"{result.card}: {result.precision} plan", found, [origin(result, name)])
