"""Where an ONNX graph and its PyTorch network part ways: the first tensor that differs.

Tensors of a graph exported here are called after the module whose output they are (graph.names), so each can be
held against what that module gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hrnet_deploy.graph.calibrate import with_outputs
from hrnet_deploy.graph.metadata import load_model
from hrnet_deploy.graph.names import SEPARATOR

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Difference:
    """tensor: the module's name; node: the ONNX node that gives it; relative: of the tensor's own maximum."""

    tensor: str
    node: str
    relative: float


class Tracer:
    """A graph with its inner tensors laid open beside the network it came from; both opened once."""

    def __init__(self, path: Path, network: nn.Module) -> None:
        self.network = network
        modules = {n for n, _ in network.named_modules() if n}
        model = load_model(path)
        # (tensor, the module call it is the output of, node); the graph's own output is called after the card, but
        # the layer that gives it still carries the module's name
        self.tensors: list[tuple[str, str, str]] = []
        for node in model.graph.node:
            for output in node.output:
                call = next((n for n in (output, node.name) if n.partition(SEPARATOR)[0] in modules), None)
                if call is not None:
                    self.tensors.append((output, call, node.name))
        self._session = _opened(model, [t for t, _, _ in self.tensors])

    def first_difference(self, feed: Mapping[str, NDArray], tolerance: float) -> Difference | None:
        """The first tensor, in the order of computation, past `tolerance` of its own maximum. None where every
        named tensor agrees, or where the graph carries no names (the torchscript exporter)."""
        if not self.tensors:
            return None
        names = [t for t, _, _ in self.tensors]
        got = dict(zip(names, self._session.run(names, dict(feed)), strict=True))
        wanted = _module_outputs(self.network, {c.partition(SEPARATOR)[0] for _, c, _ in self.tensors}, feed)
        for tensor, call, node in self.tensors:
            reference = wanted.get(call)
            if reference is None or reference.shape != got[tensor].shape:
                continue
            relative = float(np.abs(reference - got[tensor]).max() / max(np.abs(reference).max(), 1e-12))
            if not relative <= tolerance:
                return Difference(tensor, node, relative)
        return None


def _opened(model: onnx.ModelProto, names: list[str]) -> Any:
    """A session that gives those tensors as well."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        with_outputs(model, names).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _module_outputs(network: nn.Module, names: set[str], feed: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Each named module's output at each call: name, name#1, name#2, ..."""
    import torch

    calls: Counter[str] = Counter()
    outputs: dict[str, NDArray] = {}

    def hook(name: str) -> Any:
        def record(_module: Any, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                key = f"{name}{SEPARATOR}{calls[name]}" if calls[name] else name
                outputs[key] = output.numpy().copy()  # ReLUs work in place: what a norm gave is gone a line later
                calls[name] += 1

        return record

    handles = [m.register_forward_hook(hook(n)) for n, m in network.named_modules() if n in names]
    try:
        with torch.inference_mode():
            network(*(torch.from_numpy(v) for v in feed.values()))
    finally:
        for handle in handles:
            handle.remove()
    return outputs
