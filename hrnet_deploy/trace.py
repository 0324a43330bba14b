"""The first tensor in which an ONNX graph differs from its PyTorch network.

A tensor of a graph that was exported here is called after the module whose output it is (`graph.names`), so each can be
compared with the output of that module.
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
    """Where a graph goes wrong.

    Attributes:
        tensor: the tensor, by the name of its module.
        node: the ONNX node that computes it.
        relative: the largest difference over the tensor's largest magnitude.
    """

    tensor: str
    node: str
    relative: float


class Tracer:
    """A graph that gives all its inner tensors, beside the network it was exported from; both are opened once."""

    def __init__(self, path: Path, network: nn.Module) -> None:
        self.network = network
        modules = {n for n, _ in network.named_modules() if n}
        model = load_model(path)
        # Each is (tensor, the module call whose output it is, node). The output of the graph is called after the card,
        # but the layer that computes it still has the name of the module.
        self.tensors: list[tuple[str, str, str]] = []
        for node in model.graph.node:
            for output in node.output:
                call = next((n for n in (output, node.name) if n.partition(SEPARATOR)[0] in modules), None)
                if call is not None:
                    self.tensors.append((output, call, node.name))
        self._session = _opened(model, [t for t, _, _ in self.tensors])

    def first_difference(self, feed: Mapping[str, NDArray], tolerance: float) -> Difference | None:
        """The first tensor, in the order of computation, that differs by more than `tolerance` of its own maximum.

        None where every named tensor agrees, or where the graph has no such names (the torchscript exporter).
        """
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
    """A session of the graph that gives these tensors too."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        with_outputs(model, names).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _module_outputs(network: nn.Module, names: set[str], feed: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """The output of each named module at each of its calls: name, name#1, name#2, ..."""
    import torch

    calls: Counter[str] = Counter()
    outputs: dict[str, NDArray] = {}

    def hook(name: str) -> Any:
        def record(_module: Any, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                key = f"{name}{SEPARATOR}{calls[name]}" if calls[name] else name
                outputs[key] = output.numpy().copy()  # a ReLU works in place and overwrites it
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
