"""Brings the content of a web address into a file. What broke off is continued, also by a later process.

A partial file has a note beside it: the address, and what the server said to recognise this version of the content
(RFC 9110, 13.1.5: If-Range). A server that has another version sends it from its beginning.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib import request as web
from urllib.error import HTTPError
from urllib.parse import urlsplit

from hrnet_deploy.downloads.failures import Broken, refused, unreachable
from hrnet_deploy.errors import Unavailable
from hrnet_deploy.files import lacks_room
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.version import __version__

LARGEST = 4 * 2**30  # bytes; the largest public checkpoints have a quarter of it
CHUNK, SNIFFED = 2**18, 512  # bytes that are read at a time, and that are looked at to recognise a web page
SECONDS = 30  # without an answer, after which a connection counts as broken
TRIES = 4  # connections of one call
PAUSE = 1.0  # seconds before the second connection; doubled before each further one
MEGABYTE = 10**6
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
PAGE = re.compile(rb"\s*(<!doctype|<html|<head|<\?xml)", re.IGNORECASE)


@dataclass(frozen=True)
class Kept:
    """What an earlier connection has left: `size` bytes, of the version that `validator` recognises. Without a
    validator the rest may be of another version, which only the digest of the whole shows."""

    size: int = 0
    validator: str = ""

    @classmethod
    def of(cls, part: Path, url: str) -> Kept:
        """What is in a partial file, if it is of this address."""
        try:
            note = json.loads(_note(part).read_text(encoding="utf-8"))
            return cls(part.stat().st_size, str(note["validator"])) if note["url"] == url else cls()
        except (OSError, ValueError, KeyError, TypeError):
            return cls()


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def fetch(url: str, part: Path, progress: Progress = SILENT, largest: int = LARGEST) -> bool:
    """Bring the content of an address into a partial file, which may hold the beginning of it already.

    Returns whether it comes from more than one connection. The partial file stays where this fails, so that another
    call continues. Proxies are taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

    Raises Unavailable, with the reason and the cure, where the content cannot be had.
    """
    continued, reason = False, ""
    for number in range(TRIES):
        if number:
            time.sleep(PAUSE * 2 ** (number - 1))
        try:
            continued |= Kept.of(part, url).size > 0
            _connect(url, part, progress, largest)
            _note(part).unlink(missing_ok=True)
            return continued
        except Broken as broken:
            reason = str(broken)
    there = part.stat().st_size / MEGABYTE if part.exists() else 0
    raise Unavailable(
        f"{url} broke off {TRIES} times ({reason}), and {there:.1f} MB of it are here — run the same command again, "
        "which continues from there"
    )


def _connect(url: str, part: Path, progress: Progress, largest: int) -> None:
    """One connection. Raises Broken where it ends before the content does."""
    kept = Kept.of(part, url)
    wanted = web.Request(url, headers={"User-Agent": f"hrnet-deploy/{__version__}", "Accept-Encoding": "identity"})
    if kept.size:
        wanted.add_header("Range", f"bytes={kept.size}-")
        if kept.validator:
            wanted.add_header("If-Range", kept.validator)
    try:
        response = _opener().open(wanted, timeout=SECONDS)
    except HTTPError as error:
        with error:
            if error.code == 416 and kept.size:  # there is nothing behind what is kept
                if _range(error.headers)[1] == kept.size:
                    return
                _discard(part)
                raise Broken("it had fewer bytes than were kept of it") from None
            raise refused(url, error) from None
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(url, error) from error
    with response:
        start, total = _place(response, kept, part)
        chunks = _chunks(response)
        first = next(chunks, b"")
        if not start and ("html" in response.headers.get_content_type() or PAGE.match(first)):
            raise Unavailable(
                f"{url} gave a web page instead of the file (a login page of the network, or the file has moved) — "
                "open it in a browser to see, or get the file elsewhere and name its folder with `download --from`"
            )
        _check_room(url, part, start, total, largest)
        if not start:
            _begin(part, url, response.headers)
        progress.stage(f"downloading {part.name.removesuffix('.part')} (MB)", (total or 0) // MEGABYTE)
        progress.advance(start // MEGABYTE)
        done = _write(url, part, start, first, chunks, progress, largest)
    if total is not None and done < total:
        raise Broken(f"the connection ended after {done} of {total} bytes")


def _place(response: Any, kept: Kept, part: Path) -> tuple[int, int | None]:
    """Where in the content an answer begins, and how many bytes the content has, if that is said."""
    if response.status == 206:
        start, total = _range(response.headers)
        if start != kept.size:
            _discard(part)
            raise Broken("the server sent another range than was asked for")
        return start, total
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _range(headers: Any) -> tuple[int | None, int | None]:
    """The first byte and the number of all bytes in a Content-Range, None for what it does not say."""
    found = CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if found is None:
        return None, None
    first, total = (None if v in (None, "*") else int(v) for v in found.groups())
    return first, total


def _chunks(response: Any) -> Iterator[bytes]:
    """The bytes of an answer as they arrive, the first ones together."""
    try:
        if first := response.read(SNIFFED):
            yield first
        while found := response.read1(CHUNK):
            yield found
    except (OSError, http.client.HTTPException) as error:
        raise Broken(str(error) or type(error).__name__) from error


def _check_room(url: str, part: Path, start: int, total: int | None, largest: int) -> None:
    if total is None:
        return
    if total > largest:
        raise _too_large(url, largest)
    free = shutil.disk_usage(part.parent).free
    if free < total - start:
        raise Unavailable(
            f"{part.parent} has {free / MEGABYTE:.0f} MB left, and {(total - start) / MEGABYTE:.0f} MB are needed for "
            f"{url} — free some, or name another folder with -o or HRNET_DEPLOY_CACHE"
        )


def _too_large(url: str, largest: int) -> Unavailable:
    return Unavailable(
        f"{url} has more than {largest / 2**30:g} GiB, which no checkpoint has — get the file elsewhere and name "
        "its folder with `download --from`"
    )


def _begin(part: Path, url: str, headers: Any) -> None:
    """Note what is about to be written into an empty partial file."""
    _discard(part)
    tag = headers.get("ETag", "")
    validator = tag if tag.startswith('"') else headers.get("Last-Modified", "")  # a weak tag cannot be asked for
    _note(part).write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")


def _discard(part: Path) -> None:
    """Empty a partial file. It is not removed, because a lock may be on it."""
    if part.exists():
        os.truncate(part, 0)
    _note(part).unlink(missing_ok=True)


def _write(
    url: str, part: Path, start: int, first: bytes, chunks: Iterator[bytes], progress: Progress, largest: int
) -> int:
    """Append an answer to the partial file, and return the size of that."""
    done = start
    try:
        with part.open("ab") as file:
            for chunk in itertools.chain([first], chunks):
                if done + len(chunk) > largest:
                    raise _too_large(url, largest)
                file.write(chunk)
                progress.advance((done + len(chunk)) // MEGABYTE - done // MEGABYTE)
                done += len(chunk)
    except OSError as error:
        if not lacks_room(error):
            raise
        raise Unavailable(
            f"no space is left in {part.parent} for {url} — free some and run the same command again, which continues, "
            "or name another folder with -o or HRNET_DEPLOY_CACHE"
        ) from error
    return done


class _Redirects(web.HTTPRedirectHandler):
    """Follows an answer to another address, but never from an encrypted one to one that is not."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise Unavailable(
                f"{req.full_url} leads to {newurl}, which is not encrypted — open it in a browser to see, or get "
                "the file elsewhere and name its folder with `download --from`"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> web.OpenerDirector:
    """Opens web addresses and nothing else: no local files, no FTP."""
    made = web.OpenerDirector()
    for handler in (
        web.ProxyHandler(),
        web.HTTPHandler(),
        web.HTTPSHandler(),
        _Redirects(),
        web.HTTPErrorProcessor(),
        web.HTTPDefaultErrorHandler(),
        web.UnknownHandler(),
    ):
        made.add_handler(handler)
    return made
