"""Rewrite a graph of another exporter to the contract of `export`: its inputs, outputs, names, opset and types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx
import onnx.checker
import onnx.compose
import onnx.parser
import onnx.version_converter
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from hrnet_deploy.architecture import IMAGE_SIZE, INPUT
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.export import OPSET
from hrnet_deploy.graph.foreign.preparation import NCHW, NHWC, Preparation
from hrnet_deploy.graph.foreign.reading import STANDARD, reads, subgraphs

OLDEST = 18  # opsets from here on are left as they are; older ones are converted
LEAST = 13  # int8 with a scale per channel needs this
TO_NHWC = "image.nhwc"  # the input transposed, for a network that begins with its colours last


def set_shape(value: ValueInfoProto, shape: Sequence[int | str]) -> None:
    """Give an input or an output of a graph these axes."""
    del value.type.tensor_type.shape.dim[:]
    for size in shape:
        if isinstance(size, int):
            value.type.tensor_type.shape.dim.add(dim_value=size)
        else:
            value.type.tensor_type.shape.dim.add(dim_param=size)


def set_input_shape(model: ModelProto, name: str, shape: Sequence[int | str]) -> None:
    """Give the input of that name these axes."""
    set_shape(next(v for v in model.graph.input if v.name == name), shape)


def cut(
    model: ModelProto,
    found: Preparation,
    outputs: Mapping[str, str],
    shape: Sequence[int | str],
    path: object,
) -> ModelProto:
    """The part of a graph between the prepared image and some tensors.

    Args:
        model: the graph, with sorted nodes; it is not changed.
        found: where the network begins.
        outputs: the new names of the tensors in which it ends, by their present names.
        shape: (N, C, H, W) of the new input.
        path: named in errors.

    Raises BadInput if the rest uses the file's input in another way, or has operators that are not ONNX's own.
    """
    nodes, needed = [], set(outputs)
    start = {found.tensor, found.input} if found.at == found.layout == NCHW else {found.tensor}
    for node in reversed(model.graph.node):
        if set(node.output) & needed and not set(node.output) & start:
            needed |= reads(node)
            nodes.append(node)
    if found.input in needed - start:
        raise BadInput(
            f"{path} reads its input {found.input} in two ways, before and after preparing it — export it without the "
            "preparation of images"
        )
    require_standard(nodes, path)
    renamed = dict(outputs)
    begins = TO_NHWC if found.at == NHWC else INPUT
    renamed |= dict.fromkeys(start, begins)
    graph = GraphProto(name="network")
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, list(shape)))
    if found.at == NHWC:
        graph.node.append(helper.make_node("Transpose", [INPUT], [TO_NHWC], TO_NHWC, perm=[0, 2, 3, 1]))
    taken = {INPUT, TO_NHWC, *outputs.values()}
    everything = {x for n in model.graph.node for x in (*n.input, *n.output)}
    renamed |= {x: f"{x}.file" for x in sorted(everything & taken) if x not in renamed}
    for node in reversed(nodes):
        graph.node.append(_renamed(node, renamed))
    used = {x for n in graph.node for x in reads(n)}
    for tensor in model.graph.initializer:
        name = renamed.get(tensor.name, tensor.name)
        if name in used:
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = name
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.output}
    graph.output.extend(
        helper.make_tensor_value_info(new, types.get(old) or TensorProto.FLOAT, None) for old, new in outputs.items()
    )
    result = ModelProto(ir_version=max(model.ir_version, 8), graph=graph)
    result.opset_import.extend(o for o in model.opset_import if o.domain in STANDARD)
    return result


def _renamed(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    copy = NodeProto.FromString(node.SerializeToString())
    copy.input[:] = [names.get(x, x) for x in node.input]
    copy.output[:] = [names.get(x, x) for x in node.output]
    return copy


def require_standard(nodes: Iterable[NodeProto], path: object) -> None:
    """Raise BadInput for operators that are not ONNX's own, and for control flow."""
    for node in nodes:
        if node.domain not in STANDARD:
            optimised = node.domain.startswith("com.microsoft")
            cure = (
                "it was optimised for ONNX Runtime; adopt the file that it was made from"
                if optimised
                else "export it with a configuration for plain ONNX Runtime, without a plug-in"
            )
            raise BadInput(
                f"{path} needs the operator {node.domain[:40]}::{node.op_type[:40]}, which is not ONNX's own — {cure}"
            )
        if any(subgraphs(node)):
            raise BadInput(
                f"{path} has control flow inside its network ({node.op_type} {node.name[:60]}), which int8 and "
                "TensorRT cannot follow — export it by tracing, with fixed sizes"
            )


