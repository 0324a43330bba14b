"""What the operators of `networks.operators` are in ONNX: standard operators, put in their place by torch's exporter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

EVERY = 2**31 - 1  # at most so many boxes of a group may stay
OUTSIDE = (-4, -4, -3, -3)  # a box of one cell, in cells: each of its samples is more than one away from the map


def translations() -> dict[Any, Callable[..., Any]]:
    """For the exporter's `custom_translation_table`."""
    import torch

    import hrnet_deploy.networks.operators  # noqa: F401 - there they are defined

    known = torch.ops.hrnet_deploy
    return {known.nms.default: _nms, known.pool_regions.default: _pool_regions}


def _nms(boxes: Any, scores: Any, iou: float, score: float) -> Any:
    """NonMaxSuppression lists what stays, which has no fixed size; a mask of the boxes has."""
    import onnx_ir

    op = _opset()
    groups = op.Unsqueeze(scores, op.Constant(value_ints=[1]))
    limits = [op.Constant(value_int=EVERY), op.Constant(value_float=iou), op.Constant(value_float=score)]
    chosen = op.NonMaxSuppression(boxes, groups, *limits)  # (M, 3): group, 0, box
    places = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)
    yes = op.ConstantOfShape(_rows(chosen), value=onnx_ir.tensor([True]))
    nobody = op.ConstantOfShape(op.Shape(scores), value=onnx_ir.tensor([False]))
    return op.ScatterND(nobody, places, yes)


def _pool_regions(levels: Sequence[Any], boxes: Any, level: Any, strides: Sequence[int], size: int) -> Any:
    """A RoiAlign a level, in which the boxes of other levels lie outside the map and give zeros; then their sum. (An empty
    box gives zeros by the operator's definition, and 0/0 in OpenVINO.)"""
    import onnx_ir

    op = _opset()
    image = op.ConstantOfShape(_rows(boxes), value=onnx_ir.tensor(np.zeros(1, np.int64)))
    pooled = []
    for number, (features, stride) in enumerate(zip(levels, strides, strict=True)):
        here = op.Unsqueeze(op.Equal(level, op.Constant(value_int=number)), op.Constant(value_ints=[1]))
        own = op.Where(here, boxes, op.Constant(value_floats=[c * float(stride) for c in OUTSIDE]))
        pooled.append(
            op.RoiAlign(
                features,
                own,
                image,
                coordinate_transformation_mode="half_pixel",
                mode="avg",
                output_height=size,
                output_width=size,
                sampling_ratio=0,
                spatial_scale=1 / stride,
            )
        )
    return op.Sum(*pooled)


def _opset() -> Any:
    import onnxscript

    return onnxscript.opset18


def _rows(tensor: Any) -> Any:
    """The length of the first axis, as a shape."""
    op = _opset()
    return op.Slice(op.Shape(tensor), op.Constant(value_ints=[0]), op.Constant(value_ints=[1]))
