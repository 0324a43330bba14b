"""TensorRT's timings of kernels, kept between builds: one file for each GPU, driver and version of TensorRT.

The lock is held for a whole build, because two builds on one GPU would disturb each other's timings.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from hrnet_deploy.files import atomic_write


def folder() -> Path:
    """The folder of the user's timings."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hrnet-deploy" / "timing"


def path_of(identity: Mapping[str, str], tensorrt: str, where: Path | None = None) -> Path:
    """The file for a GPU and driver (`identity`) and a version of TensorRT."""
    words = [identity["gpu"], identity["driver"], f"trt {tensorrt}"]
    return (where or folder()) / f"{'-'.join(re.sub(r'[^A-Za-z0-9.]+', '_', w) for w in words)}.cache"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bytes]:
    """The bytes of the cache, empty at first. No other process builds on this GPU until the block ends."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path.read_bytes() if path.exists() else b""


def keep(path: Path, timings: bytes) -> None:
    """Replace the bytes of the cache. Call it inside `locked`."""
    with atomic_write(path) as part:
        part.write_bytes(timings)
