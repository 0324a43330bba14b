"""A float32 graph in float16: weights and activations in half the bytes, inputs and outputs as they were.

What does not fit stays in float32 and is named: float16 ends at 65504, and what passes that on one image is
infinite for everything after it. The arithmetic of boxes stays in float32 as well (`graph.extent`). Scales of an int8 graph
become float16 too (opset 19), so that what lies between integers is float16.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.backbone import POOLED, network_part
from hrnet_deploy.graph.quantize import Graph

LARGEST = 65504.0
ROOM = 4.0  # how much larger than on the images seen a tensor may become
FLOAT_INPUTS = {"Resize": (1, 2)}  # roi and scales are float32 by the operator's definition
NOT_FLOAT = ("QuantizeLinear", "Shape", "ArgMax")


def too_large(peaks: Mapping[str, float]) -> list[str]:
    """Of tensors with their largest magnitudes, those that float16 cannot be trusted with."""
    return [name for name, peak in peaks.items() if not peak * ROOM <= LARGEST]


def values_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """The float results of every operator that can be float16."""
    integers, apart = Graph(model).integers, _apart(model)
    nodes = [n for n in model.graph.node if n.name not in apart and n.op_type not in NOT_FLOAT]
    return tuple(o for n in nodes for o in n.output if o and o not in integers)


def _apart(model: onnx.ModelProto) -> set[str]:
    """The names of operators that compute with places, and of those that read them (whose values have the type of places)."""
    part = network_part(model)
    return {n.name for n in model.graph.node if n.name not in part or n.op_type == POOLED}


def to_fp16(model: onnx.ModelProto, keep: Collection[str] = ()) -> tuple[onnx.ModelProto, list[str]]:
    """A copy in float16, and the names of operators left in float32: those that give or read a tensor of `keep`,
    and those with a weight that does not fit. Raises BadInput where the opset has no float16 scales."""
    if model.opset_import[0].version < 19 and any(n.op_type == "QuantizeLinear" for n in model.graph.node):
        raise BadInput("float16 scales need opset 19 — export with --opset 19 or newer")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    writer = _Writer(result, set(keep))
    for node in list(result.graph.node):
        writer.node(node)
    writer.finish()
    return result, writer.single


class _Writer:
    """Goes through a graph in order, putting a Cast wherever a value crosses between the two widths."""

    def __init__(self, model: onnx.ModelProto, keep: set[str]) -> None:
        self.graph = model.graph
        self.constants = {i.name: i for i in self.graph.initializer if i.data_type == TensorProto.FLOAT}
        large = {n for n, c in self.constants.items() if np.abs(numpy_helper.to_array(c)).max(initial=0) > LARGEST}
        self.apart = _apart(model)
        self.single = [
            n.name for n in self.graph.node if n.name not in self.apart and (keep | large) & {*n.input, *n.output}
        ]
        self.outputs = {v.name for v in self.graph.output}
        self.integers = Graph(model).integers
        # how wide each float value is at the moment; the graph's inputs come as they always did
        self.width = {
            v.name: TensorProto.FLOAT for v in self.graph.input if v.type.tensor_type.elem_type == TensorProto.FLOAT
        }
        self.nodes: list[NodeProto] = []
        self.casts: set[str] = set()
        self.new: dict[str, TensorProto] = {}

    def node(self, node: NodeProto) -> None:
        width = TensorProto.FLOAT if node.name in self.apart or node.name in self.single else TensorProto.FLOAT16
        for i, name in enumerate(node.input):
            if i in FLOAT_INPUTS.get(node.op_type, ()):
                continue
            if name in self.constants and width == TensorProto.FLOAT16:
                node.input[i] = self._constant(name)
            elif name in self.width and self.width[name] != width:
                node.input[i] = self._cast(name, width)
        self.nodes.append(node)
        if node.op_type in NOT_FLOAT or node.output[0] in self.integers:
            return
        if node.op_type == "Cast":  # sizes and places that become values
            node.attribute[0].i = width
        for i, name in enumerate(node.output):
            if name in self.integers:
                continue
            self.width[name] = width
            if name in self.outputs and width == TensorProto.FLOAT16:
                node.output[i] = f"{name}.half"
                self.width[f"{name}.half"], self.width[name] = width, TensorProto.FLOAT
                self.nodes.append(
                    helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT)
                )

    def finish(self) -> None:
        nodes = [NodeProto.FromString(n.SerializeToString()) for n in self.nodes]
        used = {x for n in nodes for x in n.input}
        constants = [c for c in (*self.graph.initializer, *self.new.values()) if c.name in used]
        constants = [TensorProto.FromString(c.SerializeToString()) for c in constants]
        infos = [ValueInfoProto.FromString(v.SerializeToString()) for v in self.graph.value_info]
        for info in infos:
            if info.name in self.width:
                info.type.tensor_type.elem_type = self.width[info.name]
        for part, items in (
            (self.graph.node, nodes),
            (self.graph.initializer, constants),
            (self.graph.value_info, infos),
        ):
            del part[:]
            part.extend(items)

    def _cast(self, tensor: str, width: int) -> str:
        name = f"{tensor}.{'half' if width == TensorProto.FLOAT16 else 'float'}"
        if name not in self.casts:
            self.casts.add(name)
            self.nodes.append(helper.make_node("Cast", [tensor], [name], f"{name}.cast", to=width))
        return name

    def _constant(self, name: str) -> str:
        values = numpy_helper.to_array(self.constants[name])
        smallest = (
            np.finfo(np.float16).smallest_subnormal if name.endswith(".scale") else 0.0
        )  # a scale of zero is none
        halved = (np.maximum(values, smallest) if smallest else values).astype(np.float16)
        self.new[f"{name}.half"] = numpy_helper.from_array(halved, f"{name}.half")
        return f"{name}.half"
