"""The result of `build`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import EngineInfo, Result
from hrnet_deploy.results.compiled import CompiledGraph


@dataclass(frozen=True)
class BuildResult(Result):
    """A plan, and what the engine reports about it.

    Attributes:
        output, size: the plan file, and its bytes.
        onnx: the file it was built from, by "name" and "sha256".
        builder: the library and its version, for example "TensorRT 11.4".
        identity: the GPU, compute capability and driver it fits.
        profiles: bounds of the open inputs: smallest, tuned for and largest, each a shape.
        engine_info: what the engine reports about the opened plan (`layer_counts`, `memory` in bytes); of a plan that
            was built without its GPU, what the builder reports.
        compiled: what the compiler made of the graph, if it says.
        layers: whether the kernels of each block were asked for.
        in_fp16: of an int8 file, what the compiler makes of the same network in fp16, if that was requested.
    """

    kind: ClassVar[str] = "build"

    output: str
    size: int
    card: str
    precision: str
    onnx: Mapping[str, str]
    builder: str
    identity: Mapping[str, str]
    profiles: Mapping[str, Sequence[Sequence[int]]]
    build_seconds: float
    engine_info: EngineInfo
    warning: str = ""
    compiled: CompiledGraph | None = None
    layers: bool = False
    in_fp16: CompiledGraph | None = None
