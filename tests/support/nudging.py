"""An ONNX file with one wrong weight."""

from __future__ import annotations

from pathlib import Path

import onnx

from hrnet_deploy.graph.metadata import load_model, save_model

LAYER = "stage3.0.branches.1.0.conv2"


def nudged(path: Path, out: Path, name: str = f"{LAYER}.weight", by: float = 0.3) -> Path:
    """A copy of a model in which one value of the named weight is changed by `by`."""
    model = load_model(path)
    weight = next(i for i in model.graph.initializer if i.name == name)
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[7] += by
    weight.CopyFrom(onnx.numpy_helper.from_array(values, name))
    save_model(model, out)
    return out
