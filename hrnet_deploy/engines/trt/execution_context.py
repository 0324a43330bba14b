"""One execution context of a plan and its CUDA stream: shapes, memory and launches, captured as CUDA graphs if
that works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pycuda.driver as cuda

from hrnet_deploy.engines.base import Arrays, Feeds, TensorSpec
from hrnet_deploy.engines.cuda_graph import CaptureFailed, Graph
from hrnet_deploy.engines.trt.arena import Arena
from hrnet_deploy.engines.trt.callbacks import Log
from hrnet_deploy.errors import BadInput, Unavailable

if TYPE_CHECKING:
    import tensorrt as trt

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class PlanInterface:
    """The inputs and outputs of a plan.

    Attributes:
        profiles: for each input with an open axis, the smallest shape, the one to tune for, and the largest.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    profiles: dict[str, list[tuple[int, ...]]]

    @property
    def tuned(self) -> Shapes:
        """The shapes that the plan is tuned for, by input."""
        shapes = {s.name: self.profiles[s.name][1] if s.name in self.profiles else s.shape for s in self.inputs}
        return {name: tuple(int(d) for d in shape) for name, shape in shapes.items()}


@dataclass
class Bindings:
    """Memory for inputs and outputs of one shape, and the launch as a CUDA graph once it is captured."""

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
        wanted: whether capturing was requested.
        failure: why the driver refused a capture; empty while none has failed.
    """

    wanted: bool
    failure: str = ""

    @property
    def active(self) -> bool:
        return self.wanted and not self.failure

    @property
    def state(self) -> str:
        """Text for `EngineInfo.options`: "on", "off", or "off" with the reason why a capture failed."""
        if self.active:
            return "on"
        return f"off: {self.failure}" if self.failure else "off"


class ExecutionContext:
    """A context of TensorRT with its own stream.

    While `capture` is active, the first launch on new bindings is captured and the next ones replay it.
    """

    def __init__(
        self, context: trt.IExecutionContext, interface: PlanInterface, log: Log, capture: GraphCapture
    ) -> None:
        self.context: trt.IExecutionContext = context
        self.stream = cuda.Stream()
        self.interface, self._log, self._capture = interface, log, capture
        self._shapes: Shapes | None = None
        self._own: Bindings | None = None

    def begin(self, inputs: Feeds) -> None:
        """Add one inference to the stream, from host arrays to host memory. `results` waits for it."""
        bindings = self.upload(inputs)
        self.launch(bindings)
        bindings.arena.download(self.stream)

    def results(self) -> Arrays:
        """The outputs of the inference that `begin` started."""
        assert self._own is not None
        self.stream.synchronize()
        return self._own.arena.results()

    def upload(self, inputs: Feeds) -> Bindings:
        """The context's own bindings, with the inputs on their way to the GPU. They are made anew if shapes
        change."""
        shapes: Shapes = {s.name: inputs[s.name].shape for s in self.interface.inputs}
        if self._own is None or self._own.shapes != shapes:
            if self._own is not None:
                self._own.close()
            self._own = None
            self._own = self.allocate(shapes)
        self._own.arena.upload(inputs, self.stream)
        return self._own

    def allocate(self, shapes: Shapes) -> Bindings:
        """Memory for inputs of these shapes and their outputs. Raises BadInput if the plan was not built for them."""
        self._use_shapes(shapes)
        outputs = {
            s.name: (tuple(int(d) for d in self.context.get_tensor_shape(s.name)), s.dtype)
            for s in self.interface.outputs
        }
        inputs = {s.name: (shapes[s.name], s.dtype) for s in self.interface.inputs}
        return Bindings(shapes, Arena(inputs, outputs))

    def launch(self, bindings: Bindings) -> None:
        """Add one inference on the memory of the bindings to the stream."""
        if bindings.graph is not None:
            bindings.graph.launch()
            return
        self.use(bindings)
        if not self.enqueue():
            raise Unavailable(
                f"{self._log.flavour.title} could not run the plan{self._log.last} — free memory of the GPU, or "
                "use --engine ort"
            )
        if self._capture.active:
            self.stream.synchronize()  # in the first launch TensorRT does work that cannot be captured
            try:
                bindings.graph = Graph(self.stream.handle, self.enqueue)
            except CaptureFailed as error:
                self._capture.failure = str(error)

    def use(self, bindings: Bindings) -> None:
        """Give the context the shapes and addresses of the bindings. The next `enqueue` computes on them."""
        self._use_shapes(bindings.shapes)
        for name, address in bindings.arena.address.items():
            self.context.set_tensor_address(name, address)

    def enqueue(self) -> bool:
        """Add one inference to the stream; returns False if TensorRT refuses."""
        return bool(self.context.execute_async_v3(self.stream.handle))

    def close(self) -> None:
        if self._own is not None:
            self._own.close()
        self._own = None

    def _use_shapes(self, shapes: Shapes) -> None:
        """Give the context new shapes. Unchanged shapes are not inferred again, because that would count as launch
        time."""
        if self._shapes == shapes:
            return
        self._shapes = None
        for name, shape in shapes.items():
            if name in self.interface.profiles:
                least, _, most = self.interface.profiles[name]
                if not all(a <= d <= b for a, d, b in zip(least, shape, most, strict=True)):
                    raise BadInput(
                        f"the plan takes {name} from {list(least)} to {list(most)}, got {list(shape)} — build it with "
                        "other bounds: hrnet-deploy build --batch MIN:OPT:MAX, --size MIN:OPT:MAX"
                    )
            if not self.context.set_input_shape(name, shape):
                title = self._log.flavour.title
                raise BadInput(f"{title} refuses {list(shape)} for {name}{self._log.last} — build the plan for it")
        if missing := self.context.infer_shapes():
            raise BadInput(
                f"the shapes of {', '.join(missing)} do not follow from the inputs — export with static shapes"
            )
        self._shapes = shapes
