"""How many threads this process may really use: the affinity mask and the cgroup's quota, not the host's cores."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def affinity() -> int:
    """Cores this process may be scheduled on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cgroup_quota(root: Path = CGROUP, own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Cores' worth of time the cgroup grants (version 2, then 1), or None where it sets no limit."""
    try:
        inside = next((ln.split("::", 1)[1] for ln in own.read_text().splitlines() if ln.startswith("0::")), "/")
    except OSError:
        inside = "/"
    quotas: list[float] = []
    place = root / inside.lstrip("/")
    for folder in (place, *place.parents):  # a limit of any group above holds too
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max":
                quotas.append(int(quota) / int(period))
        except (OSError, ValueError):
            pass
        if folder == root:
            break
    try:
        quota_us = int((root / "cpu/cpu.cfs_quota_us").read_text())
        if quota_us > 0:
            quotas.append(quota_us / int((root / "cpu/cpu.cfs_period_us").read_text()))
    except (OSError, ValueError):
        pass
    return min(quotas, default=None)


def available_threads() -> int:
    """The default number of threads of every engine."""
    quota = cgroup_quota()
    cores = affinity()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))
