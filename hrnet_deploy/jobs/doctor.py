"""What this machine has, and what it lacks."""

from __future__ import annotations

import dataclasses
from typing import Any

from hrnet_deploy.bench.environment import cpu, gpu, has_vnni, versions
from hrnet_deploy.engines import ENGINES, unavailable_reason

EXTRAS = {
    "export": (("torch", "torch"), ("onnxscript", "onnxscript"), ("safetensors", "safetensors")),
    "eval": (("pycocotools", "pycocotools"),),
}


def doctor() -> dict[str, Any]:
    """Processor, libraries, and for every engine and extra whether it can be used and, if not, the cure."""
    import importlib.util

    processor = cpu()
    features = set(processor.features)
    bf16 = bool(features & {"avx512_bf16", "amx_bf16"})
    extras = {}
    for name, modules in EXTRAS.items():
        missing = [package for module, package in modules if importlib.util.find_spec(module) is None]
        extras[name] = f"{', '.join(missing)} missing — pip install 'hrnet-deploy[{name}]'" if missing else ""
    return {
        "cpu": dataclasses.asdict(processor),
        "int8": "VNNI: int8 convolutions run at full speed"
        if has_vnni()
        else "no VNNI: int8 gains little and needs a reduced range",
        "bf16": "native" if bf16 else "not native: use fp32",
        "gpu": gpu(),
        "libraries": versions(),
        "engines": {
            name: {"title": entry.title, "missing": unavailable_reason(name)} for name, entry in ENGINES.items()
        },
        "extras": extras,
    }
