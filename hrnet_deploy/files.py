"""Checks and helpers for input and output files. An output file is either complete or absent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput


HALF = re.compile(r"\\u[dD][89abAB]")  # the escape of half a character, which no text can hold alone


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
    replaces `path`; otherwise it is deleted.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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
