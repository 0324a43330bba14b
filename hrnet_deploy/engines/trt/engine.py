"""TensorRT: a plan, or an ONNX file built into one, run on PyCUDA's stream and memory."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycuda.driver as cuda
import tensorrt as trt

from hrnet_deploy.engines.base import Arrays, Feeds, Source, TensorSpec, check_feeds
from hrnet_deploy.engines.cuda_graph import CaptureFailed, Graph
from hrnet_deploy.engines.driver import probe
from hrnet_deploy.engines.trt.arena import Arena
from hrnet_deploy.engines.trt.build import Log, build, built_facts, started_by
from hrnet_deploy.engines.trt.layers import counts, layers_of, timed
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.graph.metadata import description_of, load_model
from hrnet_deploy.graph.plan import Options, is_plan, options_of, read_manifest, require_fit
from hrnet_deploy.graph.width import width_warning

ROUNDS = 8  # inferences a context gets in one call, where there are several contexts
TIMED = 20  # launches that the time of enqueueing is taken of
BOUND = 0.9  # share of the GPU's time that enqueueing takes, from which on the GPU waits for the host
LAUNCH_BOUND = "launch-bound: enqueueing takes as long as computing — capture a graph, or batch"


class Profiler(trt.IProfiler):  # type: ignore[misc]
    """Milliseconds a layer, added up over the runs it watches."""

    def __init__(self) -> None:
        trt.IProfiler.__init__(self)
        self.times: dict[str, float] = {}

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        self.times[layer_name] = self.times.get(layer_name, 0.0) + ms


@dataclass
class Binding:
    """Inputs and outputs of one shape in a context: their memory and, once captured, the launch as a graph."""

    shapes: dict[str, tuple[int, ...]]
    arena: Arena
    graph: Graph | None = None

    def close(self) -> None:
        if self.graph is not None:
            self.graph.close()
        self.arena.close()


class TrtEngine:
    """`graph` on: the first inference of each shape is captured as a CUDA graph and replayed; where that fails it goes on
    without, and `facts` says so. contexts: that many inferences in flight, each in a stream of its own."""

    name = "trt"
    device = "cuda"

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
            raise BadInput("the trt engine opens an ONNX file or a plan — export the checkpoint first, or name the file")
        self._gpu = probe()
        self._engine: trt.ICudaEngine = None
        self._runtime: trt.Runtime = None
        self._contexts: list[trt.IExecutionContext] = []
        self._streams: list[cuda.Stream] = []
        self._bound: list[Binding | None] = []
        self._kept: list[Binding] = []
        cuda.init()
        self._cuda = cuda.Device(0).retain_primary_context()  # the one PyTorch uses, where both are in a process
        options = Options(level=int(level or Options.level), aux_streams=int(aux_streams) if aux_streams else None, tf32=bool(tf32))
        try:
            with self._current():
                plan, options, built = self._plan(source, options)
                self._open(plan, source, int(contexts))
                self._graphs = graph == "on"
                self.facts: dict[str, Any] = {**built_facts(options), **built, "graph": graph, **self._described()}
                self._time_launches()
        except BaseException:
            self.close()
            raise

    def _plan(self, source: Source, options: Options) -> tuple[bytes, Options, dict[str, Any]]:
        assert source.file is not None
        if not is_plan(source.file):
            made = build(source.file, source.card, options, self._gpu)
            graph = load_model(source.file)
            return made.plan, options, _said(made.seconds, width_warning(graph, description_of(graph, source.file).precision))
        if options != Options():
            raise BadInput("aux_streams, level and tf32 are settled when a plan is built — leave them out, or name the ONNX file")
        manifest = read_manifest(source.file)
        require_fit(source.file, manifest, trt.__version__, self._gpu.identity)
        return source.file.read_bytes(), options_of(manifest.options), _said(manifest.build_seconds, manifest.warning)

    def _open(self, plan: bytes, source: Source, contexts: int) -> None:
        self._log = Log()
        self._runtime = started_by(self._log, trt.Runtime)  # kept: an engine must not outlive it
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise BadInput(f"TensorRT cannot open {source.file}{self._log.last} — build it again with hrnet-deploy build")
        for _ in range(contexts):
            context = self._engine.create_execution_context()
            if context is None:
                needs = self._engine.device_memory_size_v2 / 1e6
                raise Unavailable(
                    f"the GPU's memory does not suffice to run {source.file}, which takes {needs:.0f} MB{self._log.last} — "
                    "free some, or build it for a smaller batch"
                )
            self._contexts.append(context)
        self._streams = [cuda.Stream() for _ in self._contexts]
        self._shapes: list[dict[str, tuple[int, ...]] | None] = [None for _ in self._contexts]
        self._bound = [None for _ in self._contexts]
        specs: dict[bool, list[TensorSpec]] = {True: [], False: []}
        self._profiles: dict[str, list[tuple[int, ...]]] = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            is_input = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            shape = tuple(int(d) for d in self._engine.get_tensor_shape(name))
            specs[is_input].append(TensorSpec(name, shape, np.dtype(trt.nptype(self._engine.get_tensor_dtype(name))).name))
            if is_input and -1 in shape:
                self._profiles[name] = [tuple(int(d) for d in dims) for dims in self._engine.get_tensor_profile_shape(name, 0)]
        self.inputs, self.outputs = tuple(specs[True]), tuple(specs[False])

    def run(self, feeds: Feeds) -> Arrays:
        return self.run_all([feeds])[0]

    def run_all(self, feeds: Sequence[Feeds]) -> list[Arrays]:
        """Several inputs, one in flight in each context."""
        results: list[Arrays] = []
        with self._current():
            for start in range(0, len(feeds), len(self._contexts)):
                part = feeds[start : start + len(self._contexts)]
                for lane, each in enumerate(part):
                    check_feeds(self.inputs, each)
                    binding = self._binding(lane, each)
                    binding.arena.upload(each, self._streams[lane])
                    self._launch(lane, binding)
                    binding.arena.download(self._streams[lane])
                for lane, _ in enumerate(part):
                    self._streams[lane].synchronize()
                    bound = self._bound[lane]
                    assert bound is not None
                    results.append(bound.arena.results())
        return results

    def resident(self, feeds: Feeds) -> Callable[[], None]:
        """Inputs on the GPU, memory of their own: a call launches and waits, nothing is copied."""
        check_feeds(self.inputs, feeds)
        bindings = []
        with self._current():
            for lane, stream in enumerate(self._streams):
                binding = self._bind(lane, {s.name: feeds[s.name].shape for s in self.inputs})
                binding.arena.upload(feeds, stream)
                self._launch(lane, binding)
                stream.synchronize()
                bindings.append(binding)
        self._kept += bindings
        turns = ROUNDS if len(bindings) > 1 else 1

        def call() -> None:
            with self._current():
                for _ in range(turns):
                    for lane, binding in enumerate(bindings):
                        self._launch(lane, binding)
                for stream in self._streams:
                    stream.synchronize()

        return call

    def layer_times(self, feeds: Feeds, runs: int = 20) -> list[dict[str, Any]]:
        """Milliseconds of each layer, the mean of some launches, the slowest first. Watching costs time of its own: these are
        shares, and latency is measured before and without."""
        with self._current():
            context: trt.IExecutionContext = self._contexts[0]
            binding = self._binding(0, feeds)
            binding.arena.upload(feeds, self._streams[0])
            self._place(0, binding)
            self._enqueue(0)
            self._streams[0].synchronize()
            profiler = Profiler()
            context.profiler = profiler
            for _ in range(runs):
                self._enqueue(0)
                self._streams[0].synchronize()
            return timed(layers_of(self._information()), {name: ms / runs for name, ms in profiler.times.items()})

    def close(self) -> None:
        """What TensorRT and PyCUDA made goes before the GPU's context does."""
        with self._current():
            for binding in (*self._kept, *filter(None, self._bound)):
                binding.close()
            self._kept, self._bound = [], []
            self._contexts, self._streams = [], []
            self._engine = self._runtime = None
        self._cuda.detach()

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        self._cuda.push()
        try:
            yield
        finally:
            cuda.Context.pop()

    def _binding(self, lane: int, feeds: Feeds) -> Binding:
        """The context's own binding, made anew where shapes have changed."""
        shapes = {s.name: feeds[s.name].shape for s in self.inputs}
        found = self._bound[lane]
        if found is None or found.shapes != shapes:
            if found is not None:
                found.close()
            found = self._bound[lane] = None
            found = self._bound[lane] = self._bind(lane, shapes)
        return found

    def _bind(self, lane: int, shapes: dict[str, tuple[int, ...]]) -> Binding:
        """Memory for those shapes. Raises BadInput where the plan was not built for them."""
        context: trt.IExecutionContext = self._contexts[lane]
        self._use_shapes(lane, shapes)
        outputs = {s.name: (tuple(int(d) for d in context.get_tensor_shape(s.name)), s.dtype) for s in self.outputs}
        inputs = {s.name: (shapes[s.name], s.dtype) for s in self.inputs}
        return Binding(shapes, Arena(inputs, outputs))

    def _use_shapes(self, lane: int, shapes: dict[str, tuple[int, ...]]) -> None:
        """Shapes into a context, where it has others: inferring them again takes time that is no part of a launch."""
        if self._shapes[lane] == shapes:
            return
        self._shapes[lane] = None
        context: trt.IExecutionContext = self._contexts[lane]
        for name, shape in shapes.items():
            if name in self._profiles:
                least, _, most = self._profiles[name]
                if not all(a <= d <= b for a, d, b in zip(least, shape, most, strict=True)):
                    raise BadInput(
                        f"the plan takes {name} from {list(least)} to {list(most)}, got {list(shape)} — build it with other "
                        "bounds: hrnet-deploy build --batch MIN:OPT:MAX, --size MIN:OPT:MAX"
                    )
            if not context.set_input_shape(name, shape):
                raise BadInput(f"TensorRT refuses {list(shape)} for {name}{self._log.last} — build the plan for it")
        if missing := context.infer_shapes():
            raise BadInput(f"the shapes of {', '.join(missing)} do not follow from the inputs — export with static shapes")
        self._shapes[lane] = shapes

    def _launch(self, lane: int, binding: Binding) -> None:
        """One inference into the context's stream. Shapes and addresses are the binding's."""
        if binding.graph is not None:
            binding.graph.launch()
            return
        self._place(lane, binding)
        if not self._enqueue(lane):
            raise Unavailable(f"TensorRT could not run the plan{self._log.last} — free memory of the GPU, or use --engine ort")
        if self._graphs:
            stream = self._streams[lane]
            stream.synchronize()  # what was enqueued has settled what TensorRT settles late: now it can be captured
            try:
                binding.graph = Graph(stream.handle, lambda: self._enqueue(lane))
            except CaptureFailed as error:
                self._graphs = False
                self.facts["graph"] = f"off: {error}"

    def _place(self, lane: int, binding: Binding) -> None:
        """A binding's shapes and addresses into its context: what is enqueued next computes on them."""
        context: trt.IExecutionContext = self._contexts[lane]
        self._use_shapes(lane, binding.shapes)
        for name, address in binding.arena.address.items():
            context.set_tensor_address(name, address)

    def _enqueue(self, lane: int) -> bool:
        context: trt.IExecutionContext = self._contexts[lane]
        return bool(context.execute_async_v3(self._streams[lane].handle))

    def _time_launches(self) -> None:
        """How long the host takes to enqueue the shapes the plan is tuned for, and the GPU to compute them."""
        tuned = {s.name: self._profiles[s.name][1] if s.name in self._profiles else s.shape for s in self.inputs}
        zeros: Feeds = {s.name: np.zeros([int(d) for d in tuned[s.name]], s.dtype) for s in self.inputs}
        binding, stream = self._binding(0, zeros), self._streams[0]
        binding.arena.upload(zeros, stream)
        self._launch(0, binding)
        stream.synchronize()
        enqueue, compute = [], []
        for _ in range(TIMED):
            before, after = cuda.Event(), cuda.Event()
            before.record(stream)
            begin = time.perf_counter()
            self._enqueue(0)
            enqueue.append(1e3 * (time.perf_counter() - begin))
            after.record(stream)
            after.synchronize()
            compute.append(before.time_till(after))
        self.facts |= {"enqueue_ms": statistics.median(enqueue), "enqueued_compute_ms": statistics.median(compute)}
        if binding.graph is None and self.facts["enqueue_ms"] >= BOUND * self.facts["enqueued_compute_ms"]:
            self.facts["note"] = ", ".join(filter(None, (self.facts.get("note", ""), LAUNCH_BOUND)))

    def _information(self) -> str:
        inspector = self._engine.create_engine_inspector()
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def _described(self) -> dict[str, Any]:
        """What a result says of the engine: library, GPU, what became of the layers, bytes each under its name."""
        contexts = len(self._contexts)
        activations = int(self._engine.device_memory_size_v2) * contexts
        facts: dict[str, Any] = {
            "provider": f"TensorRT {trt.__version__}",
            "gpu": self._gpu.name,
            "contexts": contexts,
            "layer_counts": counts(layers_of(self._information())),
            "memory": {"activations": activations, **self._weights(), **_process_memory()},
        }
        return {**facts, "inferences_a_call": contexts * ROUNDS} if contexts > 1 else facts

    def _weights(self) -> dict[str, int]:
        """Bytes of weights, where this TensorRT tells (10.14 on)."""
        if not hasattr(trt, "EngineStat"):
            return {}
        return {"weights": int(self._engine.get_engine_stat(trt.EngineStat.TOTAL_WEIGHTS_SIZE))}


def _said(seconds: float, warning: str) -> dict[str, Any]:
    """What is known of a plan before it is opened."""
    return {"build_s": round(seconds, 2), **({"note": warning} if warning else {})}


def _process_memory() -> dict[str, int]:
    """Bytes of the GPU this process holds, which NVML alone sees, where it is there and tells."""
    try:
        import os

        import pynvml

        pynvml.nvmlInit()  # it counts all GPUs of the machine, of which this process may see some
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        running = [p for h in handles for p in pynvml.nvmlDeviceGetComputeRunningProcesses(h) if p.pid == os.getpid()]
        return {"process": int(running[0].usedGpuMemory)} if running and running[0].usedGpuMemory is not None else {}
    except Exception:  # NVML is told apart by no common error type where it is missing or forbidden
        return {}
