"""The float graph that a quantized graph stands for: the same network without its Q/DQ pairs."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

from hrnet_deploy.graph.index import GraphIndex

Q, DQ = "QuantizeLinear", "DequantizeLinear"


def unquantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 copy without Q/DQ pairs. Integer constants become the float values that they stand for.

    A graph whose scales are float16 stays float16 where it was. A Relu that quantization has made superfluous is not
    put back, so the values of the copy may differ; its operators and shapes are those of the network.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    index = GraphIndex(result)
    constants: dict[str, TensorProto] = dict(index.constants)
    replaced: dict[str, str] = {}
    nodes: list[NodeProto] = []
    for node in result.graph.node:
        if node.op_type == Q:
            replaced[node.output[0]] = replaced.get(node.input[0], node.input[0])
        elif node.op_type == DQ and node.input[0] in constants:
            made = numpy_helper.from_array(_values(node, constants), node.output[0])
            result.graph.initializer.append(made)
        elif node.op_type == DQ:
            replaced[node.output[0]] = replaced.get(node.input[0], node.input[0])
        else:
            node.input[:] = [replaced.get(x, x) for x in node.input]
            nodes.append(node)
    kept = [NodeProto.FromString(n.SerializeToString()) for n in nodes]
    used = {x for n in kept for x in n.input}
    initializers = [TensorProto.FromString(i.SerializeToString()) for i in result.graph.initializer if i.name in used]
    del result.graph.node[:], result.graph.initializer[:]
    result.graph.node.extend(kept)
    result.graph.initializer.extend(initializers)
    return result


def _values(node: NodeProto, constants: dict[str, TensorProto]) -> np.ndarray:
    """The float values of a constant that a DequantizeLinear reads, in the type of its scale."""
    values, scale = (numpy_helper.to_array(constants[n]) for n in node.input[:2])
    zero = numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 else np.zeros_like(scale, np.int8)
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    if scale.ndim:  # one scale for each index of an axis
        shape = [-1 if i == axis % values.ndim else 1 for i in range(values.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return (values.astype(np.float32) - zero.astype(np.float32)).astype(scale.dtype) * scale
