"""The engines by name. An engine is imported only when it is opened.

An engine is named as on the command line: `ort`, `torch:channels_last`, `torch:compile,channels_last`,
`ort:optimization=basic`. Each such name is a row of a result.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hrnet_deploy.engines.base import Engine, Source
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.threads import available_threads

NUMBER = "N"


@dataclass(frozen=True)
class EngineEntry:
    """One engine of the registry.

    Attributes:
        title: its description in `doctor`.
        module, name: the module and the name of its class.
        needs: modules that must be installed.
        extra: the optional extra of this package that installs them.
        options: the values of each option; NUMBER stands for any whole number from 1 on, and a flag has no values.
        missing: "module:function". The function takes the options, and returns why the engine cannot run here for
            another reason than missing modules, or empty text.
        runs_files: whether it runs an ONNX file or a plan, and not the network of a checkpoint.
        passes: options that begin with this are passed on unchanged to the engine's library.
    """

    title: str
    module: str = ""
    name: str = ""
    needs: tuple[str, ...] = ()
    extra: str = ""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: str = ""
    passes: str = ""
    runs_files: bool = True


ENGINES: dict[str, EngineEntry] = {
    "torch": EngineEntry(
        "PyTorch, the reference; on an NVIDIA GPU with torch:cuda",
        "hrnet_deploy.engines.torch_",
        "TorchEngine",
        needs=("torch",),
        extra="export",
        options={
            "channels_last": (),
            "compile": (),
            "cuda": (),
            "precision": ("fp32", "tf32", "fp16", "bf16"),
            "graph": (),
            "streams": (),
            "fused": (),
        },
        missing="hrnet_deploy.engines.on_gpu:unavailable_reason",
        runs_files=False,
    ),
    "ort": EngineEntry(
        "ONNX Runtime; on an NVIDIA GPU with ort:provider=cuda",
        "hrnet_deploy.engines.ort",
        "OrtEngine",
        needs=("onnxruntime",),
        options={
            "optimization": ("all", "extended", "basic", "disabled"),
            "provider": ("cpu", "cuda", "tensorrt", "tensorrt-rtx"),
            "graph": (),
        },
        missing="hrnet_deploy.engines.on_gpu:unavailable_reason",
        passes="provider.",
    ),
    "openvino": EngineEntry(
        "OpenVINO on the CPU",
        "hrnet_deploy.engines.openvino_",
        "OpenvinoEngine",
        needs=("openvino",),
        extra="openvino",
        options={"precision": ("f32", "bf16"), "mode": ("latency", "throughput"), "streams": (NUMBER,)},
    ),
    "trt": EngineEntry(
        "TensorRT on an NVIDIA GPU",
        "hrnet_deploy.engines.trt.engine",
        "TrtEngine",
        needs=("tensorrt", "pycuda"),
        extra="trt",
        options={
            "graph": ("on", "off"),
            "contexts": (NUMBER,),
            "aux_streams": ("0", NUMBER),
            "level": ("0", "1", "2", "3", "4", "5"),
            "tf32": (),
        },
        missing="hrnet_deploy.engines.trt.missing:unavailable_reason",
    ),
    "trt-rtx": EngineEntry(
        "TensorRT for RTX: plans run on NVIDIA GeForce and RTX GPUs, and are built anywhere",
        "hrnet_deploy.engines.trt.rtx_engine",
        "RtxEngine",
        needs=("tensorrt_rtx", "pycuda"),
        extra="trt-rtx",
        options={
            "graph": ("on", "off"),
            "contexts": (NUMBER,),
            "aux_streams": ("0", NUMBER),
            "level": ("0", "1", "2", "3", "4", "5"),
            "tf32": (),
            "specialization": ("lazy", "eager", "none"),
        },
        missing="hrnet_deploy.engines.trt.missing:rtx_unavailable_reason",
    ),
}


def parse(text: str) -> tuple[str, dict[str, str]]:
    """`name:option,key=value` -> the name and the options. Raises BadInput for a name or an option that is not
    known."""
    name, _, rest = text.partition(":")
    if name not in ENGINES:
        raise BadInput(f"there is no engine {name!r} — choose among {', '.join(ENGINES)}")
    known = ENGINES[name].options
    options: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        passed = bool(ENGINES[name].passes) and key.startswith(ENGINES[name].passes) and bool(value)
        if not passed and (key not in known or not _allows(known[key], equals, value)):
            each = [k if not v else f"{k}={'|'.join(v)}" for k, v in known.items()]
            raise BadInput(f"the {name} engine has no option {part!r} — it takes {', '.join(each) or 'none'}")
        options[key] = value
    return name, options


def _allows(values: tuple[str, ...], equals: str, value: str) -> bool:
    if not values:
        return not equals
    a_number = NUMBER in values and value.isdecimal() and int(value) > 0
    return a_number or value in set(values) - {NUMBER}


SWEEPS = {  # by the name in `--sweep`: the option of an engine, and the values to try
    "aux-streams": ("aux_streams", ("0", "1", "3", "7")),
    "graph": ("graph", ("on", "off")),
}


def swept(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Engine names with every combination of the swept options.

    An engine without such an option is not changed. Raises BadInput if no engine has it.
    """
    for name in names:
        if name not in SWEEPS:
            raise BadInput(f"--sweep has no {name!r} — choose among {', '.join(SWEEPS)}")
        key, values = SWEEPS[name]
        if not any(_sweeps(t, key, values) for t in texts):
            raise BadInput(f"none of the requested engines has the option {name} — use --sweep with --engine trt")
        texts = [v for t in texts for v in _variants(t, key, values)]
    return list(texts)


