"""Checks and helpers for input and output files. An output file is either complete or absent, and a file or folder that
is not finished is removed when its command ends, also by a signal (`remove_unfinished`)."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput, Unavailable

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
FULL = 2**16  # a disk with fewer free bytes than this is full
HALF = re.compile(r"\\u[dD][89abAB]")  # the escape of half a character, which no text can hold alone
UNFINISHED: set[Path] = set()  # files and folders of this process that no other run may find


def check_output(path: Path, force: bool) -> None:
    """Check at the start of a job that its output can be written at the end.

    Args:
        path: the output file.
        force: whether an existing file may be replaced.

    Raises:
        BadInput: the path is a folder, the file exists already, or its folder is missing or not writable.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder — name a file in it")
    if path.exists() and not force:
        raise BadInput(f"{path} exists already — pass --force to replace it, or name another output")
    if not path.parent.is_dir():
        raise BadInput(f"the folder {path.parent} does not exist — create it first")
    if not os.access(path.parent, os.W_OK):
        raise BadInput(f"the folder {path.parent} cannot be written to — name another output")


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file atomically.

    The block gets a temporary path in the folder of `path`. If it ends without an exception, the temporary file
    replaces `path`; otherwise it is deleted. Raises Unavailable if the disk is full.
    """
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    where = f"no space is left in {path.parent} for {path.name} — free some, or name an output on another disk"
    with _unfinished(part, where):
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))  # the umask applies
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)


@contextlib.contextmanager
def temporary_folder(inside: Path | None = None) -> Iterator[Path]:
    """A folder that is removed when the block ends, `inside` another one or among the system's temporary files.

    Raises Unavailable if there is no room for what is written into it.
    """
    place, cure = inside, "name an output on another disk"
    if place is None:
        try:
            place = Path(tempfile.gettempdir())
        except FileNotFoundError as error:
            raise Unavailable(
                "there is no folder for temporary files with room in it — free some, or name a folder with TMPDIR"
            ) from error
        cure = "name another folder of temporary files with TMPDIR"
    folder = place / f".hrnet-deploy-{secrets.token_hex(6)}"
    with _unfinished(folder, f"no space is left in {place} for temporary files — free some, or {cure}"):
        folder.mkdir(0o700)
        yield folder


@contextlib.contextmanager
def _unfinished(path: Path, no_room: str) -> Iterator[None]:
    """Remove a file or folder when the block ends, and raise Unavailable(`no_room`) if the block failed because its
    disk is full, whatever a library made of that."""
    UNFINISHED.add(path)
    try:
        yield
    except Exception as error:
        full = lacks_room(error) or (not isinstance(error, BadInput) and _is_full(path.parent))
        if full and not isinstance(error, Unavailable):
            raise Unavailable(no_room) from error
        raise
    finally:
        _remove(path)
        UNFINISHED.discard(path)


def lacks_room(error: BaseException | None) -> bool:
    """Whether a full disk caused an exception; libraries report it as failures of their own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < FULL
    except OSError:
        return False


def remove_unfinished() -> None:
    """Remove what this process has not finished, for an end in which no `finally` runs."""
    for path in list(UNFINISHED):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def json_text(value: Any) -> str:
    """A value as strictly valid JSON. NaN and infinity, such as the figures of a diverged output, become null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    """The value with None for each number in it that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically."""
    with atomic_write(path) as part:
        part.write_text(json_text(value) + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        what: what the file should be, for the error message.

    Raises:
        BadInput: the file is missing, cannot be read, or is not JSON.
    """
    require_file(path)
    data = path.read_bytes()
    try:
        text = data.decode(json.detect_encoding(data))  # a byte-order mark and UTF-16 are understood
        found = json.loads(text.removeprefix("\ufeff"))
        if HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:  # invalid UTF-8 is a ValueError, too
        raise BadInput(f"{path} is not JSON ({error}) — expected {what}") from error
    return found


def require_file(path: Path) -> None:
    """Raises BadInput unless the path is a file that can be read."""
    if path.is_dir():
        raise BadInput(f"{path} is a folder — name a file")
    if not path.exists():
        raise BadInput(f"{path} does not exist — check the path")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{path} cannot be read — check its permissions")


def sha256(path: Path) -> str:
    """The sha256 digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
