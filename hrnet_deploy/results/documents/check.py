"""The document of `check`."""

from __future__ import annotations

from hrnet_deploy.results.check import CheckResult
from hrnet_deploy.results.document import Document, Element, Text
from hrnet_deploy.results.documents.figures import agreement, limits, task
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.wording import sentence


def document(result: CheckResult, name: str) -> Document:
    """The verdict, the differences, and every figure with its limit."""
    flip = "with" if result.flip_test else "without"
    found: list[Element] = [
        agreement(result.passed, result.checks, f"{result.model} ({result.precision})", result.against),
        Text(
            f"Engine {result.engine} ({result.engine_info.summary}); images: {result.images}; {flip} flip test.", "note"
        ),
    ]
    if result.engine_info.note:
        found.append(Text(sentence(f"Note: {result.engine_info.note}"), "note"))
    if result.warning:
        found.append(Text(sentence(f"Warning: {result.warning}"), "warning"))
    if result.first_difference:
        found.append(Text(sentence(f"First tensor that differs: {result.first_difference}"), "bad"))
    found += [*task(result.task, result.tensors), *limits(result.checks)]
    title = f"{result.card}: parity of the {result.precision} file in {result.engine}"
    return Document(title, found, [origin(result, name)])