def _variants(text: str, key: str, values: Sequence[str]) -> list[str]:
    if not _sweeps(text, key, values):
        return [text]
    return [f"{text}{',' if parse(text)[1] else ':'}{key}={v}" for v in values]


def _sweeps(text: str, key: str, values: Sequence[str]) -> bool:
    """Whether an engine has an option with those values that the text does not set."""
    engine, options = parse(text)
    return key not in options and all(_allows(ENGINES[engine].options.get(key, ()), "=", v) for v in values)


def unavailable_reason(text: str) -> str:
    """Empty if an engine with these options can run here, else what is missing and what to do, without a full stop at
    the end."""
    name, options = parse(text)
    entry = ENGINES[name]
    if entry.missing:
        module, _, function = entry.missing.partition(":")
        if reason := str(getattr(importlib.import_module(module), function)(options)):
            return reason
    missing = [m for m in entry.needs if importlib.util.find_spec(m) is None]
    if not missing:
        return ""
    are = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {are} not installed — install with: pip install 'hrnet-deploy[{entry.extra}]'"


def require(text: str) -> None:
    """Raise Unavailable for an engine that cannot run here, and BadInput for an unknown one. Nothing is opened."""
    name, _ = parse(text)
    if reason := unavailable_reason(text):
        raise Unavailable(f"the {name} engine cannot run here: {reason}")


def require_runs_files(text: str) -> None:
    """Raise BadInput for an engine that is unknown, or that runs the network of a checkpoint and no files."""
    name, _ = parse(text)
    if not ENGINES[name].runs_files:
        able = ", ".join(n for n, e in ENGINES.items() if e.runs_files)
        raise BadInput(
            f"the {name} engine runs the network of a checkpoint, and this command runs a file — choose among {able} "
            f"(`bench` measures {name} beside them)"
        )


def open_engine(text: str, source: Source, threads: int | None = None) -> Engine:
    """Open a model in an engine.

    Args:
        text: the engine with options, as on the command line.
        source: the model.
        threads: for the engine; all available ones unless given.

    Raises:
        Unavailable: the engine cannot run here.
        BadInput: the engine or an option is not known, or the model cannot be opened.
    """
    require(text)
    if threads is not None and threads < 1:
        raise BadInput(
            f"an engine cannot run on {threads} threads — give 1 or more, or leave it out for all that can be used"
        )
    name, options = parse(text)
    entry = ENGINES[name]
    kind: Any = getattr(importlib.import_module(entry.module), entry.name)
    engine: Engine = kind(source, threads=threads or available_threads(), **{k: v or True for k, v in options.items()})
    return engine
