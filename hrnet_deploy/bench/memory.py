"""Memory of this process, as the kernel counts it. Nothing is sampled, so that no peak can be missed."""

from __future__ import annotations

import contextlib
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MEMORY = Path("/proc/meminfo")


def resident() -> int:
    """Bytes of this process that are in memory now (VmRSS); 0 if the system does not report it."""
    return _field("VmRSS")


def peak() -> int:
    """The most bytes in memory since the last `reset_peak` (VmHWM)."""
    return _field("VmHWM")


def available() -> int:
    """Bytes that could be allocated now without swapping; 0 if the system does not report it."""
    try:
        lines = MEMORY.read_text().splitlines()
    except OSError:
        return 0
    return next((int(ln.split()[1]) * 1024 for ln in lines if ln.startswith("MemAvailable")), 0)


def reset_peak() -> None:
    """Reset the peak to what is in memory now. If that is not allowed, it remains the peak of the whole process."""
    with contextlib.suppress(OSError):
        CLEAR.write_text("5")


def _field(name: str) -> int:
    try:
        line = next(ln for ln in STATUS.read_text().splitlines() if ln.startswith(name))
    except (OSError, StopIteration):
        return 0
    return int(line.split()[1]) * 1024
