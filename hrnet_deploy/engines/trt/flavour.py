"""The two libraries that this engine serves: TensorRT, and TensorRT for RTX.

Their Python bindings have the same classes. What differs is stated here as plain facts, and `rtx` has the few calls
that only TensorRT for RTX knows. Nothing is imported before `api` is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hrnet_deploy.engines.driver import Gpu
from hrnet_deploy.errors import BadInput


@dataclass(frozen=True)
class Flavour:
    """One of the two libraries.

    Attributes:
        engine: the name of the engine in the registry, which is also the extra that installs it.
        title: the name of the library.
        module: the module of its bindings.
        capabilities: by the name in `--gpu`, the compute capability of the GPUs that a plan can be built for on any
            machine; empty if a plan is built on the GPU that it is for, whose kernels are timed there.
    """

    engine: str
    title: str
    module: str
    capabilities: Mapping[str, str] = field(default_factory=dict)

    @property
    def api(self) -> Any:
        """The module of the bindings."""
        return importlib.import_module(self.module)

    @property
    def version(self) -> str:
        return str(self.api.__version__)

    @property
    def portable(self) -> bool:
        """Whether plans are compiled without a GPU, and finished on the GPU that opens them."""
        return bool(self.capabilities)

    def fits(self, gpu: Gpu | None, gpus: Sequence[str]) -> dict[str, str]:
        """What a plan depends on, as its manifest states it.

        Args:
            gpu: the GPU of this machine, on which a plan is built that is not portable.
            gpus: the names that a portable plan is built for; empty for all.

        Raises BadInput for a name that is not known.
        """
        if not self.portable:
            if gpus:
                raise BadInput(
                    f"--gpu is for plans that are built without their GPU, but a plan of {self.title} is for the GPU "
                    "of this machine — leave it out, or use --engine trt-rtx"
                )
            assert gpu is not None
            return gpu.identity
        if unknown := [name for name in gpus if name not in self.capabilities]:
            raise BadInput(
                f"--gpu {unknown[0]} is no GPU of {self.title} — choose among any, {', '.join(self.capabilities)}"
            )
        return {"compute_capabilities": ", ".join(self.capabilities[n] for n in gpus or self.capabilities)}


TENSORRT = Flavour("trt", "TensorRT", "tensorrt")
RTX = Flavour(
    "trt-rtx",
    "TensorRT for RTX",
    "tensorrt_rtx",
    {"sm75": "7.5", "sm86": "8.6", "sm89": "8.9", "sm120": "12.0", "sm121": "12.1"},
)
FLAVOURS = {f.engine: f for f in (TENSORRT, RTX)}
