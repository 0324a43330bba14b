"""How many threads this process can use, by its affinity mask and its cgroup's quota, not by the cores of the host."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def affinity() -> int:
    """The number of cores this process may be scheduled on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cgroup_quota(root: Path = CGROUP, own: Path = Path("/proc/self/cgroup")) -> float | None:
    """The CPU time that cgroups (version 2 and 1) grant, as a number of cores, or None if they set no limit.

    Args:
        root: where the cgroup file system is mounted.
        own: the file that names the cgroup of this process.
    """
    try:
        inside = next((ln.split("::", 1)[1] for ln in own.read_text().splitlines() if ln.startswith("0::")), "/")
    except OSError:
        inside = "/"
    quotas: list[float] = []
    place = root / inside.lstrip("/")
    for folder in (place, *place.parents):  # the limits of all parent groups apply as well
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
    """The number of threads that engines use by default: the cores or the quota, whichever is less, but at least 1."""
    quota = cgroup_quota()
    cores = affinity()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))
