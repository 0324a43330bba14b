"""The document of `half`."""

from __future__ import annotations

from hrnet_deploy.results.document import Document, Element, Line, Table, Text
from hrnet_deploy.results.documents.figures import agreement, file_line, limits, task
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.float16 import HalfResult
from hrnet_deploy.results.wording import counted

FEW = 8  # how many entries of a long list are shown


def document(result: HalfResult, name: str) -> Document:
    """The verdict, what stayed in float32, and how much the file differs from the one it was made from."""
    precision = "float16" if result.precision == "fp16" else f"{result.precision} and float16"
    found: list[Element] = [
        agreement(result.passed, result.checks, f"{result.card} in {precision}", "the file it was made from"),
        file_line(result.path, result.size),
    ]
    if result.kept:
        stay = "stays" if len(result.kept) == 1 else "stay"
        found.append(Text(f"{counted(len(result.kept), 'operator')} {stay} in float32."))
    if result.large:
        rows: list[Line] = [[tensor, f"{peak:.0f}"] for tensor, peak in result.large[:FEW]]
        caption = "Tensors too large for float16, left in float32"
        if len(result.large) > FEW:
            caption += f" (the first {FEW} of {len(result.large)})"
        found.append(Table(caption, ["tensor", "largest magnitude"], rows))
    found += [*task(result.figures), *limits(result.checks)]
    return Document(f"{result.card}: {precision}", found, [origin(result, name)])
