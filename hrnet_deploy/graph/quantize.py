"""Where integers go in an HRNet's graph, as one policy a target, and the graph with them in it.

A policy says which tensors pass through a QuantizeLinear/DequantizeLinear pair; an engine then computes what stands
between pairs in int8. What each engine can fuse differs, and so the places do: a pair between a convolution and the
residual Add it feeds lets ONNX Runtime keep everything in integers, and keeps TensorRT from fusing the two.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.backbone import network_part
from hrnet_deploy.graph.ranges import S8, U8, Grid, Range, scale_of

WEIGHTED = ("Conv", "Gemm")
SAME_VALUES = (
    "Resize",
    "MaxPool",
    "AveragePool",
)  # give values of their input (or between them), so they keep its scale
TOGETHER = "Concat"  # gives values of all its inputs, which share one scale with it: so it stays a copy of bytes
JOINED = "Add"
OPS = (*WEIGHTED, JOINED, "Relu", *SAME_VALUES)


@dataclass(frozen=True)
class Target:
    """What an engine wants. `outputs`: tensors between operators are quantized too, so that none goes back to float;
    `integer_bias`: int32 biases; `fused_add`: an Add's convolution side stays unquantized, so that both fuse."""

    name: str
    grid: Grid
    ops: tuple[str, ...]
    outputs: bool
    integer_bias: bool
    fused_add: bool


TARGETS = {
    "ort": Target("ort", U8, (*OPS, TOGETHER), outputs=True, integer_bias=True, fused_add=False),
    "openvino": Target("openvino", U8, (*OPS, TOGETHER), outputs=True, integer_bias=False, fused_add=True),
    "trt": Target("trt", S8, OPS, outputs=False, integer_bias=False, fused_add=True),
}


@dataclass(frozen=True)
class Placement:
    """Which tensors get a pair, which convolutions get integer weights, and for tensors that share a scale the ones whose
    ranges together make it."""

    activations: tuple[str, ...]
    weighted: tuple[str, ...]  # names of nodes
    shares: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def ranged(self) -> tuple[str, ...]:
        """The tensors whose range has to be known."""
        return tuple(dict.fromkeys(s for a in self.activations for s in self.sources(a)))

    def sources(self, tensor: str) -> tuple[str, ...]:
        return self.shares.get(tensor, (tensor,))

    def range_of(self, tensor: str, ranges: Mapping[str, Range]) -> Range:
        """What a tensor's scale has to span, of the ranges of single tensors."""
        lows, highs = zip(*(ranges[s] for s in self.sources(tensor)), strict=True)
        return min(lows), max(highs)


class Graph:
    """Who makes and who reads each tensor of a model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = list(model.graph.node)
        self.constants = {i.name: i for i in model.graph.initializer}
        self.outputs = {o.name for o in model.graph.output}
        self.inputs = {i.name for i in model.graph.input}
        known = (*model.graph.value_info, *model.graph.input, *model.graph.output)
        self.integers = {
            v.name for v in known if v.type.tensor_type.elem_type not in (TensorProto.UNDEFINED, TensorProto.FLOAT)
        }
        self.maker = {o: n for n in self.nodes for o in n.output}
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)
        self.order = {n.name: i for i, n in enumerate(self.nodes)}

    def activations(self, node: NodeProto) -> list[str]:
        """The inputs of a node that are values, not weights or sizes."""
        first = node.input[:1] if node.op_type in (*WEIGHTED, "ConvTranspose", *SAME_VALUES) else node.input
        return [x for x in first if x and x not in self.constants]

    def of_values(self, node: NodeProto) -> bool:
        """Whether a node computes with values, not with sizes or places (which graphs of open axes do)."""
        return node.output[0] not in self.integers

    def ancestors(self, tensor: str) -> set[str]:
        """The tensors one is computed from, and itself."""
        found, waiting = {tensor}, [tensor]
        while waiting:
            maker = self.maker.get(waiting.pop())
            fresh = set(maker.input) - found if maker is not None else set()
            found |= fresh
            waiting += fresh
        return found

    def after_relu(self, tensor: str) -> str:
        """What becomes of a tensor that only a Relu reads: the Relu's output."""
        readers = self.readers[tensor]
        return (
            readers[0].output[0]
            if len(readers) == 1 and readers[0].op_type == "Relu" and tensor not in self.outputs
            else tensor
        )

    def convolution_side(self, add: NodeProto) -> str:
        """The input of an Add that comes straight from a convolution nobody else reads; the last one, where a
        projection stands on the shortcut as well. Empty where there is none."""
        sides = [
            x for x in add.input if x in self.maker and self.maker[x].op_type == "Conv" and len(self.readers[x]) == 1
        ]
        return max(sides, key=lambda x: self.order[self.maker[x].name], default="")


