"""OpenVINO on the CPU: the same ONNX files, int8 included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import openvino

from hrnet_deploy.engines.base import Arrays, Feeds, Source, TensorSpec, check_feeds
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import EngineInfo

ROUNDS = 8  # inferences of each request in one call, so that filling and draining the queue takes a small share
DTYPES = {"f32": "float32", "f16": "float16", "u8": "uint8", "i64": "int64", "i32": "int32"}


class OpenvinoEngine:
    """A compiled model. See `engines.base.Engine`.

    Args:
        source: names an ONNX file.
        threads: of the whole engine.
        precision: f32 or bf16, in which float operators compute. OpenVINO itself would choose bf16 if the processor
            has it; here it must be requested.
        mode: "latency" makes one inference at a time on all threads. "throughput" divides the threads among streams,
            each with its own inference. A call of `bind` is then a queue of inferences, and its time divided by their
            number is not a latency.
        streams: their number; empty for OpenVINO's choice.

    Raises BadInput if the file cannot be opened or the options do not fit each other.
    """

    name = "openvino"
    device = "cpu"

    def __init__(
        self, source: Source, threads: int, precision: str = "f32", mode: str = "latency", streams: str = ""
    ) -> None:
        if source.file is None:
            raise BadInput("the openvino engine opens an ONNX file — export the checkpoint first, or name the .onnx")
        if streams and mode == "latency":
            raise BadInput(
                "openvino works on one inference at a time in latency mode — give streams with mode=throughput"
            )
        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": mode.upper(),
        }
        if mode == "latency" or streams:
            settings["NUM_STREAMS"] = int(streams or 1)
        try:
            model = core.read_model(str(source.file))
            self.compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            first = str(error).strip().splitlines()[-1]
            raise BadInput(
                f"OpenVINO cannot open {source.file} ({first[:200]}) — use --engine ort, or export it again"
            ) from error
        self.inputs = tuple(_spec(p) for p in self.compiled.inputs)
        self.outputs = tuple(_spec(p) for p in self.compiled.outputs)
        self.request = self.compiled.create_infer_request()
        options, requests = {"hint": precision}, 1
        if mode == "throughput":
            requests = int(self.compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
            options["streams"] = str(self.compiled.get_property("NUM_STREAMS"))
        has_integers = any(op.get_type_name() == "FakeQuantize" for op in model.get_ops())
        self.info = EngineInfo(
            provider="CPU",
            threads=threads,
            mode=mode,
            precision="bf16" if precision == "bf16" and not has_integers else "",
            in_flight=requests,
            inferences_per_call=requests * ROUNDS if mode == "throughput" else 1,
            options=options,
        )

    def run(self, feeds: Feeds) -> Arrays:
        check_feeds(self.inputs, feeds)
        results = self.request.infer(dict(feeds))
        return {o.name: np.array(results[p]) for o, p in zip(self.outputs, self.compiled.outputs, strict=True)}

    def run_all(self, feeds: Sequence[Feeds]) -> list[Arrays]:
        """The outputs of several inputs, with as many in flight as the mode allows."""
        queue = openvino.AsyncInferQueue(self.compiled, self.info.in_flight)
        results: list[Arrays] = [{} for _ in feeds]

        def done(request: Any, index: int) -> None:
            found = ((o.name, request.get_output_tensor(i).data) for i, o in enumerate(self.outputs))
            results[index] = {name: np.array(array) for name, array in found}

        queue.set_callback(done)
        try:
            for index, each in enumerate(feeds):
                check_feeds(self.inputs, each)
                queue.start_async(dict(each), index)
        finally:  # a callback that ran while the interpreter ends would abort the process
            queue.wait_all()
        return results

    def bind(self, feeds: Feeds) -> Callable[[], None]:
        """The call has its own requests, whose tensors hold the inputs and outputs."""
        if self.info.mode == "latency":
            request = self.compiled.create_infer_request()
            _fill(request, feeds)
            return lambda: request.infer()
        queue = openvino.AsyncInferQueue(self.compiled, self.info.in_flight)
        for each in queue:
            _fill(each, feeds)

        def call() -> None:
            try:
                for _ in range(self.info.inferences_per_call):
                    queue.start_async()
            finally:
                queue.wait_all()

        return call

    def close(self) -> None:
        del self.request, self.compiled


def _fill(request: Any, feeds: Feeds) -> None:
    """Set the inputs of a request, and make its first inference."""
    for name, array in feeds.items():
        request.set_tensor(name, openvino.Tensor(np.ascontiguousarray(array)))
    request.infer()


def _spec(port: Any) -> TensorSpec:
    shape = tuple(d.get_length() if d.is_static else -1 for d in port.get_partial_shape())
    kind = port.get_element_type().get_type_name()
    return TensorSpec(port.get_any_name(), shape, DTYPES.get(kind, kind))
