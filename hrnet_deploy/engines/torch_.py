"""PyTorch: the network itself, which every other engine is compared with, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from hrnet_deploy import checkpoints
from hrnet_deploy.architecture import IMAGE_SIZE, INPUT, require_same
from hrnet_deploy.engines.base import Arrays, Feeds, Source, TensorSpec, check_feeds
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.networks import build_network, random_weights, torchvision_operators
from hrnet_deploy.results.base import EngineInfo

LOWER = {"fp16": torch.float16, "bf16": torch.bfloat16}
GRAPH_MODE = ", CUDA graph"
WARM_UP = 3  # runs before a capture, in which libraries choose their kernels


class TorchEngine:
    """The network in PyTorch, eager unless `compile` is set. See `engines.base.Engine`.

    Args:
        source: names a checkpoint, or requests random weights.
        threads: PyTorch's own setting, which applies to the whole process.
        channels_last: the memory format of the network and its inputs.
        compile: use torch.compile.
        cuda: run on the GPU. The options below need it.
        precision: fp32 (without TF32, which PyTorch itself leaves on for convolutions), tf32, fp16 or bf16.
        graph: capture the forward pass as a CUDA graph and replay it.
        streams: run HRNet's branches on parallel streams (see `parallel_branches`).
        fused: compute a convolution, its batch norm, a sum and a ReLU by one kernel (see `fused_convolutions`).

    Attributes:
        remark: what a reader must know to interpret its times; may be empty.
    """

    name = "torch"

    def __init__(
        self,
        source: Source,
        threads: int,
        channels_last: bool = False,
        compile: bool = False,
        cuda: bool = False,
        precision: str = "fp32",
        graph: bool = False,
        streams: bool = False,
        fused: bool = False,
    ) -> None:
        if not cuda and (precision != "fp32" or graph or streams or fused):
            raise BadInput("torch takes precision, graph, streams and fused only on a GPU — write torch:cuda,…")
        self.device = "cuda" if cuda else "cpu"
        self._precision, self._graph = precision, graph
        self.network = network_of(source)
        self._branches = self._parallel_branches() if streams else 1
        if fused:
            self._fuse(source)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = self.network.to(memory_format=self.format)  # type: ignore[call-overload]
        torch.set_num_threads(threads)
        self.info = EngineInfo(
            provider="CUDA" if cuda else "CPU",
            threads=threads,
            mode=f"{'compiled' if compile else 'eager'}{', fused' if fused else ''}{GRAPH_MODE if graph else ''}",
            options={"memory_format": "channels_last" if channels_last else "contiguous", "weights": source.weights},
        )
        # Boxes are computed in float32. A detector is lowered operator by operator, other networks as a whole.
        self._lowered_whole = source.card.architecture.inputs == (INPUT,)
        if cuda:
            self._to_gpu()
        self.remark = torchvision_operators.remark(self.device) if _has_own_operators(self.network) else ""
        self.call: Callable[..., Any] = torch.compile(self.network) if compile else self.network
        self._compiled = compile
        self._captured: dict[tuple[torch.Size, ...], Captured] = {}
        self._settled: set[tuple[torch.Size, ...]] = set()
        channels = source.card.architecture.image_channels
        shapes = {INPUT: ("batch", channels, "height", "width"), IMAGE_SIZE: ("batch", 2)}
        self.inputs = tuple(TensorSpec(i, shapes[i], "float32") for i in source.card.architecture.inputs)
        self.outputs = tuple(TensorSpec(o, ("batch", "", "", ""), "float32") for o in source.card.architecture.outputs)

    def _fuse(self, source: Source) -> None:
        from hrnet_deploy.engines.fused_convolutions import fuse

        if source.card.architecture.inputs != (INPUT,):
            raise Unavailable("fused is for networks of one input, and a detector takes two — leave fused out")
        fuse(self.network)

    def _parallel_branches(self) -> int:
        from hrnet_deploy.engines.parallel_branches import most_branches

        most = most_branches(self.network)
        if most == 1:
            raise Unavailable("this network has no parallel branches to put on streams — leave streams out")
        return most

    def _to_gpu(self) -> None:
        from hrnet_deploy.engines.parallel_branches import CudaStreams, parallelise

        torch.cuda.reset_peak_memory_stats()
        libraries: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
        for library in libraries:
            library.allow_tf32 = self._precision == "tf32"
        torch.backends.cudnn.benchmark = True
        self.network = self.network.to(self.device)
        if self._lowered_whole and self._precision in LOWER:
            self.network = self.network.to(LOWER[self._precision])
        if self._branches > 1:
            parallelise(self.network, CudaStreams(self._branches))
            self.info = dataclasses.replace(self.info, options={**self.info.options, "streams": str(self._branches)})
        self.info = dataclasses.replace(self.info, gpu=torch.cuda.get_device_name(), precision=self._precision)

    def run(self, feeds: Feeds) -> Arrays:
        check_feeds(self.inputs, feeds)
        results = self._forward(self._tensors(feeds))
        if self.device == "cuda":
            peak = {"torch_peak_allocated": torch.cuda.max_memory_allocated()}
            self.info = dataclasses.replace(self.info, memory=peak)
        return {
            o.name: (t.float() if t.is_floating_point() else t).cpu().numpy()
            for o, t in zip(self.outputs, results, strict=True)
        }

    def bind(self, feeds: Feeds) -> Callable[[], None]:
        tensors = self._tensors(feeds)
        self._forward(tensors)
        captured = self._capture(tensors) if self._graph else None

        def call() -> None:
            if captured is not None:
                captured.replay()
            else:
                with self._computing():
                    self.call(*tensors)
            if self.device == "cuda":
                torch.cuda.synchronize()

        return call

    def _tensors(self, feeds: Feeds) -> list[torch.Tensor]:
        tensors = [torch.from_numpy(np.ascontiguousarray(feeds[i.name])).to(self.device) for i in self.inputs]
        tensors = [t.contiguous(memory_format=self.format) if t.ndim == 4 else t for t in tensors]
        lower = LOWER.get(self._precision) if self._lowered_whole else None
        return [t.to(lower) for t in tensors] if lower else tensors

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        lower = None if self._lowered_whole else LOWER.get(self._precision)
        with torch.inference_mode(), torch.autocast(self.device, lower or torch.bfloat16, enabled=lower is not None):
            yield

    def _settle(self, tensors: list[torch.Tensor]) -> None:
        """The first run of each shape on a GPU. In it, libraries try kernels with extra memory, which is not
        counted in the peak."""
        shapes = tuple(t.shape for t in tensors)
        if self.device == "cpu" or shapes in self._settled:
            return
        self.call(*tensors)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        self._settled.add(shapes)

    def _forward(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        if self._graph:
            key = tuple(t.shape for t in tensors)
            captured = self._captured.get(key) or self._capture([t.clone() for t in tensors])
            if captured is not None:
                self._captured[key] = captured
                return captured.replayed(tensors)
        with self._computing():
            try:
                self._settle(tensors)
                return _listed(self.call(*tensors))
            except Exception as error:
                if self._compiled:  # a missing compiler is noticed at the first call, with one of many types of error
                    first = str(error).strip().splitlines()[0]
                    raise Unavailable(
                        f"torch.compile does not work here ({first[:160]}) — a C++ compiler is needed; "
                        "or leave :compile out"
                    ) from error
                raise

    def _capture(self, tensors: list[torch.Tensor]) -> Captured | None:
        """The forward pass on these tensors as a CUDA graph.

        None if it needs the host in between, as a detector's proposals do. It is then not tried again.
        """
        try:
            return self._recorded(tensors)
        except RuntimeError as error:
            self._graph = False
            note = f"no CUDA graph: {str(error).strip().splitlines()[0][:120]}"
            self.info = dataclasses.replace(self.info, note=note, mode=self.info.mode.removesuffix(GRAPH_MODE))
            return None

    def _recorded(self, tensors: list[torch.Tensor]) -> Captured:
        with self._computing():
            aside: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                self._settle(tensors)
                for _ in range(WARM_UP):
                    self.call(*tensors)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                outputs = _listed(self.call(*tensors))
        return Captured(graph, tensors, outputs)

    def close(self) -> None:
        self._captured.clear()
        del self.call, self.network


class Captured:
    """A CUDA graph with the tensors it reads and writes."""

    def __init__(self, graph: Any, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        self._graph, self._inputs, self._outputs = graph, inputs, outputs

    def replayed(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        with torch.inference_mode():
            for mine, given in zip(self._inputs, tensors, strict=True):
                mine.copy_(given)
            self.replay()
            return [t.clone() for t in self._outputs]

    def replay(self) -> None:
        with torch.inference_mode():  # it was captured in inference mode, and so are the tensors that it fills
            self._graph.replay()


def _listed(result: Any) -> list[torch.Tensor]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def _has_own_operators(network: torch.nn.Module) -> bool:
    """Whether the network uses NMS and RoIAlign, which PyTorch itself does not have."""
    from hrnet_deploy.networks.detection import RoIHead

    return any(isinstance(module, RoIHead) for module in network.modules())


def network_of(source: Source) -> torch.nn.Module:
    """The network of a checkpoint, which must fit the card, or the network of the card with random weights. Raises
    BadInput."""
    if source.checkpoint is not None:
        found = checkpoints.load(source.checkpoint, source.weights_key).with_known(source.card.architecture)
        cure = "give the checkpoint it was made from"
        require_same(source.checkpoint, found.architecture, "the model", source.card.architecture, cure)
        return found.network()
    if source.weights != "random":
        raise BadInput(
            "the torch engine needs the checkpoint — name it with --against or --checkpoint, or pass --weights random"
        )
    network = build_network(source.card.architecture)
    random_weights(network)
    return network
