"""Why PyTorch or ONNX Runtime cannot run on a GPU here. The driver is checked first, then how the library was
built."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from hrnet_deploy.engines.driver import Gpu, probe
from hrnet_deploy.errors import Unavailable

RTX = "tensorrt-rtx"  # a provider in a package of its own, which ONNX Runtime loads as a plugin
RTX_PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx"
RTX_CAPABILITIES = ("8.6", "8.9", "12.0", "12.1")  # of the GPUs that it runs on
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    RTX: "NvTensorRTRTXExecutionProvider",
}
CURE = "leave the GPU's options out, or"


def unavailable_reason(options: Mapping[str, str]) -> str:
    """Empty if the engine can run with its options or they do not need a GPU; else the reason and what to do."""
    provider = options.get("provider", "cpu")
    if "cuda" not in options and provider == "cpu":
        return ""
    try:
        gpu = probe()
    except Unavailable as reason:
        return f"{reason} — {CURE} use a machine with an NVIDIA GPU"
    if provider == RTX:
        return _tensorrt_rtx(gpu)
    return _torch() if "cuda" in options else _onnxruntime(PROVIDERS[provider])


def _tensorrt_rtx(gpu: Gpu) -> str:
    capability = "{}.{}".format(*gpu.capability)
    if capability not in RTX_CAPABILITIES:
        return (
            f"the provider {RTX} is for GPUs of compute capability {', '.join(RTX_CAPABILITIES)}, and the {gpu.name} "
            f"has {capability} — {CURE} use provider=cuda"
        )
    if importlib.util.find_spec(RTX_PACKAGE) is None:
        return f"{RTX_PACKAGE} is not installed — install with: pip install onnxruntime-ep-nv-tensorrt-rtx-cu13"
    return ""


def _torch() -> str:
    if importlib.util.find_spec("torch") is None:
        return ""  # the registry reports what is not installed, for all engines
    import torch

    if torch.cuda.is_available():
        return ""
    return (
        f"this PyTorch ({torch.__version__}) has no CUDA, or none that fits the driver — {CURE} "
        "install a CUDA build of it"
    )


def _onnxruntime(provider: str) -> str:
    if importlib.util.find_spec("onnxruntime") is None:
        return ""
    import onnxruntime

    if provider in onnxruntime.get_available_providers():
        return ""
    return f"this onnxruntime has no {provider} — {CURE} install onnxruntime-gpu in its place"
