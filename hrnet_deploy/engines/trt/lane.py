"""A lane: one execution context of a plan and its stream. Shapes, memory and launches, captured as CUDA graphs where that works."""

from __future__ import annotations

from dataclasses import dataclass

import pycuda.driver as cuda
import tensorrt as trt

from hrnet_deploy.engines.base import Arrays, Feeds, TensorSpec
from hrnet_deploy.engines.cuda_graph import CaptureFailed, Graph
from hrnet_deploy.engines.trt.arena import Arena
from hrnet_deploy.engines.trt.build import Log
from hrnet_deploy.errors import BadInput, Unavailable

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Ports:
    """What goes into a plan and comes out, and least, tuned for and most of every input with an open axis."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    profiles: dict[str, list[tuple[int, ...]]]

    @property
    def tuned(self) -> Shapes:
        """The shapes the plan is tuned for."""
        shapes = {s.name: self.profiles[s.name][1] if s.name in self.profiles else s.shape for s in self.inputs}
        return {name: tuple(int(d) for d in shape) for name, shape in shapes.items()}


@dataclass
class Binding:
    """Inputs and outputs of one shape in a lane: their memory and, once captured, the launch as a graph."""

    shapes: Shapes
    arena: Arena
    graph: Graph | None = None

    def close(self) -> None:
        if self.graph is not None:
            self.graph.close()
        self.arena.close()


@dataclass
class GraphCapture:
    """Whether launches are captured as CUDA graphs. All contexts of an engine share one: a capture that fails in one of
    them ends capturing in all.

    Attributes:
        wanted: whether the engine was asked to capture.
        failure: why the driver refused a capture; empty while none has failed.
    """

    wanted: bool
    failure: str = ""

    @property
    def active(self) -> bool:
        return self.wanted and not self.failure

    @property
    def state(self) -> str:
        """ "on" or "off", with the reason where a capture failed."""
        return "on" if self.active else f"off: {self.failure}" if self.failure else "off"


class Lane:
    """While `capture` is active, the first launch of a binding is captured and the next ones replay it."""

    def __init__(self, context: trt.IExecutionContext, ports: Ports, log: Log, capture: GraphCapture) -> None:
        self.context: trt.IExecutionContext = context
        self.stream = cuda.Stream()
        self.ports, self._log, self._capture = ports, log, capture
        self._shapes: Shapes | None = None
        self._bound: Binding | None = None

    def begin(self, feeds: Feeds) -> None:
        """One inference into the stream, from host arrays to host memory. `results` waits for it."""
        binding = self.bound(feeds)
        self.launch(binding)
        binding.arena.download(self.stream)

    def results(self) -> Arrays:
        assert self._bound is not None
        self.stream.synchronize()
        return self._bound.arena.results()

    def bound(self, feeds: Feeds) -> Binding:
        """The lane's own binding with those inputs on their way, made anew where shapes have changed."""
        shapes: Shapes = {s.name: feeds[s.name].shape for s in self.ports.inputs}
        if self._bound is None or self._bound.shapes != shapes:
            if self._bound is not None:
                self._bound.close()
            self._bound = None
            self._bound = self.bind(shapes)
        self._bound.arena.upload(feeds, self.stream)
        return self._bound

    def bind(self, shapes: Shapes) -> Binding:
        """Memory for those shapes. Raises BadInput where the plan was not built for them."""
        self._use(shapes)
        outputs = {
            s.name: (tuple(int(d) for d in self.context.get_tensor_shape(s.name)), s.dtype) for s in self.ports.outputs
        }
        inputs = {s.name: (shapes[s.name], s.dtype) for s in self.ports.inputs}
        return Binding(shapes, Arena(inputs, outputs))

    def launch(self, binding: Binding) -> None:
        """One inference on a binding's memory, into the stream."""
        if binding.graph is not None:
            binding.graph.launch()
            return
        self.place(binding)
        if not self.enqueue():
            raise Unavailable(
                f"TensorRT could not run the plan{self._log.last} — free memory of the GPU, or use --engine ort"
            )
        if self._capture.active:
            self.stream.synchronize()  # what was enqueued has settled what TensorRT settles late: now it can be captured
            try:
                binding.graph = Graph(self.stream.handle, self.enqueue)
            except CaptureFailed as error:
                self._capture.failure = str(error)

    def place(self, binding: Binding) -> None:
        """A binding's shapes and addresses into the context: what is enqueued next computes on them."""
        self._use(binding.shapes)
        for name, address in binding.arena.address.items():
            self.context.set_tensor_address(name, address)

    def enqueue(self) -> bool:
        return bool(self.context.execute_async_v3(self.stream.handle))

    def close(self) -> None:
        if self._bound is not None:
            self._bound.close()
        self._bound = None

    def _use(self, shapes: Shapes) -> None:
        """Shapes into the context, where it has others: inferring them again takes time that is no part of a launch."""
        if self._shapes == shapes:
            return
        self._shapes = None
        for name, shape in shapes.items():
            if name in self.ports.profiles:
                least, _, most = self.ports.profiles[name]
                if not all(a <= d <= b for a, d, b in zip(least, shape, most, strict=True)):
                    raise BadInput(
                        f"the plan takes {name} from {list(least)} to {list(most)}, got {list(shape)} — build it with other "
                        "bounds: hrnet-deploy build --batch MIN:OPT:MAX, --size MIN:OPT:MAX"
                    )
            if not self.context.set_input_shape(name, shape):
                raise BadInput(f"TensorRT refuses {list(shape)} for {name}{self._log.last} — build the plan for it")
        if missing := self.context.infer_shapes():
            raise BadInput(
                f"the shapes of {', '.join(missing)} do not follow from the inputs — export with static shapes"
            )
        self._shapes = shapes
