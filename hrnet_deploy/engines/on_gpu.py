"""Why PyTorch or ONNX Runtime cannot run on a GPU here. The driver is checked first, then how the library was
built."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from hrnet_deploy.engines.driver import probe
from hrnet_deploy.errors import Unavailable

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
CURE = "leave the GPU's options out, or"


def unavailable_reason(options: Mapping[str, str]) -> str:
    """Empty if the engine can run with its options or they do not need a GPU; else the reason and what to do."""
    provider = options.get("provider", "cpu")
    if "cuda" not in options and provider == "cpu":
        return ""
    try:
        probe()
    except Unavailable as reason:
        return f"{reason} — {CURE} use a machine with an NVIDIA GPU"
    return _torch() if "cuda" in options else _onnxruntime(PROVIDERS[provider])


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
