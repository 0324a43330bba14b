"""Why TensorRT, or TensorRT for RTX, cannot run or build here, found out without importing it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Mapping

from hrnet_deploy.engines.driver import Gpu, probe
from hrnet_deploy.engines.trt.flavour import RTX
from hrnet_deploy.errors import Unavailable

OLDEST = (10, 4)
INSTALL = "install with: pip install 'hrnet-deploy[trt]'"
NO_GPU = "use --engine ort, or a machine with an NVIDIA GPU"
NO_PYCUDA = "pycuda is not installed; it is compiled during its installation and needs the CUDA toolkit (nvcc on PATH)"


def unavailable_reason(
    _: Mapping[str, str] | None = None,
    gpu: Callable[[], Gpu] = probe,
    installed: Callable[[], dict[str, str]] | None = None,
) -> str:
    """Empty if TensorRT can run here, else what is missing and what to do.

    The driver is checked first, then the library and its version, then PyCUDA.

    Args:
        gpu: returns the GPU; raises Unavailable if there is none.
        installed: returns versions by name of the distribution.
    """
    try:
        found = gpu()
    except Unavailable as reason:
        return f"{reason} — {NO_GPU}"
    have = installed() if installed is not None else _installed()
    if "tensorrt" not in have:
        if any(name.startswith("tensorrt-lean") for name in have):
            return f"tensorrt-lean is only the runtime and cannot read an ONNX file — {INSTALL}"
        return f"tensorrt is not installed — {INSTALL}"
    version = have["tensorrt"]
    if _numbers(version) < OLDEST:
        return f"tensorrt {version} is older than {'.'.join(map(str, OLDEST))} — pip install --upgrade tensorrt"
    for name in have:
        built_for = re.fullmatch(r"tensorrt-cu(\d+)", name)
        if built_for and int(built_for[1]) > found.cuda[0]:
            return (
                f"tensorrt {version} is built for CUDA {built_for[1]}, the driver of the {found.name} runs CUDA "
                f"{'{}.{}'.format(*found.cuda)} — update the driver, or pip install tensorrt-cu{found.cuda[0]}"
            )
    if "pycuda" not in have:
        return f"{NO_PYCUDA} — {INSTALL}"
    return ""


def rtx_unavailable_reason(_: Mapping[str, str] | None = None, gpu: Callable[[], Gpu] = probe) -> str:
    """Empty if TensorRT for RTX can run plans here, else what is missing and what to do. Building needs less: see
    `rtx_build_obstacle`."""
    try:
        found = gpu()
    except Unavailable as reason:
        return f"{reason} — {NO_GPU}; build needs none"
    capability = "{}.{}".format(*found.capability)
    if capability not in RTX.capabilities.values():
        known = ", ".join(RTX.capabilities.values())
        return (
            f"{RTX.title} is for GPUs of compute capability {known}, and the {found.name} has {capability} — use "
            "--engine trt"
        )
    if obstacle := rtx_build_obstacle():
        return obstacle
    return "" if importlib.util.find_spec("pycuda") else f"{NO_PYCUDA} — install with: pip install pycuda"


def rtx_build_obstacle() -> str:
    """Empty if TensorRT for RTX can build plans here, for which it needs no GPU."""
    if importlib.util.find_spec(RTX.module) is not None:
        return ""
    return f"{RTX.module} is not installed — install with: pip install 'hrnet-deploy[{RTX.engine}]'"


def _installed() -> dict[str, str]:
    """Versions of the distributions that matter. A package without a distribution is found by its module."""
    have = {}
    for found in importlib.metadata.distributions():
        name = (found.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith("tensorrt") or name == "pycuda":
            have[name] = found.version
    for module in ("tensorrt", "pycuda"):
        if module not in have and importlib.util.find_spec(module) is not None:
            like = next((v for n, v in have.items() if n.startswith(f"{module}-cu")), None)
            have[module] = like or ".".join(map(str, OLDEST))  # its version is not known without importing it
    return have


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:2])
