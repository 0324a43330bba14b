"""What channel counts cost on hardware that takes them in blocks."""

from __future__ import annotations

import math

import onnx

BLOCK = 32  # channels int8 tensor cores take at once
NARROW = 1.15  # how many times the arithmetic may grow before it is said
ENDS = 16  # an input or output of fewer channels is the image or a small head: padded whatever the width


def padding_cost(model: onnx.ModelProto, block: int = BLOCK) -> float:
    """How many times the multiplications of the convolutions grow when both channel counts are padded to blocks.

    Sizes come from shape inference; an axis left open counts as 1, which changes all convolutions alike.
    """
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        v.name: [d.dim_value or 1 for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)
    }
    weights = {t.name: t.dims for t in graph.initializer}
    made_by = {n.output[0]: n for n in graph.node}
    plain = padded = 0.0
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        source = node.input[1]
        while source not in weights and source in made_by:  # behind a DequantizeLinear or a Cast
            source = made_by[source].input[0]
        if source not in weights or node.output[0] not in shapes:
            continue
        outputs, inputs, *kernel = weights[source]
        if min(outputs, inputs) < ENDS:
            continue
        work = math.prod(kernel) * math.prod(shapes[node.output[0]][2:])
        plain += work * outputs * inputs
        padded += work * math.prod(math.ceil(c / block) * block for c in (outputs, inputs))
    return padded / plain if plain else 1.0


def width_warning(model: onnx.ModelProto, precision: str) -> str:
    """What int8 costs on tensor cores by the network's channel counts alone, where that is much."""
    if not precision.startswith("int8"):
        return ""
    cost = padding_cost(model)
    if cost < NARROW:
        return ""
    return (
        f"int8 tensor cores take channels in multiples of 32: with this network's counts they compute {cost:.2f} times what it "
        "needs, by arithmetic alone — measure float16 beside it"
    )
