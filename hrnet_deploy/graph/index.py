"""An index over an ONNX graph: which operator produces each tensor, and which operators consume it."""

from __future__ import annotations

from collections import defaultdict

import onnx
from onnx import NodeProto, TensorProto

WEIGHTED = ("Conv", "Gemm")
# The outputs of these are values of their input or lie between them, so input and output can share one scale.
SAME_RANGE = ("Resize", "MaxPool", "AveragePool")


class GraphIndex:
    """Look-ups over a model. The index is not updated when the model changes.

    Attributes:
        nodes: the operators in their order.
        order: the position of each operator in `nodes`, by its name.
        constants: the initializers by name.
        inputs, outputs: the names of the graph's inputs and outputs.
        integers: the names of the tensors known not to be float32: sizes, indices, quantized values.
        producer: the operator that computes a tensor, by the tensor's name. Inputs and constants have none.
        consumers: the operators that read a tensor, by the tensor's name.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = list(model.graph.node)
        self.constants = {i.name: i for i in model.graph.initializer}
        self.outputs = {o.name for o in model.graph.output}
        self.inputs = {i.name for i in model.graph.input}
        known = (*model.graph.value_info, *model.graph.input, *model.graph.output)
        self.integers = {
            v.name for v in known if v.type.tensor_type.elem_type not in (TensorProto.UNDEFINED, TensorProto.FLOAT)
        }
        self.producer = {o: n for n in self.nodes for o in n.output}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.consumers[name].append(node)
        self.order = {n.name: i for i, n in enumerate(self.nodes)}

    def activations(self, node: NodeProto) -> list[str]:
        """The inputs of an operator that are activations, not weights or sizes."""
        first = node.input[:1] if node.op_type in (*WEIGHTED, "ConvTranspose", *SAME_RANGE) else node.input
        return [x for x in first if x and x not in self.constants]

    def computes_floats(self, node: NodeProto) -> bool:
        """Whether an operator computes float32 values; in graphs with dynamic axes some compute sizes."""
        return node.output[0] not in self.integers

    def ancestors(self, tensor: str) -> set[str]:
        """The tensor itself and all tensors it is computed from."""
        found, waiting = {tensor}, [tensor]
        while waiting:
            producer = self.producer.get(waiting.pop())
            fresh = set(producer.input) - found if producer is not None else set()
            found |= fresh
            waiting += fresh
        return found

    def after_relu(self, tensor: str) -> str:
        """The output of the Relu if a Relu is the only consumer of the tensor, otherwise the tensor itself."""
        consumers = self.consumers[tensor]
        return (
            consumers[0].output[0]
            if len(consumers) == 1 and consumers[0].op_type == "Relu" and tensor not in self.outputs
            else tensor
        )

    def convolution_side(self, add: NodeProto) -> str:
        """The input of an Add that an engine can fuse with it: the output of a convolution with no other consumer.

        If both sides are such outputs (a residual unit with a projection on its shortcut), it is the one computed last.
        The result is empty if there is none.
        """
        sides = [
            x
            for x in add.input
            if x in self.producer and self.producer[x].op_type == "Conv" and len(self.consumers[x]) == 1
        ]
        return max(sides, key=lambda x: self.order[self.producer[x].name], default="")
