"""Memory of this process, as the kernel counts it: no sampling, so no gap a peak could hide in."""

from __future__ import annotations

import contextlib
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident() -> int:
    """Bytes of this process in memory now (VmRSS), 0 where the system does not say."""
    return _field("VmRSS")


def peak() -> int:
    """The most since the last `reset_peak` (VmHWM)."""
    return _field("VmHWM")


def reset_peak() -> None:
    """Let the peak start anew from what is resident now. Where that is not allowed the peak is the process's."""
    with contextlib.suppress(OSError):
        CLEAR.write_text("5")


def _field(name: str) -> int:
    try:
        line = next(ln for ln in STATUS.read_text().splitlines() if ln.startswith(name))
    except (OSError, StopIteration):
        return 0
    return int(line.split()[1]) * 1024
