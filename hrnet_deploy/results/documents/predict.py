"""The document of `predict`."""

from __future__ import annotations

from hrnet_deploy.results.document import Document, Element, Text
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.prediction import PredictResult
from hrnet_deploy.results.wording import counted


def document(result: PredictResult, name: str) -> Document:
    """What was written, and by which engine."""
    written = (
        f"{counted(result.results, 'result')} of {counted(result.images, 'image')} in {result.folder}/results.json"
    )
    drawn = f", {counted(len(result.pictures), 'picture')} next to it" if result.pictures else ""
    found: list[Element] = [
        Text(f"{written}{drawn}.", "good"),
        Text(f"{result.model} in {result.engine} ({result.engine_info.summary}).", "note"),
    ]
    if category := result.boxes.get("boxes_of"):
        found.append(Text(f"The results are of the boxes of {category}.", "note"))
    if count := result.boxes.get("boxes_left_out"):
        found.append(Text(f"{count} boxes are of other categories and were left out.", "note"))
    if result.continued:
        found.append(
            Text(f"{counted(result.continued, 'image')} of them had been predicted before an interruption.", "note")
        )
    return Document(f"{result.card}: predictions", found, [origin(result, name)])
