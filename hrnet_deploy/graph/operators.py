"""What the operators of `networks.operators` are in ONNX: standard operators, put in their place by torch's exporter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

EVERY = 2**31 - 1  # at most so many boxes of a group may stay
OUTSIDE = (
    -4.0,
    -4.0,
    -3.0,
    -3.0,
)  # a box of one cell, in cells: each of its samples is more than one away from the map


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
    """One RoiAlign over all levels, put below each other with their border repeated around each.

    Boxes lie inside the image, so no sample is more than half a cell outside its level, where the border counts; a RoiAlign a level
    would visit every box four times. What is pooled from no level lies outside, where all is zero.
    """
    import onnx_ir

    op = _opset()
    heights, widths = ([int(f.shape[axis]) for f in levels] for axis in (2, 3))
    right = [max(widths) + 1 - w for w in widths]
    padded = [
        op.Pad(f, op.Constant(value_ints=[0, 0, 1, 1, 0, 0, 1, r]), mode="edge")
        for f, r in zip(levels, right, strict=True)
    ]
    above = [sum(h + 2 for h in heights[:i]) + 1 for i in range(len(heights))]
    scales = op.Constant(value=_table([[1 / s] * 4 for s in strides] + [[0.0] * 4]))
    corners = op.Constant(value=_table([[1, y, 1, y] for y in above] + [OUTSIDE]))
    scaled = op.Mul(boxes, op.Gather(scales, level))
    own = op.Add(scaled, op.Gather(corners, level))  # level -1 reads the last row
    return op.RoiAlign(
        op.Concat(*padded, axis=2),
        own,
        op.ConstantOfShape(_rows(boxes), value=onnx_ir.tensor(np.zeros(1, np.int64))),
        coordinate_transformation_mode="half_pixel",
        mode="avg",
        output_height=size,
        output_width=size,
        sampling_ratio=0,
        spatial_scale=1.0,
    )


def _table(rows: Sequence[Sequence[float]]) -> Any:
    import onnx_ir

    return onnx_ir.tensor(np.array(rows, np.float32))


def _opset() -> Any:
    import onnxscript

    return onnxscript.opset18


def _rows(tensor: Any) -> Any:
    """The length of the first axis, as a shape."""
    op = _opset()
    return op.Slice(op.Shape(tensor), op.Constant(value_ints=[0]), op.Constant(value_ints=[1]))
