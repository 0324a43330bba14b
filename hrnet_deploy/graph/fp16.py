"""Convert a graph to float16, which halves the size of weights and activations. Inputs and outputs keep their types.

The largest float16 is 65504. A tensor that exceeds it is infinite, and so is what is computed from it, so operators
with such tensors stay in float32 and are listed. The arithmetic on boxes stays in float32 as well (see
`graph.backbone`). In an int8 graph the scales become float16, which needs opset 19, so that the tensors between integer
operators are float16.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.backbone import REGION_POOLING, network_part
from hrnet_deploy.graph.index import GraphIndex

LARGEST = 65504.0
HEADROOM = 4.0  # a tensor may become this many times larger than on the images it was measured on
FLOAT_INPUTS = {"Resize": (1, 2)}  # the definition of the operator demands float32 for roi and scales
INTEGER_OUTPUT = ("QuantizeLinear", "Shape", "ArgMax")


def too_large(peaks: Mapping[str, float]) -> list[str]:
    """The tensors that may overflow in float16, from the largest magnitude of each. NaN counts as too large."""
    return [name for name, peak in peaks.items() if not peak * HEADROOM <= LARGEST]


def convertible(model: onnx.ModelProto) -> tuple[str, ...]:
    """The tensors that can become float16: the float outputs of the operators of the network."""
    integers, float32_only = GraphIndex(model).integers, _float32_only(model)
    nodes = [n for n in model.graph.node if n.name not in float32_only and n.op_type not in INTEGER_OUTPUT]
    return tuple(o for n in nodes for o in n.output if o and o not in integers)


def _float32_only(model: onnx.ModelProto) -> set[str]:
    """The names of the operators that compute with coordinates.

    Region pooling is one of them: its feature map must have the type of its coordinates.
    """
    part = network_part(model)
    return {n.name for n in model.graph.node if n.name not in part or n.op_type == REGION_POOLING}


def to_fp16(model: onnx.ModelProto, keep: Collection[str] = ()) -> tuple[onnx.ModelProto, list[str]]:
    """Convert a model to float16.

    Args:
        model: a float32 or int8 model; it is not changed.
        keep: tensors that stay float32, as `too_large` gives them.

    Returns:
        The converted copy, and the names of the network's operators that stay float32: those that compute or read a
        tensor of `keep`, and those with a weight that exceeds float16.

    Raises:
        BadInput: the model is int8 and its opset is too old for float16 scales.
    """
    if model.opset_import[0].version < 19 and any(n.op_type == "QuantizeLinear" for n in model.graph.node):
        raise BadInput("float16 scales need opset 19 — export with --opset 19 or newer")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    writer = _Float16Writer(result, set(keep))
    for node in list(result.graph.node):
        writer.node(node)
    writer.finish()
    return result, writer.float32


class _Float16Writer:
    """Goes through a graph in order and inserts a Cast wherever a tensor is read in another type than it has."""

    def __init__(self, model: onnx.ModelProto, keep: set[str]) -> None:
        self.graph = model.graph
        self.constants = {i.name: i for i in self.graph.initializer if i.data_type == TensorProto.FLOAT}
        large = {n for n, c in self.constants.items() if np.abs(numpy_helper.to_array(c)).max(initial=0) > LARGEST}
        self.float32_only = _float32_only(model)
        self.float32 = [
            n.name
            for n in self.graph.node
            if n.name not in self.float32_only and (keep | large) & {*n.input, *n.output}
        ]
        self.outputs = {v.name for v in self.graph.output}
        self.integers = GraphIndex(model).integers
        # the element type of each float tensor so far; inputs of the graph stay float32
        self.types = {
            v.name: TensorProto.FLOAT for v in self.graph.input if v.type.tensor_type.elem_type == TensorProto.FLOAT
        }
        self.nodes: list[NodeProto] = []
        self.casts: set[str] = set()
        self.new: dict[str, TensorProto] = {}

    def node(self, node: NodeProto) -> None:
        """Append a node in its new type, with a Cast before it for each input that has the other type."""
        stays = node.name in self.float32_only or node.name in self.float32
        kind = TensorProto.FLOAT if stays else TensorProto.FLOAT16
        for i, name in enumerate(node.input):
            if i in FLOAT_INPUTS.get(node.op_type, ()):
                continue
            if name in self.constants and kind == TensorProto.FLOAT16:
                node.input[i] = self._constant(name)
            elif name in self.types and self.types[name] != kind:
                node.input[i] = self._cast(name, kind)
        self.nodes.append(node)
        if node.op_type in INTEGER_OUTPUT or node.output[0] in self.integers:
            return
        if node.op_type == "Cast":  # from an integer to a float
            node.attribute[0].i = kind
        for i, name in enumerate(node.output):
            if name in self.integers:
                continue
            self.types[name] = kind
            if name in self.outputs and kind == TensorProto.FLOAT16:
                node.output[i] = f"{name}.half"
                self.types[f"{name}.half"], self.types[name] = kind, TensorProto.FLOAT
                self.nodes.append(
                    helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT)
                )

    def finish(self) -> None:
        """Write all nodes in order, with the constants they read and the new types."""
        nodes = [NodeProto.FromString(n.SerializeToString()) for n in self.nodes]
        used = {x for n in nodes for x in n.input}
        constants = [c for c in (*self.graph.initializer, *self.new.values()) if c.name in used]
        constants = [TensorProto.FromString(c.SerializeToString()) for c in constants]
        infos = [ValueInfoProto.FromString(v.SerializeToString()) for v in self.graph.value_info]
        for info in infos:
            if info.name in self.types:
                info.type.tensor_type.elem_type = self.types[info.name]
        for part, items in (
            (self.graph.node, nodes),
            (self.graph.initializer, constants),
            (self.graph.value_info, infos),
        ):
            del part[:]
            part.extend(items)

    def _cast(self, tensor: str, kind: int) -> str:
        """The name of the tensor in the other type. It is cast once for all its consumers of that type."""
        name = f"{tensor}.{'half' if kind == TensorProto.FLOAT16 else 'float'}"
        if name not in self.casts:
            self.casts.add(name)
            self.nodes.append(helper.make_node("Cast", [tensor], [name], f"{name}.cast", to=kind))
        return name

    def _constant(self, name: str) -> str:
        """The name of a constant in float16. A scale is kept above zero, since values are divided by it."""
        values = numpy_helper.to_array(self.constants[name])
        smallest = np.finfo(np.float16).smallest_subnormal if name.endswith(".scale") else 0.0
        halved = (np.maximum(values, smallest) if smallest else values).astype(np.float16)
        self.new[f"{name}.half"] = numpy_helper.from_array(halved, f"{name}.half")
        return f"{name}.half"
