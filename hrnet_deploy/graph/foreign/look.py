"""Look-ups over a graph of another exporter: shapes, constants, and what is computed from what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from hrnet_deploy.graph.foreign.reading import reads, shape_of

SIZES = ("Shape", "Size")  # operators that read how large a tensor is, and none of its values


def _inferred(model: ModelProto) -> GraphProto:
    """The graph with inferred shapes. What a file says of its outputs is not trusted, because it may be wrong."""
    copy = ModelProto.FromString(model.SerializeToString())
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    made: ModelProto = onnx.shape_inference.infer_shapes(copy, data_prop=True)
    return made.graph


class Look:
    """Look-ups over a model whose nodes are sorted. They are not updated when the model changes.

    Attributes:
        shapes: of every tensor whose shape is known.
        constants: the initializers as arrays, by name.
        producer: the node that computes a tensor.
        consumers: the nodes that read a tensor, also inside their subgraphs.
    """

    def __init__(self, model: ModelProto) -> None:
        graph = _inferred(model)
        known = ((v.name, shape_of(v)) for v in (*graph.value_info, *graph.input, *graph.output))
        self.shapes = {name: shape for name, shape in known if shape is not None}
        for value in model.graph.output:  # what the file says itself counts where nothing can be inferred
            if (declared := shape_of(value)) is not None:
                self.shapes.setdefault(value.name, declared)
        self._initializers = {i.name: i for i in model.graph.initializer}
        self.shapes |= {i.name: tuple(i.dims) for i in model.graph.initializer}
        self.nodes = list(model.graph.node)
        self.producer = {o: n for n in self.nodes for o in n.output if o}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in reads(node):
                self.consumers[name].append(node)

    def constant(self, name: str) -> NDArray | None:
        """The value of a tensor that does not depend on the input, if it is an initializer."""
        tensor = self._initializers.get(name)
        return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))

    def before(self, tensors: Sequence[str]) -> set[str]:
        """These tensors and every tensor that they are computed from."""
        found, waiting = set(tensors), list(tensors)
        while waiting:
            node = self.producer.get(waiting.pop())
            fresh = reads(node) - found if node is not None else set()
            found |= fresh
            waiting += fresh
        return found

    def after(self, tensor: str) -> list[NodeProto]:
        """The nodes that depend on a tensor, in their order."""
        found = {tensor}
        nodes = []
        for node in self.nodes:
            if reads(node) & found:
                found.update(node.output)
                nodes.append(node)
        return nodes


def attribute(node: NodeProto, name: str, default: object = None) -> object:
    """The value of an attribute of an operator."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
