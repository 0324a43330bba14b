"""ONNX files as other exporters write them: made by hand with torch's own exporters, and not with `export`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn


class Wrapped(nn.Module):
    """A network between a preparation and an ending, as people write it around their network before an export."""

    def __init__(
        self, network: nn.Module, before: Callable[[Any], Any] | None = None, after: Callable[..., Any] | None = None
    ) -> None:
        super().__init__()
        self.network, self.before, self.after = network, before, after

    def forward(self, x: torch.Tensor) -> Any:
        y = self.network(x if self.before is None else self.before(x))
        return y if self.after is None else self.after(x, y)


def torchscript(
    network: nn.Module,
    path: Path,
    shape: Sequence[int],
    opset: int = 17,
    names: tuple[str, Sequence[str]] = ("input", ("output",)),
    open_axes: Mapping[int, str] | None = None,
    pixels: bool = False,
) -> Path:
    """Export a module with the TorchScript exporter, as most scripts of other projects do."""
    x = torch.zeros(tuple(shape), dtype=torch.uint8) if pixels else torch.zeros(tuple(shape))
    axes = {name: dict(open_axes) for name in (names[0], *names[1])} if open_axes else None
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (x,),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=[names[0]],
            output_names=list(names[1]),
            dynamic_axes=axes,
        )
    return path


def dynamo(network: nn.Module, path: Path, shape: Sequence[int], names: tuple[str, Sequence[str]]) -> Path:
    """Export a module with torch's newer exporter."""
    from hrnet_deploy.graph.operators import translations

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(tuple(shape)),),
            str(path),
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=18,
            input_names=[names[0]],
            output_names=list(names[1]),
            custom_translation_table=translations(),
        )
    return path


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    weights: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
    kinds: Mapping[str, int] | None = None,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A graph of single operators, for what no exporter of ours writes."""
    made = helper.make_graph(
        list(nodes),
        "graph",
        [
            helper.make_tensor_value_info(n, (kinds or {}).get(n, onnx.TensorProto.FLOAT), list(s))
            for n, s in inputs.items()
        ],
        [helper.make_tensor_value_info(n, (kinds or {}).get(n, onnx.TensorProto.FLOAT), None) for n in outputs],
        [numpy_helper.from_array(v, n) for n, v in (weights or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(made, opset_imports=imports, ir_version=8)


def changed(path: Path, target: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """A copy of an ONNX file with something changed."""
    model = onnx.load_model(str(path))
    change(model)
    onnx.save_model(model, str(target))
    return target
