"""OpenVINO on the CPU: the same ONNX files, int8 included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import openvino

from hrnet_deploy.engines.base import Arrays, Feeds, Source, TensorSpec, check_feeds
from hrnet_deploy.errors import BadInput

DTYPES = {"f32": "float32", "f16": "float16", "u8": "uint8", "i64": "int64", "i32": "int32"}


class OpenvinoEngine:
    """A compiled model and one inference request. `precision` is what float operators compute in; integers stay
    integers. OpenVINO would choose bfloat16 by itself where the processor has it: here it is asked for by name."""

    name = "openvino"
    device = "cpu"

    def __init__(self, source: Source, threads: int, precision: str = "f32") -> None:
        if source.file is None:
            raise BadInput("the openvino engine opens an ONNX file — export the checkpoint first, or name the .onnx")
        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        try:
            model = core.read_model(str(source.file))
            self.compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            first = str(error).strip().splitlines()[-1]
            raise BadInput(f"OpenVINO cannot open {source.file} ({first[:200]}) — use --engine ort, or export it again") from error
        self.inputs = tuple(_spec(p) for p in self.compiled.inputs)
        self.outputs = tuple(_spec(p) for p in self.compiled.outputs)
        self.request = self.compiled.create_infer_request()
        self.facts: dict[str, Any] = {"device": "CPU", "threads": threads, "hint": precision, "mode": "latency"}
        has_integers = any(op.get_type_name() == "FakeQuantize" for op in model.get_ops())
        if precision == "bf16" and not has_integers:
            self.facts["precision"] = "bf16"

    def run(self, feeds: Feeds) -> Arrays:
        check_feeds(self.inputs, feeds)
        results = self.request.infer(dict(feeds))
        return {o.name: np.array(results[p]) for o, p in zip(self.outputs, self.compiled.outputs, strict=True)}

    def resident(self, feeds: Feeds) -> Callable[[], None]:
        """A request of its own, whose tensors hold the inputs and keep the outputs."""
        request = self.compiled.create_infer_request()
        for name, array in feeds.items():
            request.set_tensor(name, openvino.Tensor(np.ascontiguousarray(array)))
        request.infer()

        def call() -> None:
            request.infer()

        return call

    def close(self) -> None:
        del self.request, self.compiled


def _spec(port: Any) -> TensorSpec:
    shape = tuple(d.get_length() if d.is_static else -1 for d in port.get_partial_shape())
    kind = port.get_element_type().get_type_name()
    return TensorSpec(port.get_any_name(), shape, DTYPES.get(kind, kind))
