"""Quantized graphs with invented ranges."""

from __future__ import annotations

from pathlib import Path

import onnx

from hrnet_deploy.graph.index import GraphIndex
from hrnet_deploy.graph.metadata import load_model
from hrnet_deploy.graph.quantize import TARGETS, Placement, place, quantize
from hrnet_deploy.graph.ranges import Range

RANGE: Range = (-3.0, 4.0)
WHOLE = [name for name, target in TARGETS.items() if not target.sparing]  # those that quantize the whole network


def placed(path: Path, target: str, exclude: tuple[str, ...] = ()) -> tuple[onnx.ModelProto, Placement]:
    """A quantized graph, and its placement. All tensors have the same range, but none below zero after a ReLU."""
    model = load_model(path)
    placement = place(model, TARGETS[target], exclude)
    producer = GraphIndex(model).producer
    ranges = {t: (0.0, 4.0) if t in producer and producer[t].op_type == "Relu" else RANGE for t in placement.ranged}
    made = quantize(model, TARGETS[target], placement, ranges)
    onnx.checker.check_model(made, full_check=True)
    return made, placement
