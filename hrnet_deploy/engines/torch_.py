"""PyTorch on the CPU: the network itself, which every other engine is held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from hrnet_deploy import checkpoints
from hrnet_deploy.architecture import IMAGE_SIZE, INPUT, require_same
from hrnet_deploy.engines.base import Arrays, Feeds, Source, TensorSpec, check_feeds
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.networks import build, random_weights


class TorchEngine:
    """Eager by default. The number of threads is PyTorch's own setting, so it holds for the whole process."""

    name = "torch"
    device = "cpu"

    def __init__(self, source: Source, threads: int, channels_last: bool = False, compile: bool = False) -> None:
        self.network = network_of(source)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = self.network.to(memory_format=self.format)  # type: ignore[call-overload]
        self.call: Callable[..., Any] = torch.compile(self.network) if compile else self.network
        self.compiled = compile
        torch.set_num_threads(threads)
        shapes = {INPUT: ("batch", 3, "height", "width"), IMAGE_SIZE: ("batch", 2)}
        self.inputs = tuple(TensorSpec(i, shapes[i], "float32") for i in source.card.architecture.inputs)
        self.outputs = tuple(TensorSpec(o, ("batch", "", "", ""), "float32") for o in source.card.architecture.outputs)
        self.facts: dict[str, Any] = {
            "threads": threads,
            "memory_format": "channels_last" if channels_last else "contiguous",
            "mode": "compiled" if compile else "eager",
            "weights": source.weights,
        }

    def run(self, feeds: Feeds) -> Arrays:
        check_feeds(self.inputs, feeds)
        results = self._forward(self._tensors(feeds))
        return {o.name: t.numpy() for o, t in zip(self.outputs, results, strict=True)}

    def resident(self, feeds: Feeds) -> Callable[[], None]:
        tensors = self._tensors(feeds)
        self._forward(tensors)

        def call() -> None:
            with torch.inference_mode():
                self.call(*tensors)

        return call

    def _tensors(self, feeds: Feeds) -> list[torch.Tensor]:
        tensors = [torch.from_numpy(np.ascontiguousarray(feeds[i.name])) for i in self.inputs]
        return [t.contiguous(memory_format=self.format) if t.ndim == 4 else t for t in tensors]

    def _forward(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        with torch.inference_mode():
            try:
                result = self.call(*tensors)
            except Exception as error:
                if self.compiled:  # a missing compiler shows itself at the first call, in one of many types
                    first = str(error).strip().splitlines()[0]
                    raise Unavailable(
                        f"torch.compile does not work here ({first[:160]}) — a C++ compiler is needed; or leave :compile out"
                    ) from error
                raise
        return list(result) if isinstance(result, (list, tuple)) else [result]

    def close(self) -> None:
        del self.call, self.network


def network_of(source: Source) -> torch.nn.Module:
    """The network of a checkpoint, checked against the card, or of the card with random weights."""
    if source.checkpoint is not None:
        found = checkpoints.load(source.checkpoint).like(source.card.architecture)
        cure = "give the checkpoint it was made from"
        require_same(source.checkpoint, found.architecture, "the model", source.card.architecture, cure)
        return found.network()
    if source.weights != "random":
        raise BadInput("the torch engine needs the checkpoint — name it with --against or --checkpoint, or pass --weights random")
    network = build(source.card.architecture)
    random_weights(network)
    return network
