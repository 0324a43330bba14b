"""The document of `adopt`."""

from __future__ import annotations

from hrnet_deploy.results.adoption import AdoptResult
from hrnet_deploy.results.document import Document, Element, Line, Table, Text
from hrnet_deploy.results.documents.export import activations
from hrnet_deploy.results.documents.figures import agreement, file_line, limits, outputs, task
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.wording import sentence


def document(result: AdoptResult, name: str) -> Document:
    """The verdict, what was found, assumed and changed, and how the file compares with the one it was made from."""
    reference = f"{result.source} and PyTorch" if result.against else result.source
    found: list[Element] = [
        agreement(result.passed, result.checks, "the adopted file", reference),
        file_line(result.path, result.size),
        Text(
            sentence(f"{result.summary}, input {result.input_size}, written by {result.producer}, opset {result.opset}")
        ),
    ]
    facts: list[Line] = [["takes", t] for t in result.takes]
    facts += [["gives", t] for t in result.gives]
    facts += [["found", t] for t in result.found]
    found.append(Table(f"What {result.source} is", ["", ""], facts, "ll"))
    found += [Text(sentence(f"Assumed: {text}"), "warning") for text in result.assumed]
    found += [Text(sentence(f"Changed: {text}")) for text in result.changed]
    if not result.against:
        found.append(
            Text(
                "The assumptions are not proven. Give the checkpoint with --against to compare with PyTorch, or score "
                "the file with `hrnet-deploy eval` on annotated images.",
                "note",
            )
        )
    if result.activations is not None:
        found.append(activations(result.activations))
    if result.task is not None:
        found += task(result.task, result.tensors)
    elif result.tensors:
        found.append(outputs(result.tensors))
    found += limits(result.checks)
    return Document(f"{result.card}: adopt", found, [origin(result, name)])
