"""What only TensorRT for RTX has: the GPUs that a plan is for, and how the plan is finished on the GPU that opens it.

A plan of TensorRT for RTX holds a graph whose kernels are compiled when the plan is opened or first run (JIT). The
runtime cache keeps them in a file next to the plan. `runtime_configuration` and `RuntimeCache` are written against the
bindings and have never run on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_deploy.engines.trt.flavour import RTX
from hrnet_deploy.files import atomic_write

if TYPE_CHECKING:
    import tensorrt_rtx as trt

SPECIALIZATIONS = ("lazy", "eager", "none")


def aim(config: trt.IBuilderConfig, gpus: Sequence[str]) -> None:
    """State the GPUs that a plan is for, by their names in `--gpu`. Without names it is for all that are supported."""
    trt = RTX.api
    if gpus:
        config.num_compute_capabilities = len(gpus)
        for index, name in enumerate(gpus):
            config.set_compute_capability(getattr(trt.ComputeCapability, name.upper()), index)


def runtime_configuration(
    engine: trt.ICudaEngine, capture: bool, specialization: str, cache: RuntimeCache
) -> trt.IRuntimeConfig:
    """How execution contexts of a plan work.

    Args:
        engine: the plan, opened.
        capture: whether TensorRT for RTX itself captures whole inferences as CUDA graphs.
        specialization: when it compiles kernels for the very shapes of an inference: "lazy" does so beside the
            inference, "eager" before it, and "none" never.
        cache: compiled kernels of earlier runs.
    """
    trt = RTX.api
    config = engine.create_runtime_config()
    strategies = trt.CudaGraphStrategy
    config.cuda_graph_strategy = strategies.WHOLE_GRAPH_CAPTURE if capture else strategies.DISABLED
    kernels = trt.DynamicShapesKernelSpecializationStrategy
    config.dynamic_shapes_kernel_specialization_strategy = getattr(kernels, specialization.upper())
    cache.attach(config)
    return config


class RuntimeCache:
    """Compiled kernels in a file: X.plan.cache next to X.plan. Without a path they are kept in memory only."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._cache: Any = None

    def attach(self, config: trt.IRuntimeConfig) -> None:
        """Give the kernels of the file to a configuration. A file that does not fit this GPU or driver is ignored."""
        cache: trt.IRuntimeCache = config.create_runtime_cache()
        if self._path is not None and self._path.exists():
            cache.deserialize(self._path.read_bytes())  # refuses, and changes nothing, if the bytes do not fit
        config.set_runtime_cache(cache)
        self._cache = cache

    def keep(self) -> None:
        """Write the kernels to the file, unless its folder cannot be written to."""
        if self._path is None or self._cache is None:
            return
        try:
            with atomic_write(self._path) as part:
                part.write_bytes(bytes(self._cache.serialize()))
        except OSError:
            return


def cache_path(plan: Path) -> Path:
    """The file of the runtime cache of a plan."""
    return plan.with_name(f"{plan.name}.cache")
