"""Decide which tensors of an HRNet's graph are quantized for an engine, and write the quantized graph.

A tensor is quantized by a QuantizeLinear/DequantizeLinear (Q/DQ) pair after it. An engine computes an operator in int8
if there are pairs around it. Engines differ in what they can fuse, so each has its own placement. For example, a
pair between a convolution and the residual Add it feeds lets ONNX Runtime stay in integers, but keeps TensorRT from
fusing the two operators.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch

import onnx
from onnx import NodeProto

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.backbone import network_part
from hrnet_deploy.graph.index import SAME_RANGE, WEIGHTED, GraphIndex
from hrnet_deploy.graph.qdq import QDQWriter
from hrnet_deploy.graph.ranges import S8, U8, Grid, Range, scale_of

CONCAT = "Concat"  # if all inputs and the output share one scale, an engine only copies bytes
ADD = "Add"
OPS = (*WEIGHTED, ADD, "Relu", *SAME_RANGE)


@dataclass(frozen=True)
class Target:
    """How an engine wants a graph to be quantized.

    Attributes:
        name: the name of the engine.
        grid: the integers that activations are rounded to.
        ops: the types of the operators that are quantized.
        outputs: True if the outputs of operators are quantized too, so that no tensor between two of them is float32.
        integer_bias: True if biases are stored as int32, False if they stay float32.
        fused_add: True if the engine computes an Add together with the convolution before it. The tensor between the
            two then stays unquantized.
        sparing: True if a tensor is quantized only where a pointwise kernel writes it in any case, so that no kernel
            is added. Only convolutions read such a pair, and their weights have one scale for all channels, because
            the engine gives the result of a convolution with a scale per channel in float32.
    """

    name: str
    grid: Grid
    ops: tuple[str, ...]
    outputs: bool
    integer_bias: bool
    fused_add: bool
    sparing: bool = False


TARGETS = {
    "ort": Target("ort", U8, (*OPS, CONCAT), outputs=True, integer_bias=True, fused_add=False),
    "openvino": Target("openvino", U8, (*OPS, CONCAT), outputs=True, integer_bias=False, fused_add=True),
    "trt": Target("trt", S8, OPS, outputs=False, integer_bias=False, fused_add=True),
    "trt-rtx": Target("trt-rtx", S8, ("Conv",), outputs=False, integer_bias=False, fused_add=True, sparing=True),
}


@dataclass(frozen=True)
class Placement:
    """Which tensors and which weights of a graph are quantized.

    Attributes:
        activations: the tensors that get a Q/DQ pair.
        weighted: the names of the operators whose weights become int8.
        shares: for each tensor that shares its scale with others, the tensors whose ranges decide this scale.
    """

    activations: tuple[str, ...]
    weighted: tuple[str, ...]
    shares: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def ranged(self) -> tuple[str, ...]:
        """The tensors whose range has to be measured."""
        return tuple(dict.fromkeys(s for a in self.activations for s in self.sources(a)))

    def sources(self, tensor: str) -> tuple[str, ...]:
        """The tensors whose ranges decide the scale of `tensor`; usually the tensor alone."""
        return self.shares.get(tensor, (tensor,))

    def range_of(self, tensor: str, ranges: Mapping[str, Range]) -> Range:
        """The range that a tensor's scale has to span, from the ranges of single tensors."""
        lows, highs = zip(*(ranges[s] for s in self.sources(tensor)), strict=True)
        return min(lows), max(highs)


def place(model: onnx.ModelProto, target: Target, exclude: Collection[str] = ()) -> Placement:
    """Decide where pairs go. The tensors in which the network part of the graph ends stay float32.

    Args:
        model: a float32 model.
        target: the engine to quantize for.
        exclude: names of operators that stay float32, as patterns such as `stage4.*`.

    Raises:
        BadInput: a pattern matches no operator, or nothing is left to quantize.
    """
    graph, part = GraphIndex(model), network_part(model, regions=False)
    kept = {n.name for n in graph.nodes for pattern in exclude if fnmatch(n.name, pattern)}
    for pattern in exclude:
        if not any(fnmatch(n.name, pattern) for n in graph.nodes):
            near = difflib.get_close_matches(pattern, [n.name for n in graph.nodes], n=1, cutoff=0.0)
            raise BadInput(f"--exclude {pattern} names no operator of the graph — the nearest is {near[0]}")
    activations: dict[str, None] = {}
    sharing: list[tuple[str, list[str]]] = []  # an output, and the inputs it shares its scale with
    weighted = []
    for node in graph.nodes:
        if (
            node.op_type not in target.ops
            or node.name in kept
            or node.op_type == "Relu"
            or not graph.computes_floats(node)
        ):
            continue
        if node.name not in part:
            continue
        inputs = graph.activations(node)
        if node.op_type in WEIGHTED:
            if node.input[1] not in graph.constants or not _outputs_first(node):
                continue
            if target.sparing and not _is_pointwise(graph, node.input[0]):
                continue
            weighted.append(node.name)
        fused = graph.convolution_side(node) if node.op_type == ADD and target.fused_add else ""
        activations.update(dict.fromkeys(x for x in inputs if x != fused))
        output = graph.after_relu(node.output[0])
        if target.outputs and any(r.name in part for r in graph.consumers[output]):
            feeds_fused = target.fused_add and any(
                r.op_type == ADD and r.name not in kept and graph.convolution_side(r) == output
                for r in graph.consumers[output]
            )
            if not feeds_fused:
                activations[output] = None
        if node.op_type in (*SAME_RANGE, CONCAT) and output == node.output[0]:
            sharing.append((output, inputs))
    if not weighted:
        raise BadInput("no convolution is left to quantize — exclude less")
    return Placement(
        tuple(activations), tuple(weighted), _shared_scales([(o, i) for o, i in sharing if o in activations])
    )


