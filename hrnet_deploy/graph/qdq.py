"""Write QuantizeLinear/DequantizeLinear (Q/DQ) pairs and integer weights into a float32 graph."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hrnet_deploy.graph.index import GraphIndex
from hrnet_deploy.graph.ranges import Grid


class QDQWriter:
    """Collects the new nodes and constants, then puts the graph together in topological order."""

    def __init__(
        self, model: onnx.ModelProto, grid: Grid, integer_bias: bool, reduce_range: bool, per_channel: bool = True
    ) -> None:
        self.model, self.grid, self.integer_bias, self.per_channel = model, grid, integer_bias, per_channel
        self.graph = GraphIndex(model)
        self.limit = 64 if reduce_range else 127
        self.scales: dict[str, np.float32] = {}  # of a tensor, by the name of its dequantized copy
        self.pairs: dict[str, list[NodeProto]] = {}  # by the tensor they follow
        self.weight_nodes: list[NodeProto] = []
        self.removed: set[str] = set()  # names of nodes

    def activation(self, tensor: str, scale: np.float32, zero: int, readers: Collection[str] | None = None) -> None:
        """Put a pair after a tensor and connect its consumers to the pair: all, or the operators named by `readers`.

        A Relu before the pair is removed if the zero point is 0, because unsigned integers then cut negative values
        anyway.
        """
        source = tensor
        producer = self.graph.producer.get(tensor)
        unsigned = not self.grid.symmetric
        if (
            unsigned
            and zero == 0
            and producer is not None
            and producer.op_type == "Relu"
            and self.graph.after_relu(producer.input[0]) == tensor
        ):
            source = producer.input[0]
            self.removed.add(producer.name)
        kind = np.uint8 if unsigned else np.int8
        names = [f"{tensor}.scale", f"{tensor}.zero_point"]
        self._constant(names[0], np.array(scale, np.float32))
        self._constant(names[1], np.array(zero, kind))
        self.pairs[source] = [
            helper.make_node("QuantizeLinear", [source, *names], [f"{tensor}.q"], f"{tensor}.quantize"),
            helper.make_node("DequantizeLinear", [f"{tensor}.q", *names], [f"{tensor}.dq"], f"{tensor}.dequantize"),
        ]
        for consumer in (c for c in self.graph.consumers[tensor] if readers is None or c.name in readers):
            consumer.input[:] = [f"{tensor}.dq" if x == tensor else x for x in consumer.input]
        self.scales[f"{tensor}.dq"] = scale

    def weights(self, node: NodeProto) -> None:
        """Store weights as int8, with one scale per output channel (axis 0) or one in all, and biases as int32 if the
        target wants it.

        An int32 bias has the scale of the sum it is added to, input scale times weight scale, so weight scales are
        raised where a bias would not fit into 32 bits. A layer used several times needs this for each of its inputs.
        """
        name = node.input[1]
        values = numpy_helper.to_array(self.graph.constants[name]).astype(np.float32)
        bias_name = node.input[2] if len(node.input) > 2 else ""
        bias = numpy_helper.to_array(self.graph.constants[bias_name]) if bias_name else None
        peaks = np.abs(values).reshape(len(values), -1).max(axis=1)
        scale = np.maximum(peaks if self.per_channel else np.full_like(peaks, peaks.max()), 1e-8) / self.limit
        integer_bias = self.integer_bias and bias is not None and node.input[0] in self.scales
        if integer_bias and bias is not None:
            inputs = [self.scales[r.input[0]] for r in self.graph.consumers[name] if r.input[0] in self.scales]
            scale = np.maximum(scale, np.abs(bias) / min(inputs) / 2**30)
        scale = scale.astype(np.float32)
        steps = np.round(values / scale.reshape(-1, *[1] * (values.ndim - 1)))
        node.input[1] = self._dequantized(name, np.clip(steps, -self.limit, self.limit).astype(np.int8), scale)
        if integer_bias and bias is not None:
            sums = self.scales[node.input[0]] * scale
            once = len(self.graph.consumers[name]) == 1
            name_here = bias_name if once else f"{bias_name}.{node.name}"
            node.input[2] = self._dequantized(name_here, np.round(bias / sums).astype(np.int32), sums)

    def finish(self) -> None:
        """Write all nodes in order, and drop the constants and the type information of what was removed."""
        graph = self.model.graph
        ordered = [*self.weight_nodes]
        for tensor in self.graph.inputs:
            ordered += self.pairs.get(tensor, [])
        for node in self.graph.nodes:
            if node.name not in self.removed:
                ordered.append(node)
                for output in node.output:
                    ordered += self.pairs.get(output, [])
        copies = []
        for node in ordered:
            copies.append(NodeProto())
            copies[-1].CopyFrom(node)
        used = {x for n in copies for x in n.input}
        constants = [c for c in graph.initializer if c.name in used]
        constants = [TensorProto.FromString(c.SerializeToString()) for c in constants]
        computed = {o for n in copies for o in n.output}
        infos = [onnx.ValueInfoProto.FromString(v.SerializeToString()) for v in graph.value_info if v.name in computed]
        for repeated, items in ((graph.node, copies), (graph.initializer, constants), (graph.value_info, infos)):
            del repeated[:]
            repeated.extend(items)

    def _dequantized(self, name: str, values: NDArray, scale: NDArray[np.float32]) -> str:
        """The name of a float tensor that is dequantized from a constant of integers, with its scale of each channel.

        If a layer is used several times, its constant is written once.
        """
        if f"{name}.dq" not in {n.output[0] for n in self.weight_nodes}:
            names = [f"{name}.q", f"{name}.scale", f"{name}.zero_point"]
            if not self.per_channel:
                scale = scale[0]
            for each, array in zip(names, (values, scale, np.zeros(np.shape(scale), values.dtype)), strict=True):
                self._constant(each, np.asarray(array))
            node = helper.make_node("DequantizeLinear", names, [f"{name}.dq"], f"{name}.dequantize")
            if self.per_channel:
                node.attribute.append(helper.make_attribute("axis", 0))
            self.weight_nodes.append(node)
        return f"{name}.dq"

    def _constant(self, name: str, array: NDArray) -> None:
        self.model.graph.initializer.append(numpy_helper.from_array(array, name))
