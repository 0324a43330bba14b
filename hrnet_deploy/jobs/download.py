"""Brings a published checkpoint to this machine."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from hrnet_deploy.downloads import obtain, offers
from hrnet_deploy.errors import BadInput
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.download import DownloadResult


@dataclass(frozen=True)
class DownloadRequest:
    """Which checkpoint is wanted.

    Attributes:
        name: as `models --checkpoints` lists it.
        output: the folder for the file; the cache unless given.
        source: a folder that has the file already, in place of the network.
    """

    name: str
    output: Path | None = None
    source: Path | None = None


def download(request: DownloadRequest, progress: Progress = SILENT) -> DownloadResult:
    """Bring a published checkpoint to this machine and verify it.

    Raises BadInput where nothing is published under the name or a file is another one, and Unavailable where the file
    cannot be had.
    """
    known = offers()
    if request.name not in known:
        near = difflib.get_close_matches(request.name, known, 3) or list(known)[:3]
        raise BadInput(
            f"no checkpoint is published as {request.name!r} — did you mean {', '.join(near)}? `hrnet-deploy models "
            "--checkpoints` lists all"
        )
    offer = known[request.name]
    found = obtain(offer, request.output, request.source, progress)
    return DownloadResult(
        name=offer.name,
        card=offer.card.name,
        path=str(found.path),
        size=found.path.stat().st_size,
        sha256=found.sha256,
        url=offer.published.url,
        how=found.how,
        published=offer.published.figure,
    )
