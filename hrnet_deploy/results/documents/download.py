"""The document of `download`."""

from __future__ import annotations

from hrnet_deploy.results.document import Document, Element, Text
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.download import DownloadResult
from hrnet_deploy.results.wording import sentence


def document(result: DownloadResult, name: str) -> Document:
    """Where the file is, what it was compared with, and what is published for it."""
    found: list[Element] = [
        Text(f"{result.path}, {result.size / 1e6:.1f} MB.", "good"),
        Text(sentence(f"{result.how[:1].upper()}{result.how[1:]}"), "note"),
        Text(f"Its sha256 is {result.sha256}, whose first digits are those that the publisher states.", "note"),
    ]
    if result.published:
        found.append(Text(f"Published for these weights: {sentence(result.published)}"))
    return Document(f"{result.name}: a published checkpoint", found, [origin(result, name)])
