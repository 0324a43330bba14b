"""Operators of a detector that TensorRT for RTX cannot compile without a GPU, replaced by others of the same shapes.

RoiAlign is a plugin that calls CUDA when the graph is read. NonMaxSuppression is then without a kernel. With the
stand-ins everything before, between and after the two is compiled. What they compute is something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

Shape = Sequence[int]
Made = tuple[list[NodeProto], dict[str, np.ndarray]]  # nodes, and their constants by name


def with_stand_ins(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """A copy with stand-ins, and the kinds of operators that were replaced."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    shapes = _shapes(model)
    nodes: list[NodeProto] = []
    replaced: dict[str, None] = {}
    for node in model.graph.node:
        if node.op_type not in STAND_INS:
            nodes.append(node)
            continue
        replaced[node.op_type] = None
        instead, constants = STAND_INS[node.op_type](node, shapes)
        nodes += instead
        made.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made, list(replaced)


def _pooling(node: NodeProto, shapes: Mapping[str, Shape]) -> Made:
    """A corner of the feature map, added to the sum of the coordinates of each box."""
    sizes = {a.name: a.i for a in node.attribute if a.name.startswith("output_")}
    name, (features, boxes) = node.name, node.input[:2]
    constants = {
        f"{name}.starts": np.array([0, 0]),
        f"{name}.ends": np.array([sizes["output_height"], sizes["output_width"]]),
        f"{name}.axes": np.array([2, 3]),
        f"{name}.shape": np.array([-1, 1, 1, 1]),
        f"{name}.last": np.array([1]),
    }
    slices = [features, f"{name}.starts", f"{name}.ends", f"{name}.axes"]
    return [
        helper.make_node("Slice", slices, [f"{name}.corner"], f"{name}.slice"),
        helper.make_node("ReduceSum", [boxes, f"{name}.last"], [f"{name}.sum"], f"{name}.reduce"),
        helper.make_node("Reshape", [f"{name}.sum", f"{name}.shape"], [f"{name}.sums"], f"{name}.reshape"),
        helper.make_node("Add", [f"{name}.corner", f"{name}.sums"], list(node.output), f"{name}.add"),
    ], constants


def _suppression(node: NodeProto, shapes: Mapping[str, Shape]) -> Made:
    """Every box whose score is above the threshold; the first box in place of the others."""
    name, scores, threshold = node.name, node.input[1], node.input[4]
    groups, _, boxes = shapes[scores]
    table = np.array([[group, 0, box] for group in range(groups) for box in range(boxes)])
    constants = {f"{name}.table": table, f"{name}.shape": np.array([-1, 1])}
    return [
        helper.make_node("Reshape", [scores, f"{name}.shape"], [f"{name}.scores"], f"{name}.reshape"),
        helper.make_node("Greater", [f"{name}.scores", threshold], [f"{name}.above"], f"{name}.greater"),
        helper.make_node("Cast", [f"{name}.above"], [f"{name}.kept"], f"{name}.cast", to=TensorProto.INT64),
        helper.make_node("Mul", [f"{name}.table", f"{name}.kept"], list(node.output), f"{name}.mul"),
    ], constants


STAND_INS: dict[str, Callable[[NodeProto, Mapping[str, Shape]], Made]] = {
    "RoiAlign": _pooling,
    "NonMaxSuppression": _suppression,
}


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """The shapes of all tensors between nodes."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.value_info}
