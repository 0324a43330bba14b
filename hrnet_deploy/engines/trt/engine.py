"""TensorRT: a plan, or an ONNX file built into one, run on PyCUDA's stream and memory.

`rtx_engine` has the same engine for TensorRT for RTX.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pycuda.driver as cuda

from hrnet_deploy.engines.base import Arrays, Feeds, Source, TensorSpec, check_feeds
from hrnet_deploy.engines.driver import open_library, probe
from hrnet_deploy.engines.trt.build import build_plan, reported_options, started_by
from hrnet_deploy.engines.trt.callbacks import Log, Profiler
from hrnet_deploy.engines.trt.execution_context import Bindings, ExecutionContext, GraphCapture, PlanInterface
from hrnet_deploy.engines.trt.flavour import TENSORRT, Flavour
from hrnet_deploy.engines.trt.layers import counts, layers_of, timed
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.graph.metadata import description_of, load_model
from hrnet_deploy.graph.plan import BuildOptions, is_plan, options_of, read_manifest, require_fit
from hrnet_deploy.graph.width import width_warning
from hrnet_deploy.results.base import EngineInfo
from hrnet_deploy.results.bench import LayerTime

if TYPE_CHECKING:
    import tensorrt as trt

ROUNDS = 8  # inferences that each context makes in one call, if there are several contexts
TIMED = 20  # launches over which the median time of enqueueing is taken
BOUND = 0.9  # if enqueueing takes this share of the GPU's time or more, the GPU waits for the host
LAUNCH_BOUND = "launch-bound: enqueueing takes as long as computing — capture a graph, or batch"


class TrtEngine:
    """A plan, opened. See `engines.base.Engine`.

    Args:
        source: names an ONNX file, from which a plan is built first, or a plan.
        threads: recorded only; TensorRT computes on the GPU.
        graph: "on" to capture the first inference of each shape as a CUDA graph and replay it, or "off". If a capture
            fails, the engine continues without graphs and `info` says so.
        contexts: number of inferences in flight, each in its own stream.
        aux_streams: number of further streams that one inference may use; empty for TensorRT's choice.
        level: optimization level of the builder, 0 to 5.
        tf32: whether float32 may be computed in TF32.

    Raises BadInput if the file cannot be opened, and Unavailable if the GPU cannot run it.
    """

    name = "trt"
    device = "cuda"
    flavour: Flavour = TENSORRT

    def __init__(
        self,
        source: Source,
        threads: int,
        graph: str = "on",
        contexts: str = "1",
        aux_streams: str = "",
        level: str = "",
        tf32: bool = False,
    ) -> None:
        if source.file is None:
            raise BadInput(
                f"the {self.name} engine opens an ONNX file or a plan — export the checkpoint first, or name the file"
            )
        self._gpu = probe()
        self._engine: trt.ICudaEngine = None
        self._runtime: trt.Runtime = None
        self._contexts: list[ExecutionContext] = []
        self._kept: list[Bindings] = []
        cuda.init()
        self._cuda = cuda.Device(0).retain_primary_context()  # PyTorch uses the same one in this process
        options = BuildOptions(
            level=int(level or BuildOptions.level),
            aux_streams=int(aux_streams) if aux_streams else None,
            tf32=bool(tf32),
        )
        try:
            with self._current():
                self._capture = GraphCapture(wanted=graph == "on")
                plan, options, seconds, warning = self._plan(source, options)
                self._open(plan, source, int(contexts))
                self._info = self._described(threads, options, seconds, warning)
                self._time_launches()
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> EngineInfo:
        """The facts of opening, and whether launches are still captured as graphs."""
        return dataclasses.replace(self._info, options={**self._info.options, "graph": self._capture.state})

    def _plan(self, source: Source, options: BuildOptions) -> tuple[bytes, BuildOptions, float, str]:
        """The plan's bytes, the options it was built with, the seconds that took, and a warning about the graph."""
        assert source.file is not None
        if not is_plan(source.file):
            graph = load_model(source.file)
            description = description_of(graph, source.file)
            made = build_plan(self.flavour, source.file, description, options, self._gpu)
            warning = width_warning(graph, description.precision)
            return made.plan, options, made.seconds, warning
        if options != BuildOptions():
            raise BadInput(
                "aux_streams, level and tf32 are fixed when a plan is built — leave them out, or name the ONNX file"
            )
        manifest = read_manifest(source.file)
        require_fit(source.file, manifest, self.name, self.flavour.version, self._gpu.identity)
        return source.file.read_bytes(), options_of(manifest.options), manifest.build_seconds, manifest.warning

    def _open(self, plan: bytes, source: Source, contexts: int) -> None:
        trt = self.flavour.api
        self._log = Log(self.flavour)
        self._runtime = started_by(self._log, trt.Runtime)  # kept: an engine must not outlive it
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise BadInput(
                f"{self.flavour.title} cannot open {source.file}{self._log.last} — build it again with "
                "hrnet-deploy build"
            )
        interface = self._interface()
        self.inputs, self.outputs = interface.inputs, interface.outputs
        self._began = time.perf_counter()
        for _ in range(contexts):
            context = self._new_context()
            if context is None:
                needs = self._engine.device_memory_size_v2 / 1e6
                raise Unavailable(
                    f"the GPU does not have enough memory to run {source.file}, which takes {needs:.0f} "
                    f"MB{self._log.last} — "
                    "free some, or build it for a smaller batch"
                )
            self._contexts.append(ExecutionContext(context, interface, self._log, self._capture))

    def _new_context(self) -> trt.IExecutionContext:
        return self._engine.create_execution_context()

    def _interface(self) -> PlanInterface:
        trt = self.flavour.api
        specs: dict[bool, list[TensorSpec]] = {True: [], False: []}
        profiles: dict[str, list[tuple[int, ...]]] = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            is_input = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            shape = tuple(int(d) for d in self._engine.get_tensor_shape(name))
            specs[is_input].append(
                TensorSpec(name, shape, np.dtype(trt.nptype(self._engine.get_tensor_dtype(name))).name)
            )
            if is_input and -1 in shape:
                profiles[name] = [
                    tuple(int(d) for d in dims) for dims in self._engine.get_tensor_profile_shape(name, 0)
                ]
        return PlanInterface(tuple(specs[True]), tuple(specs[False]), profiles)

    def run(self, feeds: Feeds) -> Arrays:
        return self.run_all([feeds])[0]

    def run_all(self, feeds: Sequence[Feeds]) -> list[Arrays]:
        """The outputs of several inputs. Each context has one of them in flight."""
        results: list[Arrays] = []
        with self._current():
            for start in range(0, len(feeds), len(self._contexts)):
                part = feeds[start : start + len(self._contexts)]
                for context, each in zip(self._contexts, part, strict=False):
                    check_feeds(self.inputs, each)
                    context.begin(each)
                results += [context.results() for context in self._contexts[: len(part)]]
        return results

    def bind(self, feeds: Feeds) -> Callable[[], None]:
        """The inputs are copied to the GPU, into their own memory. A call launches and waits; it copies nothing."""
        check_feeds(self.inputs, feeds)
        bound = []
        with self._current():
            for context in self._contexts:
                bound.append(context.allocate({s.name: feeds[s.name].shape for s in self.inputs}))
                self._kept.append(bound[-1])
                bound[-1].arena.upload(feeds, context.stream)
                context.launch(bound[-1])
                context.stream.synchronize()
        turns = ROUNDS if len(bound) > 1 else 1

        def call() -> None:
            with self._current():
                for _ in range(turns):
                    for context, bindings in zip(self._contexts, bound, strict=True):
                        context.launch(bindings)
                for context in self._contexts:
                    context.stream.synchronize()

        return call

    def layer_times(self, feeds: Feeds, runs: int = 20) -> list[LayerTime]:
        """Milliseconds of each layer, as the mean of `runs` launches, the slowest layer first.

        Profiling takes time itself. Use these times only as shares; the latency is measured without profiling.
        """
        first = self._contexts[0]
        with self._current():
            first.use(first.upload(feeds))
            first.enqueue()
            first.stream.synchronize()
            profiler = Profiler(self.flavour)
            context: trt.IExecutionContext = first.context
            context.profiler = profiler.native
            for _ in range(runs):
                first.enqueue()
                first.stream.synchronize()
            return timed(layers_of(self._information()), {name: ms / runs for name, ms in profiler.times.items()})

    def close(self) -> None:
        """Free the objects of TensorRT and PyCUDA, and then release the GPU's context."""
        with self._current():
            while self._kept:
                self._kept.pop().close()
            while self._contexts:
                self._contexts.pop().close()
            self._engine = self._runtime = None
        self._cuda.detach()
        open_library().cuCtxPopCurrent_v2(
            ctypes.byref(ctypes.c_void_p())
        )  # PyCUDA makes it current to release it, and leaves it current

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        self._cuda.push()
        try:
            yield
        finally:
            cuda.Context.pop()

    def _time_launches(self) -> None:
        """Measure how long the host takes to enqueue the shapes the plan is tuned for, and the GPU to compute them.

        The first inference is timed apart, with the contexts it needs: it includes what is compiled only then.
        """
        context = self._contexts[0]
        tuned = context.interface.tuned
        bindings = context.upload({s.name: np.zeros(tuned[s.name], s.dtype) for s in self.inputs})
        context.launch(bindings)
        stream = context.stream
        stream.synchronize()
        first = 1e3 * (time.perf_counter() - self._began)
        enqueue, compute = [], []
        for _ in range(TIMED):
            before, after = cuda.Event(), cuda.Event()
            before.record(stream)
            begin = time.perf_counter()
            context.enqueue()
            enqueue.append(1e3 * (time.perf_counter() - begin))
            after.record(stream)
            after.synchronize()
            compute.append(before.time_till(after))
        host, device = statistics.median(enqueue), statistics.median(compute)
        timings = {**self._info.timings, "first_inference_ms": first}
        timings |= {"enqueue_ms": host, "enqueued_compute_ms": device}
        notes = [self._info.note, LAUNCH_BOUND if bindings.graph is None and host >= BOUND * device else ""]
        self._info = dataclasses.replace(self._info, timings=timings, note=", ".join(filter(None, notes)))

    def _information(self) -> str:
        trt = self.flavour.api
        inspector = self._engine.create_engine_inspector()
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def _described(self, threads: int, options: BuildOptions, build_seconds: float, warning: str) -> EngineInfo:
        contexts = len(self._contexts)
        activations = int(self._engine.device_memory_size_v2) * contexts
        return EngineInfo(
            provider=f"{self.flavour.title} {self.flavour.version}",
            threads=threads,
            in_flight=contexts,
            inferences_per_call=contexts * ROUNDS if contexts > 1 else 1,
            options=reported_options(options),
            note=warning,
            gpu=self._gpu.name,
            memory={"activations": activations, **self._weights(), **_process_memory()},
            layer_counts=counts(layers_of(self._information())),
            timings={"build_ms": round(1e3 * build_seconds, 1)},
        )

    def _weights(self) -> dict[str, int]:
        """Bytes of weights, if this TensorRT reports them (from 10.14)."""
        trt = self.flavour.api
        if not hasattr(trt, "EngineStat"):
            return {}
        return {"weights": int(self._engine.get_engine_stat(trt.EngineStat.TOTAL_WEIGHTS_SIZE))}


def _process_memory() -> dict[str, int]:
    """Bytes of the GPU's memory that this process holds, according to NVML; empty without NVML."""
    try:
        import os

        import pynvml

        pynvml.nvmlInit()  # it counts all GPUs of the machine, and this process may see only some of them
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        running = [p for h in handles for p in pynvml.nvmlDeviceGetComputeRunningProcesses(h) if p.pid == os.getpid()]
        return {"process": int(running[0].usedGpuMemory)} if running and running[0].usedGpuMemory is not None else {}
    except Exception:  # NVML has no common type of error for being missing or forbidden
        return {}
