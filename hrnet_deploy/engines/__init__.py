"""The engines by name, opened only when asked for.

An engine is named as on the command line: `ort`, `torch:channels_last`, `torch:compile,channels_last`,
`ort:optimization=basic`. Each such name is a row of a result.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hrnet_deploy.engines.base import Engine, Source
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.threads import available_threads

NUMBER = "N"


@dataclass(frozen=True)
class Entry:
    """Where an engine lives, what it needs, and the options it takes: their values, NUMBER for any from 1 on, none for
    a flag."""

    title: str
    module: str = ""
    name: str = ""
    needs: tuple[str, ...] = ()
    extra: str = ""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    planned: str = ""  # what is said of an engine this version does not have yet


ENGINES: dict[str, Entry] = {
    "torch": Entry(
        "PyTorch on the CPU, the reference",
        "hrnet_deploy.engines.torch_",
        "TorchEngine",
        needs=("torch",),
        extra="export",
        options={"channels_last": (), "compile": ()},
    ),
    "ort": Entry(
        "ONNX Runtime, CPU execution provider",
        "hrnet_deploy.engines.ort",
        "OrtEngine",
        needs=("onnxruntime",),
        options={"optimization": ("all", "extended", "basic", "disabled")},
    ),
    "openvino": Entry(
        "OpenVINO on the CPU",
        "hrnet_deploy.engines.openvino_",
        "OpenvinoEngine",
        needs=("openvino",),
        extra="openvino",
        options={"precision": ("f32", "bf16"), "mode": ("latency", "throughput"), "streams": (NUMBER,)},
    ),
    "trt": Entry(
        "TensorRT on an NVIDIA GPU",
        needs=("tensorrt", "pycuda"),
        extra="trt",
        planned="this version of hrnet-deploy has no trt engine yet",
    ),
}


def parse(text: str) -> tuple[str, dict[str, str]]:
    """`name:option,key=value` as a name and options; raises BadInput for what the engine does not know."""
    name, _, rest = text.partition(":")
    if name not in ENGINES:
        raise BadInput(f"there is no engine {name!r} — choose among {', '.join(ENGINES)}")
    known = ENGINES[name].options
    options: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if key not in known or not _allows(known[key], equals, value):
            each = [k if not v else f"{k}={'|'.join(v)}" for k, v in known.items()]
            raise BadInput(f"the {name} engine has no option {part!r} — it takes {', '.join(each) or 'none'}")
        options[key] = value
    return name, options


def _allows(values: tuple[str, ...], equals: str, value: str) -> bool:
    if not values:
        return not equals
    a_number = NUMBER in values and value.isdecimal() and int(value) > 0
    return a_number or value in set(values) - {NUMBER}


def why_not(name: str) -> str:
    """Empty if an engine can run here, else what is missing and what to do, without a final stop."""
    entry = ENGINES[name]
    missing = [m for m in entry.needs if importlib.util.find_spec(m) is None]
    problems = [entry.planned] if entry.planned else []
    if name == "trt" and not _nvidia_driver():
        problems.append("this machine has no NVIDIA driver")
    if missing:
        problems.append(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed")
    if not problems:
        return ""
    cure = "use --engine ort" if entry.planned else f"install with: pip install 'hrnet-deploy[{entry.extra}]'"
    return f"{'; '.join(problems)} — {cure}"


def _nvidia_driver() -> bool:
    """Whether libcuda loads, initialises and sees a device. Asked before anything of NVIDIA's is imported."""
    import ctypes

    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def require(text: str) -> None:
    """Raise what `open_engine` would for a name or engine that cannot run here, without opening anything."""
    name, _ = parse(text)
    if reason := why_not(name):
        raise Unavailable(f"the {name} engine cannot run here: {reason}")


def open_engine(text: str, source: Source, threads: int | None = None) -> Engine:
    """Open a model in the engine of that name. Raises Unavailable where it cannot run, BadInput for the rest."""
    require(text)
    if threads is not None and threads < 1:
        raise BadInput(f"an engine cannot run on {threads} threads — give 1 or more, or leave it out for all that are usable")
    name, options = parse(text)
    entry = ENGINES[name]
    kind: Any = getattr(importlib.import_module(entry.module), entry.name)
    engine: Engine = kind(source, threads=threads or available_threads(), **{k: v or True for k, v in options.items()})
    return engine
