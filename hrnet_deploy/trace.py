"""Find the first tensor in which an ONNX graph differs from the PyTorch network it was exported from.

The tensors of an exported graph are named after the module whose output they are (see `graph.names`), so each can be
compared with the output of its module.
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
    """The first tensor that differs.

    Attributes:
        tensor: its name, which is that of a module.
        node: the ONNX operator that computes it.
        relative: the largest difference divided by the largest magnitude of the tensor.
    """

    tensor: str
    node: str
    relative: float


class Tracer:
    """Compares all named tensors of an ONNX file with the outputs of a network's modules.

    Args:
        path: the ONNX file.
        network: the network it was exported from, in evaluation mode.
    """

    def __init__(self, path: Path, network: nn.Module) -> None:
        self.network = network
        modules = {n for n, _ in network.named_modules() if n}
        model = load_model(path)
        # The tensor, the call of a module that it is the output of, and the operator. An output of the graph has a name
        # of its own, but the operator that computes it still has the module's.
        self.tensors: list[tuple[str, str, str]] = []
        for node in model.graph.node:
            for output in node.output:
                call = next((n for n in (output, node.name) if n.partition(SEPARATOR)[0] in modules), None)
                if call is not None:
                    self.tensors.append((output, call, node.name))
        self._session = _opened(model, [t for t, _, _ in self.tensors])

    def first_difference(self, feed: Mapping[str, NDArray], tolerance: float) -> Difference | None:
        """Run both on one input and compare them in the order of computation.

        Args:
            feed: input arrays by name.
            tolerance: the largest difference allowed, relative to the largest magnitude of a tensor.

        Returns:
            The first tensor that differs by more. None if all agree, or if the graph has no module names, as with the
            torchscript exporter.
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
    """An ONNX Runtime session of the model with these tensors as additional outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        with_outputs(model, names).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _module_outputs(network: nn.Module, names: set[str], feed: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """The output of each named module at each of its calls, by name, name#1, name#2 and so on."""
    import torch

    calls: Counter[str] = Counter()
    outputs: dict[str, NDArray] = {}

    def hook(name: str) -> Any:
        def record(_module: Any, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                key = f"{name}{SEPARATOR}{calls[name]}" if calls[name] else name
                outputs[key] = output.numpy().copy()  # a copy, because a ReLU overwrites it in place
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
