"""Find the part of a graph that is the network, and leave out the arithmetic on boxes that follows it.

In a detector's graph, boxes are decoded, suppressed and used to pool regions between one head and the next. This
arithmetic works with coordinates and must stay in float32: a coordinate above 2,048 loses whole pixels in float16, and
two close scores may swap their order. The network part is found by going back from every operator with weights along
the inputs that carry activations. A RoiAlign takes activations (the feature map) and coordinates (the regions), and
only the first count. So the operators between a proposal head's outputs and the regions of the next head are not part
of it.
"""

from __future__ import annotations

import onnx

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# How many of an operator's first inputs carry activations. The others are coordinates or limits.
ACTIVATION_INPUTS = {"RoiAlign": 1, "NonMaxSuppression": 0}
REGION_POOLING = "RoiAlign"


def network_part(model: onnx.ModelProto, regions: bool = True) -> set[str]:
    """The names of the operators that belong to the network.

    Args:
        model: an ONNX model whose nodes are in topological order and have unique names.
        regions: False leaves out the operators that only assemble the feature map regions are pooled from.
    """
    part: set[str] = set()
    needed: set[str] = set()  # tensors that an operator with weights is computed from
    for node in reversed(model.graph.node):
        if node.op_type in WEIGHTED or needed.intersection(node.output):
            part.add(node.name)
            if regions or node.op_type != REGION_POOLING:
                needed.update(node.input[: ACTIVATION_INPUTS.get(node.op_type)])
    return part


def backbone_outputs(model: onnx.ModelProto) -> tuple[list[str], list[str]]:
    """The tensors in which the network part ends.

    Returns:
        The tensors computed from the whole input, and the tensors computed from pooled regions. Tensors of the second
        kind can only be compared between two models if both propose the same regions.
    """
    part = network_part(model)
    read = {x for n in model.graph.node if n.name in part for x in n.input}
    last = [o for n in model.graph.node if n.name in part for o in n.output if o and o not in read]
    regional = _computed_from(model, REGION_POOLING)
    return [t for t in last if t not in regional], [t for t in last if t in regional]


def _computed_from(model: onnx.ModelProto, op_type: str) -> set[str]:
    """The tensors that are computed, directly or not, from the output of an operator of that type."""
    found: set[str] = set()
    for node in model.graph.node:
        if node.op_type == op_type or found.intersection(node.input):
            found.update(node.output)
    return found