def place(model: onnx.ModelProto, target: Target, exclude: Collection[str] = ()) -> Placement:
    """Where pairs go, all of them in the network: what it ends in stays as it is. `exclude` names operators (`stage4.*`) that stay in
    float; each must name one."""
    graph, part = Graph(model), network_part(model, regions=False)
    kept = {n.name for n in graph.nodes for pattern in exclude if fnmatch(n.name, pattern)}
    for pattern in exclude:
        if not any(fnmatch(n.name, pattern) for n in graph.nodes):
            near = difflib.get_close_matches(pattern, [n.name for n in graph.nodes], n=1, cutoff=0.0)
            raise BadInput(f"--exclude {pattern} names no operator of the graph — the nearest is {near[0]}")
    activations: dict[str, None] = {}
    together: list[tuple[str, list[str]]] = []  # an output, and the inputs it shares its scale with
    weighted = []
    for node in graph.nodes:
        if node.op_type not in target.ops or node.name in kept or node.op_type == "Relu" or not graph.of_values(node):
            continue
        if node.name not in part:
            continue
        inputs = graph.activations(node)
        if node.op_type in WEIGHTED:
            if node.input[1] not in graph.constants or not _by_output(node):
                continue
            weighted.append(node.name)
        fused = graph.convolution_side(node) if node.op_type == JOINED and target.fused_add else ""
        activations.update(dict.fromkeys(x for x in inputs if x != fused))
        output = graph.after_relu(node.output[0])
        if target.outputs and any(r.name in part for r in graph.readers[output]):
            feeds_fused = target.fused_add and any(
                r.op_type == JOINED and r.name not in kept and graph.convolution_side(r) == output
                for r in graph.readers[output]
            )
            if not feeds_fused:
                activations[output] = None
        if node.op_type in (*SAME_VALUES, TOGETHER) and output == node.output[0]:
            together.append((output, inputs))
    if not weighted:
        raise BadInput("no convolution is left to quantize — exclude less")
    return Placement(tuple(activations), tuple(weighted), _shared([(o, i) for o, i in together if o in activations]))


def _by_output(node: NodeProto) -> bool:
    """Whether a weight's first axis is that of the outputs, as in a convolution and in PyTorch's linear layers."""
    return node.op_type == "Conv" or any(a.name == "transB" and a.i == 1 for a in node.attribute)


