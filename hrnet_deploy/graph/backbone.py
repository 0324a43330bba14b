"""Where in a graph the network is, and where the arithmetic on what it says: boxes decoded, suppressed, pooled from.

The network is what stands before an operator with weights, on the way values take. Coordinates are no values: what a
RoiAlign pools counts, where from does not. So the way from a proposal head's outputs to the regions of the next head is
outside, and stays in float32 whatever becomes of the network: a coordinate over 2,048 loses pixels in float16, a score its order.
"""

from __future__ import annotations

import onnx

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
VALUES = {"RoiAlign": 1, "NonMaxSuppression": 0}  # so many of the first inputs are values, the rest are places
POOLED = "RoiAlign"


def network_part(model: onnx.ModelProto, regions: bool = True) -> set[str]:
    """The names of the operators that are the network; without `regions` not those that only bring together what regions
    are pooled from."""
    part: set[str] = set()
    needed: set[str] = set()  # tensors an operator with weights is computed from
    for node in reversed(model.graph.node):
        if node.op_type in WEIGHTED or needed.intersection(node.output):
            part.add(node.name)
            if regions or node.op_type != POOLED:
                needed.update(node.input[: VALUES.get(node.op_type)])
    return part


def backbone_outputs(model: onnx.ModelProto) -> tuple[list[str], list[str]]:
    """The tensors in which the network ends: those computed from the input alone, and those computed from regions, which are of
    another place as soon as anything before them differs."""
    part = network_part(model)
    read = {x for n in model.graph.node if n.name in part for x in n.input}
    last = [o for n in model.graph.node if n.name in part for o in n.output if o and o not in read]
    regional = _after(model, POOLED)
    return [t for t in last if t not in regional], [t for t in last if t in regional]


def _after(model: onnx.ModelProto, kind: str) -> set[str]:
    """The tensors computed from the output of an operator of that kind."""
    found: set[str] = set()
    for node in model.graph.node:
        if node.op_type == kind or found.intersection(node.input):
            found.update(node.output)
    return found
