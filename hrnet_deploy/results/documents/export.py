"""The document of `export`."""

from __future__ import annotations

from hrnet_deploy.results.document import Document, Element, Line, Table, Text
from hrnet_deploy.results.documents.figures import DIGEST, agreement, file_line, limits, task
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.export import ActivationFit, ExportResult
from hrnet_deploy.results.wording import said, sentence


def document(result: ExportResult, name: str) -> Document:
    """What was written, how it was made, and how it compares with PyTorch."""
    found: list[Element] = [
        agreement(result.passed, result.checks, "the ONNX file", "PyTorch"),
        Text(sentence(result.summary)),
        file_line(result.path, result.size),
    ]
    found.append(
        Text(
            f"Input {result.input_size}; verified against PyTorch in {result.engine} ({result.engine_info.summary}).",
            "note",
        )
    )
    if result.assumption:
        found.append(Text(sentence(f"Note: {result.assumption}"), "warning"))
    found += [Text(sentence(f"Note: {remark}"), "warning") for remark in result.remarks]
    if result.activations is not None:
        found.append(activations(result.activations))
    for step in result.history:
        if step.get("step") == "simplify" and step.get("applied") is False:
            found.append(Text(sentence(f"Not simplified: {said(step.get('reason'))}"), "warning"))
    steps: list[Line] = []
    for s in result.history:
        how = "; ".join(f"{k} {said(v)}" for k, v in s.items() if k != "step")
        steps.append([said(s.get("step")), how])
    if steps:
        found.append(Table("What was done", ["step", "how"], steps, "ll", detail=True))
    if result.provenance:
        made_from: list[Line] = [[k, v[:DIGEST]] for k, v in result.provenance.items()]
        found.append(Table("What it was made from", ["file", "digest"], made_from, "ll", detail=True))
    found += [*task(result.task, result.tensors), *limits(result.checks)]
    return Document(f"{result.card}: export", found, [origin(result, name)])


def activations(fit: ActivationFit) -> Text:
    """Whether the card prepares images as in training."""
    if fit.verdict == "unknown":
        return Text(
            sentence(f"Whether the card prepares images as in training cannot be told from activations: {fit.reason}"),
            "note",
        )
    figures = f"divergence {fit.divergence:.3g}, standard deviation {fit.times:.3g} times that of training"
    if fit.verdict == "fits":
        return Text(f"Activations of {fit.layer} on {fit.images} are like those of training ({figures}).", "note")
    cause = (
        f"the weights seem to be of images prepared {fit.cause}, with which the divergence is "
        f"{fit.divergence_of_cause:.3g}"
        if fit.cause
        else "no usual preparation of images explains it; look at mean, std and colour of the card"
    )
    return Text(
        sentence(f"Warning: {fit.layer} gets other values than in training on {fit.images} ({figures}) — {cause}"),
        "warning",
    )
