"""How the operators of `networks.operators` are exported: as standard ONNX operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

NO_LIMIT = 2**31 - 1  # the number of boxes per group that suppression may keep
# A box of one cell, in cells. All its samples are more than one cell outside the feature map, where RoiAlign gives
# zero.
OUTSIDE = (-4.0, -4.0, -3.0, -3.0)


def translations() -> dict[Any, Callable[..., Any]]:
    """What torch's dynamo exporter takes as `custom_translation_table`: a function for each of our operators."""
    import torch

    import hrnet_deploy.networks.operators  # noqa: F401 - registers the operators

    known = torch.ops.hrnet_deploy
    return {known.nms.default: _nms, known.pool_regions.default: _pool_regions}


def _nms(boxes: Any, scores: Any, iou: float, score: float) -> Any:
    """Non-maximum suppression, (groups, boxes) bool: True for each box that is kept.

    ONNX's NonMaxSuppression lists the boxes it keeps. The length of this list is not known beforehand; a mask has a
    fixed shape.
    """
    import onnx_ir

    op = _opset()
    groups = op.Unsqueeze(scores, op.Constant(value_ints=[1]))
    limits = [op.Constant(value_int=NO_LIMIT), op.Constant(value_float=iou), op.Constant(value_float=score)]
    chosen = op.NonMaxSuppression(boxes, groups, *limits)  # (M, 3): group, 0, box
    places = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)
    yes = op.ConstantOfShape(_rows(chosen), value=onnx_ir.tensor([True]))
    none_kept = op.ConstantOfShape(op.Shape(scores), value=onnx_ir.tensor([False]))
    return op.ScatterND(none_kept, places, yes)


def _pool_regions(levels: Sequence[Any], boxes: Any, level: Any, strides: Sequence[int], size: int) -> Any:
    """Pool regions from all levels of the pyramid with one RoiAlign, (regions, channels, size, size).

    The levels are concatenated vertically. Each has its border cells repeated around it, because samples may lie up to
    half a cell outside their level, where RoiAlign uses the border. One RoiAlign per level would pool every region four
    times. A region with level -1 is moved outside the map, where RoiAlign gives zero.
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
    shifted = op.Add(scaled, op.Gather(corners, level))  # level -1 reads the last row
    return op.RoiAlign(
        op.Concat(*padded, axis=2),
        shifted,
        op.ConstantOfShape(_rows(boxes), value=onnx_ir.tensor(np.zeros(1, np.int64))),
        coordinate_transformation_mode="half_pixel",
        mode="avg",
        output_height=size,
        output_width=size,
        sampling_ratio=0,
        spatial_scale=1.0,
    )


def _table(rows: Sequence[Sequence[float]]) -> Any:
    """A float32 constant with these rows."""
    import onnx_ir

    return onnx_ir.tensor(np.array(rows, np.float32))


def _opset() -> Any:
    import onnxscript

    return onnxscript.opset18


def _rows(tensor: Any) -> Any:
    """The length of the first axis, as a shape."""
    op = _opset()
    return op.Slice(op.Shape(tensor), op.Constant(value_ints=[0]), op.Constant(value_ints=[1]))
