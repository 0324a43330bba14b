"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

from hrnet_deploy.engines.base import Arrays, Feeds, Source, TensorSpec, check_feeds
from hrnet_deploy.errors import BadInput, Unavailable

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
PROVIDER = "CPUExecutionProvider"


class OrtEngine:
    """A session whose provider and threads are what was asked for, or an error."""

    name = "ort"
    device = "cpu"

    def __init__(self, source: Source, threads: int, optimization: str = "all") -> None:
        if source.file is None:
            raise BadInput("the ort engine opens an ONNX file — export the checkpoint first, or name the .onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = LEVELS[optimization]
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(source.file), options, providers=[PROVIDER])
        except Exception as error:  # onnxruntime has a type an error code, all unrelated
            first = str(error).strip().splitlines()[0]
            raise BadInput(f"ONNX Runtime cannot open {source.file} ({first[:200]}) — export it again") from error
        used = self.session.get_providers()
        if used != [PROVIDER]:
            raise Unavailable(f"ONNX Runtime runs on {', '.join(used)} instead of {PROVIDER} — reinstall onnxruntime")
        self.inputs = tuple(_spec(i) for i in self.session.get_inputs())
        self.outputs = tuple(_spec(o) for o in self.session.get_outputs())
        self.facts: dict[str, Any] = {"provider": used[0], "threads": threads, "optimization": optimization}

    def run(self, feeds: Feeds) -> Arrays:
        check_feeds(self.inputs, feeds)
        names = [o.name for o in self.outputs]
        return {n: np.asarray(v) for n, v in zip(names, self.session.run(names, dict(feeds)), strict=True)}

    def resident(self, feeds: Feeds) -> Callable[[], None]:
        """Inputs and outputs bound once: no allocation and no copy is in the call."""
        outputs = self.run(feeds)
        binding = self.session.io_binding()
        kept = []
        for name, array in feeds.items():
            kept.append(onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)))
            binding.bind_ortvalue_input(name, kept[-1])
        for name, array in outputs.items():
            kept.append(onnxruntime.OrtValue.ortvalue_from_numpy(np.empty_like(array)))
            binding.bind_ortvalue_output(name, kept[-1])

        def call(_keep: list[Any] = kept) -> None:
            self.session.run_with_iobinding(binding)

        return call

    def close(self) -> None:
        del self.session


def _spec(value: Any) -> TensorSpec:
    shape = tuple(d if isinstance(d, int) else str(d) for d in value.shape)
    return TensorSpec(value.name, shape, DTYPES.get(value.type, value.type))
