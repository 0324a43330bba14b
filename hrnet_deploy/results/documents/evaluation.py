"""The document of `eval`."""

from __future__ import annotations

from hrnet_deploy.results.document import Document, Element, Line, Table, Text
from hrnet_deploy.results.documents.figures import DIGEST, setting
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.evaluation import EvalResult
from hrnet_deploy.results.wording import counted, figure, points, sentence


def document(result: EvalResult, name: str) -> Document:
    """The metric, every figure, and what it was measured on."""
    model = f"{result.model} ({result.precision}) in {result.engine}"
    found: list[Element] = [Text(f"{model}: {result.metric} {points(result.figures[result.metric])}.", "good")]
    images = counted(result.images, "image")
    line: Line = [result.engine, *(figure(n, v) for n, v in result.figures.items())]
    found.append(Table(f"Figures on {images}, in points", ["engine", *result.figures], [line]))
    if result.published:
        found.append(Text(f"Published for these weights: {sentence(result.published)}"))
    where = " ".join(v[:DIGEST] if k == "sha256" else v for k, v in result.annotations.items())
    found.append(Text(sentence(f"{images} of {result.data}, annotations {where}"), "note"))
    if result.protocol:
        how = ", ".join(f"{k.replace('_', ' ')} {setting(k, v)}" for k, v in result.protocol.items())
        found.append(Text(sentence(f"Scored with: {how}"), "note"))
    found.append(Text(f"Engine {result.engine} ({result.engine_info.summary}).", "note", detail=True))
    found.append(Text(f"The model's sha256 is {result.model_sha256}.", "note", detail=True))
    return Document(f"{result.card}: {result.metric} in {result.engine}", found, [origin(result, name)])