def _shared(together: Sequence[tuple[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    """For every tensor of a group that shares a scale, those of the group that are no mere output of it."""
    groups: dict[str, list[str]] = {}
    for output, inputs in together:
        joined = list(dict.fromkeys(t for x in (*inputs, output) for t in groups.get(x, [x])))
        groups.update(dict.fromkeys(joined, joined))
    outputs = {o for o, _ in together}
    return {tensor: tuple(t for t in group if t not in outputs) for tensor, group in groups.items()}


def fusion_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """The operators that join branches of several resolutions: every Resize, and every Add that reads one or whose
    sides were computed apart. (At a residual Add one side was computed from what the other is, or is projected from.)"""
    graph = Graph(model)
    found = [n.name for n in graph.nodes if n.op_type == "Resize"]
    for node in graph.nodes:
        if node.op_type != JOINED or any(x in graph.constants for x in node.input):
            continue
        makers = [graph.maker.get(x) for x in node.input]
        sources = [
            m.input[0] if m is not None and m.op_type in WEIGHTED else x
            for x, m in zip(node.input, makers, strict=True)
        ]
        residual = any(s in graph.ancestors(x) for s, x in zip(sources[::-1], node.input, strict=True))
        if not residual or any(m is not None and m.op_type == "Resize" for m in makers):
            found.append(node.name)
    return tuple(found)


def block_of(name: str) -> str:
    """A pattern for the part of the network an operator belongs to: a branch of a module, a module's fusion, a
    residual unit, a layer."""
    body = "backbone." if name.startswith("backbone.") else ""
    parts = name.removeprefix(body).split(".")
    if parts[0].startswith("stage"):
        return body + (".".join(parts[:4]) + ".*" if parts[2] == "branches" else f"{parts[0]}.{parts[1]}.[!b]*")
    return f"{body}{parts[0]}.{parts[1]}.*" if len(parts) > 2 else name


def quantize(
    model: onnx.ModelProto, target: Target, placement: Placement, ranges: Mapping[str, Range], reduced: bool = False
) -> onnx.ModelProto:
    """A copy of a float32 model with pairs in it. `reduced` keeps weights to 7 bits, for processors whose u8 x s8
    products overflow 16 bits (no VNNI)."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    writer = _Writer(result, target, reduced)
    for tensor in placement.activations:
        writer.activation(tensor, *scale_of(*placement.range_of(tensor, ranges), target.grid))
    for node in result.graph.node:
        if node.name in placement.weighted:
            writer.weights(node)
    writer.finish()
    return result


class _Writer:
    """Collects the new nodes and constants, then puts the graph together in order."""

    def __init__(self, model: onnx.ModelProto, target: Target, reduced: bool) -> None:
        self.model, self.target = model, target
        self.graph = Graph(model)
        self.limit = 64 if reduced else 127
        self.scales: dict[str, np.float32] = {}  # of a tensor, by the name of its dequantized copy
        self.pairs: dict[str, list[NodeProto]] = {}  # by the tensor they follow
        self.weight_nodes: list[NodeProto] = []
        self.gone: set[str] = set()  # names of nodes that fell away

    def activation(self, tensor: str, scale: np.float32, zero: int) -> None:
        """A pair after a tensor; everybody reads its result. A Relu before it is what a zero point of 0 does anyway."""
        source = tensor
        maker = self.graph.maker.get(tensor)
        unsigned = not self.target.grid.symmetric
        if (
            unsigned
            and zero == 0
            and maker is not None
            and maker.op_type == "Relu"
            and self.graph.after_relu(maker.input[0]) == tensor
        ):
            source = maker.input[0]
            self.gone.add(maker.name)
        kind = np.uint8 if unsigned else np.int8
        names = [f"{tensor}.scale", f"{tensor}.zero_point"]
        self._constant(names[0], np.array(scale, np.float32))
        self._constant(names[1], np.array(zero, kind))
        self.pairs[source] = [
            helper.make_node("QuantizeLinear", [source, *names], [f"{tensor}.q"], f"{tensor}.quantize"),
            helper.make_node("DequantizeLinear", [f"{tensor}.q", *names], [f"{tensor}.dq"], f"{tensor}.dequantize"),
        ]
        for reader in self.graph.readers[tensor]:
            reader.input[:] = [f"{tensor}.dq" if x == tensor else x for x in reader.input]
        self.scales[f"{tensor}.dq"] = scale

    def weights(self, node: NodeProto) -> None:
        """int8 weights with a scale an output channel (axis 0), and an int32 bias where the target wants one."""
        name = node.input[1]
        values = numpy_helper.to_array(self.graph.constants[name]).astype(np.float32)
        bias_name = node.input[2] if len(node.input) > 2 else ""
        bias = numpy_helper.to_array(self.graph.constants[bias_name]) if bias_name else None
        scale = np.maximum(np.abs(values).reshape(len(values), -1).max(axis=1), 1e-8) / self.limit
        integer_bias = self.target.integer_bias and bias is not None and node.input[0] in self.scales
        if (
            integer_bias and bias is not None
        ):  # a bias must fit 32 bits at the scale its sum has, for every input a shared layer reads
            inputs = [self.scales[r.input[0]] for r in self.graph.readers[name] if r.input[0] in self.scales]
            scale = np.maximum(scale, np.abs(bias) / min(inputs) / 2**30)
        scale = scale.astype(np.float32)
        steps = np.round(values / scale.reshape(-1, *[1] * (values.ndim - 1)))
        node.input[1] = self._dequantized(name, np.clip(steps, -self.limit, self.limit).astype(np.int8), scale)
        if integer_bias and bias is not None:
            sums = self.scales[node.input[0]] * scale
            once = len(self.graph.readers[name]) == 1
            called = bias_name if once else f"{bias_name}.{node.name}"
            node.input[2] = self._dequantized(called, np.round(bias / sums).astype(np.int32), sums)

    def finish(self) -> None:
        graph = self.model.graph
        ordered = [*self.weight_nodes]
        for tensor in self.graph.inputs:
            ordered += self.pairs.get(tensor, [])
        for node in self.graph.nodes:
            if node.name not in self.gone:
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
        made = {o for n in copies for o in n.output}
        infos = [onnx.ValueInfoProto.FromString(v.SerializeToString()) for v in graph.value_info if v.name in made]
        for whole, parts in ((graph.node, copies), (graph.initializer, constants), (graph.value_info, infos)):
            del whole[:]
            whole.extend(parts)

    def _dequantized(self, name: str, values: NDArray, scale: NDArray[np.float32]) -> str:
        """A constant in integers and the node that reads it per channel; its result's name. Shared weights once."""
        if f"{name}.dq" not in {n.output[0] for n in self.weight_nodes}:
            names = [f"{name}.q", f"{name}.scale", f"{name}.zero_point"]
            for each, array in zip(names, (values, scale, np.zeros(scale.shape, values.dtype)), strict=True):
                self._constant(each, array)
            self.weight_nodes.append(
                helper.make_node("DequantizeLinear", names, [f"{name}.dq"], f"{name}.dequantize", axis=0)
            )
        return f"{name}.dq"

    def _constant(self, name: str, array: NDArray) -> None:
        self.model.graph.initializer.append(numpy_helper.from_array(array, name))
