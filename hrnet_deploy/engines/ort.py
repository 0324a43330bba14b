"""ONNX Runtime: on the CPU, or with its CUDA or TensorRT execution provider on an NVIDIA GPU."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime

from hrnet_deploy.engines.base import Arrays, Feeds, Source, TensorSpec, check_feeds
from hrnet_deploy.engines.on_gpu import PROVIDERS, RTX, RTX_PACKAGE
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.results.base import EngineInfo

LEVELS = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "disabled": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
}
GRAPH = {
    "cuda": "enable_cuda_graph",
    "tensorrt": "trt_cuda_graph_enable",
    RTX: "enable_cuda_graph",
}  # the provider's option that captures a CUDA graph
GRAPH_ID, NO_GRAPH = "gpu_graph_id", "-1"


class OrtEngine:
    """A session. See `engines.base.Engine`.

    ONNX Runtime itself falls back to the CPU if a provider does not load. Here that is an error.

    Args:
        source: names an ONNX file.
        threads: of each operator; operators run one after the other.
        optimization: level of the graph optimization: all, extended, basic or disabled.
        provider: cpu, cuda, tensorrt or tensorrt-rtx (a plugin, which has never run here).
        graph: capture CUDA graphs.
        passed: options of the provider; their names begin with `provider.`.

    Raises BadInput if the file cannot be opened, and Unavailable if the provider does not load.
    """

    name = "ort"

    def __init__(
        self,
        source: Source,
        threads: int,
        optimization: str = "all",
        provider: str = "cpu",
        graph: bool = False,
        **passed: Any,
    ) -> None:
        if source.file is None:
            raise BadInput("the ort engine opens an ONNX file — export the checkpoint first, or name the .onnx")
        if graph and provider not in GRAPH:
            raise BadInput(
                "ort captures a graph only on a GPU — add provider=cuda or provider=tensorrt, or leave graph out"
            )
        if provider in ("cuda", "tensorrt"):
            _load_cuda()
        self._file = source.file
        self.device = "cpu" if provider == "cpu" else "cuda"
        wanted = PROVIDERS[provider]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = LEVELS[optimization]
        options.log_severity_level = 3
        settings = {key.partition(".")[2]: str(value) for key, value in passed.items()}
        if provider == "cuda":
            settings.setdefault("use_tf32", "0")  # ONNX Runtime's default is 1, with which float32 is not float32
        if graph:
            settings[GRAPH[provider]] = "1"
        try:
            if provider == RTX:
                _add_plugin(options, settings)
                self.session = onnxruntime.InferenceSession(str(source.file), options)
            else:
                self.session = onnxruntime.InferenceSession(str(source.file), options, providers=[(wanted, settings)])
        except Unavailable:
            raise
        except Exception as error:  # onnxruntime has an unrelated type for each error code
            first = str(error).strip().splitlines()[0]
            raise BadInput(f"ONNX Runtime cannot open {source.file} ({first[:200]}) — export it again") from error
        used = self.session.get_providers()
        if used[0] != wanted:
            raise Unavailable(
                f"ONNX Runtime runs on {', '.join(used)} instead of {wanted} — make sure that its libraries (CUDA, "
                "cuDNN) can be loaded"
            )
        self.inputs = tuple(_spec(i) for i in self.session.get_inputs())
        self.outputs = tuple(_spec(o) for o in self.session.get_outputs())
        reported = {"optimization": optimization}
        if self.device == "cuda":
            effective = self.session.get_provider_options().get(wanted, settings)
            reported |= {"graph": "on" if graph else "off"}
            reported |= {f"provider.{key}": str(value) for key, value in effective.items()}
        self.info = EngineInfo(provider=used[0], threads=threads, options=reported)
        self._graph, self._captured = graph, 0

    def run(self, feeds: Feeds) -> Arrays:
        check_feeds(self.inputs, feeds)
        names = [o.name for o in self.outputs]
        try:
            found = self.session.run(names, dict(feeds), self._options(NO_GRAPH))
        except Exception as error:  # onnxruntime has an unrelated type for each error code
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BadInput(f"ONNX Runtime cannot run {self._file} ({first[:200]}) — export it again") from error
        return {n: np.asarray(v) for n, v in zip(names, found, strict=True)}

    def bind(self, feeds: Feeds) -> Callable[[], None]:
        """Inputs and outputs are bound once, on the provider's device. The call allocates and copies nothing."""
        outputs = self.run(feeds)
        binding = self.session.io_binding()
        kept = []
        for name, array in feeds.items():
            kept.append(onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), self.device, 0))
            binding.bind_ortvalue_input(name, kept[-1])
        for name, array in outputs.items():
            kept.append(onnxruntime.OrtValue.ortvalue_from_numpy(np.empty_like(array), self.device, 0))
            binding.bind_ortvalue_output(name, kept[-1])
        options = self._options(str(self._captured))  # each set of addresses needs its own graph
        self._captured += 1

        def call(_keep: list[Any] = kept) -> None:
            self.session.run_with_iobinding(binding, options)
            if self.device == "cuda":
                binding.synchronize_outputs()

        return call

    def _options(self, graph: str) -> Any:
        """Options that name the CUDA graph a run captures or replays; None if graphs are not captured."""
        if not self._graph:
            return None
        options = onnxruntime.RunOptions()
        options.add_run_config_entry(GRAPH_ID, graph)
        return options

    def close(self) -> None:
        del self.session


def _load_cuda() -> None:
    """Load CUDA's libraries from the packages that pip installs, because the system need not know their folders.

    Where they are not all there, ONNX Runtime prints which, and the session says that its provider does not load.
    """
    preload = getattr(onnxruntime, "preload_dlls", None)  # since 1.21
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            preload()


def _add_plugin(options: Any, settings: Mapping[str, str]) -> None:
    """Load the plugin of TensorRT for RTX, and have a session use it. Raises Unavailable if it finds no device."""
    plugin = importlib.import_module(RTX_PACKAGE)
    name = str(plugin.get_ep_name())
    devices = [d for d in onnxruntime.get_ep_devices() if d.ep_name == name]
    if not devices:
        try:
            onnxruntime.register_execution_provider_library(name, plugin.get_library_path())
        except Exception as error:  # onnxruntime has an unrelated type for each error code
            first = str(error).strip().splitlines()[0][:200]
            raise Unavailable(f"the provider {RTX} does not load ({first}) — use provider=cuda") from error
        devices = [d for d in onnxruntime.get_ep_devices() if d.ep_name == name]
    if not devices:
        raise Unavailable(f"the provider {RTX} finds no GPU that it can use — use provider=cuda")
    options.add_provider_for_devices(devices[:1], dict(settings))


def _spec(value: Any) -> TensorSpec:
    shape = tuple(d if isinstance(d, int) else str(d) for d in value.shape)
    return TensorSpec(value.name, shape, DTYPES.get(value.type, value.type))
