"""What this machine has, and what is missing."""

from __future__ import annotations

import importlib.util

from hrnet_deploy.bench.environment import cpu, gpu, has_vnni, versions
from hrnet_deploy.engines import ENGINES, unavailable_reason
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.machine import EngineState, Machine

EXTRAS = {
    "export": (("torch", "torch"), ("onnxscript", "onnxscript"), ("safetensors", "safetensors")),
    "eval": (("pycocotools", "pycocotools"),),
}


def doctor(progress: Progress = SILENT) -> Machine:
    """Processor, libraries, and for every engine and extra whether it can be used or how to make it usable."""
    progress.stage("looking at engines", len(ENGINES))
    engines = {}
    for name, entry in ENGINES.items():
        engines[name] = EngineState(entry.title, unavailable_reason(name))
        progress.advance()
    processor = cpu()
    bf16 = set(processor.features) & {"avx512_bf16", "amx_bf16"}
    vnni = "VNNI: int8 convolutions run at full speed"
    no_vnni = "no VNNI: int8 gains little and needs a reduced range"
    return Machine(
        cpu=processor,
        int8=vnni if has_vnni() else no_vnni,
        bf16="native" if bf16 else "not native: use fp32",
        gpu=gpu(),
        libraries=versions(),
        engines=engines,
        extras={name: _missing(name) for name in EXTRAS},
    )


def _missing(extra: str) -> str:
    """What is missing of an optional extra, and how to install it; empty if nothing is missing."""
    missing = [package for module, package in EXTRAS[extra] if importlib.util.find_spec(module) is None]
    return f"{', '.join(missing)} missing — pip install 'hrnet-deploy[{extra}]'" if missing else ""
