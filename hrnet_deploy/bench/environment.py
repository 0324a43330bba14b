"""The machine that figures are measured on: everything that could explain a difference between two of them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from hrnet_deploy.results.base import Cpu, Environment
from hrnet_deploy.threads import affinity, available_threads, cgroup_quota

LIBRARIES = (
    "hrnet-deploy",
    "torch",
    "torchvision",
    "onnx",
    "onnxruntime",
    "onnxsim",
    "onnxscript",
    "numpy",
    "opencv-python-headless",
    "openvino",
    "tensorrt",
    "pycuda",
)
FEATURES = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT",
    "KMP_BLOCKTIME",
    "CUDA_VISIBLE_DEVICES",
)


def cpu() -> Cpu:
    """The processor, and how much of it this process may use."""
    fields = _cpuinfo()
    flags = set(fields.get("flags", "").split())
    governor = _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return Cpu(
        model=fields.get("model name", platform.processor() or platform.machine()),
        cores=os.cpu_count(),
        affinity=affinity(),
        cgroup_quota=cgroup_quota(),
        threads_available=available_threads(),
        features=[f for f in FEATURES if f in flags],
        governor=governor or "not shown",
        memory_gib=round(_memory() / 2**30, 1),
    )


def has_vnni() -> bool:
    """Whether the processor adds products of u8 and s8 in 32 bits. An x86 processor without VNNI adds pairs of them
    in 16 bits, which can overflow."""
    return platform.machine() not in ("x86_64", "AMD64") or bool(
        set(cpu().features) & {"avx512_vnni", "avx_vnni", "amx_int8"}
    )


def gpu() -> str:
    """Name, driver, clock and power of the first NVIDIA GPU, as nvidia-smi reports them; "none" if there is no GPU."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,power.draw", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "none"
    return done.stdout.strip().splitlines()[0]


def versions() -> dict[str, str]:
    """Versions of the installed libraries that can change a figure, by name."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of the checkout this package runs from, marked if it was changed; empty for an installed package."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def load_average() -> list[float]:
    """Over 1, 5 and 15 minutes; empty if the system does not report it."""
    return [round(v, 2) for v in os.getloadavg()] if hasattr(os, "getloadavg") else []


def environment() -> Environment:
    """Everything that a result file records about this machine."""
    return Environment(
        cpu=cpu(),
        gpu=gpu(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        libraries=versions(),
        commit=commit(),
        variables={v: os.environ[v] for v in VARIABLES if v in os.environ},
    )


def _cpuinfo() -> dict[str, str]:
    lines = (_text("/proc/cpuinfo").partition("\n\n")[0]).splitlines()
    return {k.strip(): v.strip() for k, _, v in (ln.partition(":") for ln in lines)}


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
