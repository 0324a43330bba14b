"""TensorRT's timings of kernels, kept between builds: a file a GPU, driver and version.

The lock is held for a whole build: two builds on one GPU would mistime each other's kernels.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from hrnet_deploy.files import atomic_write


def folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hrnet-deploy" / "timing"


def path_of(identity: Mapping[str, str], tensorrt: str, where: Path | None = None) -> Path:
    words = [identity["gpu"], identity["driver"], f"trt {tensorrt}"]
    return (where or folder()) / f"{'-'.join(re.sub(r'[^A-Za-z0-9.]+', '_', w) for w in words)}.cache"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bytes]:
    """What the cache holds, nobody else building meanwhile."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path.read_bytes() if path.exists() else b""


def keep(path: Path, timings: bytes) -> None:
    """Replace what the cache holds. Called inside `locked`."""
    with atomic_write(path) as part:
        part.write_bytes(timings)