def with_shapes(model: ModelProto, sizes: Mapping[str, Sequence[int]], batch: int | str) -> ModelProto:
    """The model with the types and shapes of its tensors, as far as they can be inferred.

    Args:
        model: the model.
        sizes: shapes of outputs in one run, by name; their first axis is the batch.
        batch: the batch of the model.
    """
    for value in model.graph.output:
        if value.name in sizes:
            set_shape(value, (batch, *sizes[value.name][1:]))
    made: ModelProto = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return made


def to_opset(model: ModelProto, path: object) -> tuple[ModelProto, int]:
    """The model in an opset that every command takes, and that opset.

    Raises BadInput if the opset is too old and cannot be converted.
    """
    has = next(o.version for o in model.opset_import if o.domain in STANDARD)
    if has >= OLDEST:
        return model, has
    try:
        made = onnx.version_converter.convert_version(model, OPSET)
        onnx.checker.check_model(made)
    except Exception as error:  # the converter raises many types
        if has >= LEAST:
            return model, has
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(
            f"{path} uses opset {has}, which onnx cannot convert to {OPSET} ({first[:120]}) — export it with opset "
            f"{LEAST} or newer"
        ) from error
    return made, OPSET


def with_lists(model: ModelProto, text: str, connect: Mapping[str, str]) -> ModelProto:
    """The model with the graph in a text behind it.

    Args:
        model: a model whose outputs are the values of `connect`.
        text: in ONNX's text form; its input `image_size` becomes an input of the model.
        connect: the input of the text for each output of the model.
    """
    last = onnx.parser.parse_model(text)
    used = {i for n in last.graph.node for i in n.input}
    constants = [c for c in last.graph.initializer if c.name in used]
    del last.graph.initializer[:]
    last.graph.initializer.extend(constants)
    last.ir_version = model.ir_version
    for node in last.graph.node:
        node.name = node.output[0]
    prefix = "after."
    last = onnx.compose.add_prefix(last, prefix)
    pairs = [(output, f"{prefix}{name}") for name, output in connect.items()]
    whole: ModelProto = onnx.compose.merge_models(model, last, io_map=pairs)
    graph = whole.graph
    names = {v.name: v.name.removeprefix(prefix) for v in (*graph.input, *graph.output)}
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
    copies = [_renamed(n, names) for n in graph.node]
    del graph.node[:]
    graph.node.extend(copies)
    order = {INPUT: 0, IMAGE_SIZE: 1}
    inputs = sorted(
        (onnx.ValueInfoProto.FromString(v.SerializeToString()) for v in graph.input), key=lambda v: order[v.name]
    )
    del graph.input[:]
    graph.input.extend(inputs)
    onnx.checker.check_model(whole)
    return whole


def only(model: ModelProto, outputs: Sequence[str]) -> ModelProto:
    """The part of a model that computes some tensors from its own inputs, which it keeps. Tensors that are inputs
    themselves are left out."""
    nodes, needed = [], set(outputs)
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed |= reads(node)
            nodes.append(node)
    made = {o for n in nodes for o in n.output}
    result = ModelProto(ir_version=model.ir_version, graph=GraphProto(name=model.graph.name or "part"))
    result.opset_import.extend(model.opset_import)
    result.graph.node.extend(reversed(nodes))
    result.graph.initializer.extend(i for i in model.graph.initializer if i.name in needed)
    result.graph.input.extend(v for v in model.graph.input if v.name in needed)
    result.graph.output.extend(onnx.ValueInfoProto(name=o) for o in outputs if o in made)
    return result
