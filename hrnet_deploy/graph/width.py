"""Estimate what a network's channel counts cost on hardware that computes channels in blocks."""

from __future__ import annotations

import math

import onnx

BLOCK = 32  # int8 tensor cores compute channels in multiples of this
NARROW = 1.15  # a growth of the arithmetic up to this factor is not mentioned
# A convolution with fewer input or output channels than this reads the image or is a small head. It is padded in every
# network, whatever the network's width, so it is left out of the estimate.
FEWEST_CHANNELS = 16


def padding_cost(model: onnx.ModelProto, block: int = BLOCK) -> float:
    """By what factor the multiplications of the convolutions grow if both channel counts are padded to multiples of
    `block`.

    Sizes come from shape inference. A dynamic axis counts as 1, which changes all convolutions alike.
    """
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        v.name: [d.dim_value or 1 for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)
    }
    weights = {t.name: t.dims for t in graph.initializer}
    producer = {n.output[0]: n for n in graph.node}
    plain = padded = 0.0
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        source = node.input[1]
        while source not in weights and source in producer:  # the weights pass a DequantizeLinear or a Cast
            source = producer[source].input[0]
        if source not in weights or node.output[0] not in shapes:
            continue
        outputs, inputs, *kernel = weights[source]
        if min(outputs, inputs) < FEWEST_CHANNELS:
            continue
        work = math.prod(kernel) * math.prod(shapes[node.output[0]][2:])
        plain += work * outputs * inputs
        padded += work * math.prod(math.ceil(c / block) * block for c in (outputs, inputs))
    return padded / plain if plain else 1.0


def width_warning(model: onnx.ModelProto, precision: str) -> str:
    """A sentence that warns of padding on int8 tensor cores. Empty if the file is not int8 or the cost is small."""
    if not precision.startswith("int8"):
        return ""
    cost = padding_cost(model)
    if cost < NARROW:
        return ""
    return (
        "int8 tensor cores compute channels in multiples of 32, so with the channel counts of this network they "
        f"compute {cost:.2f} times what it needs — measure float16 as well"
    )
