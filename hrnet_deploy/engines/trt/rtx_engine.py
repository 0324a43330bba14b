"""TensorRT for RTX on a GPU: the engine of TensorRT, with the runtime's own graph capture and its cache of kernels.

It has never run on a GPU. What it says to the library is checked against the recorded bindings.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hrnet_deploy.engines.base import Source
from hrnet_deploy.engines.trt.engine import TrtEngine
from hrnet_deploy.engines.trt.flavour import RTX
from hrnet_deploy.engines.trt.rtx import RuntimeCache, cache_path, runtime_configuration
from hrnet_deploy.graph.plan import is_plan
from hrnet_deploy.results.base import EngineInfo

if TYPE_CHECKING:
    import tensorrt as trt


class RtxEngine(TrtEngine):
    """A plan of TensorRT for RTX, opened. See `TrtEngine`.

    Kernels are compiled when the plan is opened and first run (`timings["first_inference_ms"]`). Next to a plan they
    are kept in X.plan.cache, so that they are compiled once.

    Args:
        graph: "on" to let the library capture whole inferences as CUDA graphs, or "off".
        specialization: when kernels are compiled for the very shapes of an inference: "lazy", "eager" or "none".
        source, threads, contexts, aux_streams, level, tf32: as for `TrtEngine`.
    """

    name = RTX.engine
    flavour = RTX

    def __init__(
        self,
        source: Source,
        threads: int,
        graph: str = "on",
        contexts: str = "1",
        aux_streams: str = "",
        level: str = "",
        tf32: bool = False,
        specialization: str = "lazy",
    ) -> None:
        self._graph, self._specialization = graph, specialization
        plan = source.file if source.file is not None and is_plan(source.file) else None
        self._cache = RuntimeCache(cache_path(plan) if plan is not None else None)
        super().__init__(source, threads, "off", contexts, aux_streams, level, tf32)
        self._cache.keep()

    @property
    def info(self) -> EngineInfo:
        """The facts of opening, with the options of the runtime."""
        own = {"graph": self._graph, "specialization": self._specialization}
        first = f"the first inference took {self._info.timings['first_inference_ms']:.0f} ms with compiling its kernels"
        note = ", ".join(filter(None, (self._info.note, first)))
        return dataclasses.replace(self._info, options={**self._info.options, **own}, note=note)

    def _new_context(self) -> trt.IExecutionContext:
        capture = self._graph == "on"
        config = runtime_configuration(self._engine, capture, self._specialization, self._cache)
        return self._engine.create_execution_context(config)

    def close(self) -> None:
        """Keep the kernels that were compiled since, and free everything."""
        self._cache.keep()
        super().close()