def _is_pointwise(graph: GraphIndex, tensor: str) -> bool:
    """Whether an engine writes a tensor with a pointwise kernel even if nothing is quantized.

    These are the inputs of the graph, which are converted, and what is computed from a Resize by sums, Relu and Concat.
    """
    node = graph.producer.get(tensor)
    while node is not None and node.op_type == "Relu":
        node = graph.producer.get(node.input[0])
    if node is None:
        return tensor in graph.inputs
    producers = [p for x in node.input if (p := graph.producer.get(x)) is not None]
    return node.op_type == CONCAT or (node.op_type == ADD and any(p.op_type == "Resize" for p in producers))


def _outputs_first(node: NodeProto) -> bool:
    """Whether the first axis of the weights is that of the output channels, as in PyTorch's layers."""
    return node.op_type == "Conv" or any(a.name == "transB" and a.i == 1 for a in node.attribute)


def _shared_scales(sharing: Sequence[tuple[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    """`Placement.shares` of operators whose output shares its scale with their inputs.

    Tensors connected by such operators form a group. The scale of a group is decided by its tensors that are no output
    of such an operator: the ranges of the outputs follow from theirs.
    """
    groups: dict[str, list[str]] = {}
    for output, inputs in sharing:
        joined = list(dict.fromkeys(t for x in (*inputs, output) for t in groups.get(x, [x])))
        groups.update(dict.fromkeys(joined, joined))
    outputs = {o for o, _ in sharing}
    return {tensor: tuple(t for t in group if t not in outputs) for tensor, group in groups.items()}


def fusion_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """The names of the operators that fuse branches of different resolutions.

    These are every Resize, every Add that reads a Resize, and every Add that is not residual. An Add is residual if one
    side is computed from the other, or from the tensor that the other is a projection of.
    """
    graph = GraphIndex(model)
    found = [n.name for n in graph.nodes if n.op_type == "Resize"]
    for node in graph.nodes:
        if node.op_type != ADD or any(x in graph.constants for x in node.input):
            continue
        producers = [graph.producer.get(x) for x in node.input]
        sources = [
            p.input[0] if p is not None and p.op_type in WEIGHTED else x
            for x, p in zip(node.input, producers, strict=True)
        ]
        residual = any(s in graph.ancestors(x) for s, x in zip(sources[::-1], node.input, strict=True))
        if not residual or any(p is not None and p.op_type == "Resize" for p in producers):
            found.append(node.name)
    return tuple(found)


def block_of(name: str) -> str:
    """A pattern that matches the block an operator belongs to.

    A block is a branch of a module, the fusion of a module, a residual unit or a single layer.
    """
    body = "backbone." if name.startswith("backbone.") else ""
    parts = name.removeprefix(body).split(".")
    if parts[0].startswith("stage"):
        return body + (".".join(parts[:4]) + ".*" if parts[2] == "branches" else f"{parts[0]}.{parts[1]}.[!b]*")
    return f"{body}{parts[0]}.{parts[1]}.*" if len(parts) > 2 else name


def quantize(
    model: onnx.ModelProto,
    target: Target,
    placement: Placement,
    ranges: Mapping[str, Range],
    reduce_range: bool = False,
) -> onnx.ModelProto:
    """A quantized copy of a float32 model.

    Args:
        model: a float32 model; it is not changed.
        target: the engine to quantize for.
        placement: what `place` gave for this model and target.
        ranges: smallest and largest value of every tensor of `placement.ranged`.
        reduce_range: True limits weights to 7 bits, for processors without VNNI, on which sums of u8 x s8 products
            overflow 16 bits.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    writer = QDQWriter(result, target.grid, target.integer_bias, reduce_range, per_channel=not target.sparing)
    readers = placement.weighted if target.sparing else None
    for tensor in placement.activations:
        writer.activation(tensor, *scale_of(*placement.range_of(tensor, ranges), target.grid), readers)
    for node in result.graph.node:
        if node.name in placement.weighted:
            writer.weights(node)
    writer.finish()
    return result
