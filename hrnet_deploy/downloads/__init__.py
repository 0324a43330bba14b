"""Published checkpoints by name: downloaded once, verified, and kept in a folder of the user."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hrnet_deploy.downloads.catalogue import Offer, offers
from hrnet_deploy.downloads.transfer import fetch
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.files import atomic_write, sha256
from hrnet_deploy.progress import SILENT, Progress

__all__ = ["CACHE", "Obtained", "Offer", "cache_folder", "obtain", "offers"]

CACHE = "HRNET_DEPLOY_CACHE"  # names the folder of everything that is kept


@dataclass(frozen=True)
class Obtained:
    """A published checkpoint on this machine: its path, its sha256, and how it came there."""

    path: Path
    sha256: str
    how: str


def cache_folder() -> Path:
    """The folder in which downloaded checkpoints are kept."""
    if named := os.environ.get(CACHE):
        return Path(named) / "checkpoints"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hrnet-deploy" / "checkpoints"


def obtain(offer: Offer, into: Path | None = None, source: Path | None = None, progress: Progress = SILENT) -> Obtained:
    """A published checkpoint as a file that was compared with its digest.

    Args:
        offer: which one.
        into: the folder for it; the cache unless given.
        source: a folder that has the file already, in place of the network.
        progress: is notified of megabytes.

    It is downloaded at most once: a file that is there is verified and used, and one in the cache is copied. Under its
    name there is only ever the whole and verified file. Another process that wants the same file waits for this one.

    Raises BadInput where a file is not the published one, and Unavailable where it cannot be had.
    """
    folder = into or cache_folder()
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file — name a folder for the checkpoint")
    folder.mkdir(parents=True, exist_ok=True)
    final, part = folder / offer.file_name, folder / f"{offer.file_name}.part"
    with _locked(part, offer, progress):
        if final.exists():
            return Obtained(final, _verified(final, offer), "it was there")
        kept = _found(offer, source) if source else cache_folder() / offer.file_name
        if kept.exists():
            digest = _verified(kept, offer)
            with atomic_write(final) as copy:
                shutil.copyfile(kept, copy)
            return Obtained(final, digest, f"copied from {kept.parent}")
        return _downloaded(offer, part, final, progress)


def _downloaded(offer: Offer, part: Path, final: Path, progress: Progress) -> Obtained:
    """The file from its address. What was continued may be of two versions, and is fetched once more if it is."""
    url = offer.published.url
    continued = fetch(url, part, progress)
    progress.stage("verifying the checkpoint")
    digest = sha256(part)
    if continued and not _is(digest, offer):
        os.truncate(part, 0)
        continued = fetch(url, part, progress)
        digest = sha256(part)
    if not _is(digest, offer):
        os.truncate(part, 0)
        raise BadInput(
            f"{url} is not the published file: its sha256 begins with {digest[:8]}, not with "
            f"{offer.published.sha256_prefix} — try again later, or get the file elsewhere and name its folder with "
            "`download --from`"
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(final)
    return Obtained(final, digest, f"{'download continued' if continued else 'downloaded'} from {url}")


def _found(offer: Offer, source: Path) -> Path:
    """The file in a folder of somebody who has fetched it elsewhere."""
    path = source / offer.file_name
    if not path.is_file():
        raise Unavailable(
            f"{source} has no {offer.file_name} — get it from {offer.published.url} and put it there under this name"
        )
    return path


def _is(digest: str, offer: Offer) -> bool:
    return digest.startswith(offer.published.sha256_prefix)


def _verified(path: Path, offer: Offer) -> str:
    """The sha256 of a file. Raises BadInput where it is not that of the published one."""
    digest = sha256(path)
    if not _is(digest, offer):
        raise BadInput(
            f"{path} is not the published {offer.name}: its sha256 begins with {digest[:8]}, not with "
            f"{offer.published.sha256_prefix} — move it away, and run the command again"
        )
    return digest


@contextlib.contextmanager
def _locked(part: Path, offer: Offer, progress: Progress) -> Iterator[None]:
    """Hold the partial file alone. Where it is empty at the end, it is removed."""
    file = _alone(part, offer, progress)
    try:
        yield
    finally:
        if os.fstat(file.fileno()).st_size == 0:
            part.unlink(missing_ok=True)
        file.close()


def _alone(part: Path, offer: Offer, progress: Progress) -> IO[bytes]:
    import fcntl

    while True:
        file = part.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.stage(f"waiting for another process that downloads {offer.name}")
            fcntl.flock(file, fcntl.LOCK_EX)
        if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
            return file
        file.close()  # the other process has renamed or removed it meanwhile
