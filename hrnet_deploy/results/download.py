"""The result of `download`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import Result


@dataclass(frozen=True)
class DownloadResult(Result):
    """A published checkpoint on this machine.

    Attributes:
        name: the name that commands take; card: the card that lists it.
        path, size, sha256: of the file, whose digest begins as the publisher says.
        url: where it is published.
        how: how the file came here, in a few words.
        published: the published figure of these weights; empty if none is stated.
    """

    kind: ClassVar[str] = "download"

    name: str
    card: str
    path: str
    size: int
    sha256: str
    url: str
    how: str
    published: str = ""
