"""Outputs appear whole or not at all; inputs are identified by what they hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput


def check_output(path: Path, force: bool) -> None:
    """Refuse early what could not be written at the end: an existing file, a missing or closed folder."""
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
    """A temporary name beside `path`, which becomes `path` when the block ends well and is gone otherwise."""
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
    """JSON that every reader takes: what is no number (a diverged output's figures) becomes null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


def write_json(path: Path, value: Any) -> None:
    with atomic_write(path) as part:
        part.write_text(json_text(value) + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> Any:
    """A JSON file, or the sentence that says why it is none. `what` names what was expected."""
    require_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # text that is no UTF-8 is a ValueError too
        raise BadInput(f"{path} is not JSON ({error}) — expected {what}") from error


def require_file(path: Path) -> None:
    if path.is_dir():
        raise BadInput(f"{path} is a folder — name a file")
    if not path.exists():
        raise BadInput(f"{path} does not exist — check the path")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{path} cannot be read — check its permissions")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
