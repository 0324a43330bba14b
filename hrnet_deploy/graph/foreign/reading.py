"""Read an ONNX file that another program wrote, and bring it into a form that the rest of this package can look at.

The result has its weights inside, no local functions, constants as initializers, float32 in place of other floats,
nodes in topological order, and a name for every node. What cannot become that is refused by name.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import KEY, load_model

Shape = tuple[int | str, ...]
STANDARD = ("", "ai.onnx")
QUANTIZED = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "QLinearConv",
        "QLinearMatMul",
        "ConvInteger",
        "MatMulInteger",
    }
)
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
OTHER_FLOATS = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16", TensorProto.DOUBLE: "float64"}


def shape_of(value: ValueInfoProto) -> Shape | None:
    """The shape of a tensor, with 0 for an axis that is neither fixed nor named (-1 in some files); None if not even
    the rank is known."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(max(0, d.dim_value) if d.HasField("dim_value") else _axis(d.dim_param) for d in kind.shape.dim)


def _axis(name: str) -> int | str:
    """The name of an open axis; 0 for one that shape inference has made up."""
    return 0 if name.startswith("unk__") else name or 0


def written(shape: Shape | None) -> str:
    """A shape as text: 1x17x64x48, with ? for an axis that is open."""
    return "of unknown shape" if shape is None else "x".join(str(d) if d else "?" for d in shape) or "scalar"


def type_name(kind: int) -> str:
    """The name of an element type of ONNX: float, uint8."""
    return TensorProto.DataType.Name(kind).lower()  # type: ignore[arg-type]


def tensor_text(value: ValueInfoProto) -> str:
    """An input or an output in words: image float 1x3x256x192."""
    kind = type_name(value.type.tensor_type.elem_type)
    return f"{value.name} {kind} {written(shape_of(value))}"


@dataclass(frozen=True)
class Foreign:
    """A graph of another exporter.

    Attributes:
        model: the graph in float32, with its weights; nodes are sorted and have unique names.
        producer: the program that wrote the file, as the file says.
        opset: of the file.
        floats: the type of its weights where it is not float32, such as "float16"; empty otherwise.
        takes, gives: its inputs and outputs in words.
        input_types: ONNX element types of the inputs as the file declares them, by name.
    """

    model: ModelProto
    producer: str
    opset: int
    floats: str = ""
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    input_types: dict[str, int] = field(default_factory=dict)


def read_foreign(path: Path) -> Foreign:
    """Read a file. Raises BadInput, with the reason and a cure, for what is no float ONNX network."""
    model = load_model(path)
    if any(p.key == KEY for p in model.metadata_props):
        raise BadInput(f"{path} was made by hrnet-deploy and describes itself — use it as it is")
    if model.functions:
        import onnx.inliner

        model = onnx.inliner.inline_local_functions(model)
    graph = model.graph
    if graph.sparse_initializer:
        raise BadInput(f"{path} stores sparse weights, which are not supported — export it with dense ones")
    if quantized := next((n.op_type for n in graph.node if n.op_type in QUANTIZED), ""):
        raise BadInput(
            f"{path} is quantized already (it has {quantized}) — adopt the float file it was made from, and quantize "
            "that with `hrnet-deploy quantize`"
        )
    opset = next(o.version for o in model.opset_import if o.domain in STANDARD)
    initializers = {i.name for i in graph.initializer}
    inputs = [v for v in graph.input if v.name not in initializers]  # files of IR 3 list their weights as inputs
    del graph.input[:]
    graph.input.extend(inputs)
    types = {v.name: v.type.tensor_type.elem_type for v in inputs}
    takes, gives = (tuple(tensor_text(v) for v in values) for values in (inputs, graph.output))
    _constants_to_initializers(graph)
    known = helper.get_all_tensor_dtypes()
    if odd := next((t.name for t in graph.initializer if t.data_type not in known), ""):
        raise BadInput(f"{path} is damaged: its weight {odd} has no known type of numbers — export it again")
    _sort(graph, path)
    if not any(n.op_type in WEIGHTED for n in graph.node):
        raise BadInput(f"{path} has no layer with weights, so it is not a network — name the ONNX file of a network")
    floats = _to_float32(graph)
    _name_nodes(graph)
    producer = " ".join(filter(None, (model.producer_name, model.producer_version)))
    return Foreign(model, producer or "an exporter that does not give its name", opset, floats, takes, gives, types)


def _bytes(tensor: TensorProto) -> int:
    return math.prod(tensor.dims) * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _constants_to_initializers(graph: GraphProto) -> None:
    kept = []
    for node in graph.node:
        value = next((a for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            graph.initializer.add().CopyFrom(value.t)
            graph.initializer[-1].name = node.output[0]
        elif node.op_type == "Constant" and node.attribute and node.attribute[0].name.startswith("value_"):
            array = np.asarray(helper.get_attribute_value(node.attribute[0]))
            array = array.astype(np.float32) if array.dtype == np.float64 else array
            graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
        else:
            kept.append(node)
    copies = [NodeProto.FromString(n.SerializeToString()) for n in kept]
    del graph.node[:]
    graph.node.extend(copies)


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs inside an operator: the branches of an If, the body of a Loop."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def reads(node: NodeProto) -> set[str]:
    """The tensors that an operator reads, also inside its subgraphs."""
    found = {x for x in node.input if x}
    for graph in subgraphs(node):
        inside = {o for n in graph.node for o in n.output} | {i.name for i in (*graph.input, *graph.initializer)}
        found |= {x for n in graph.node for x in reads(n)} - inside
    return found


def _sort(graph: GraphProto, path: Path) -> None:
    """Put the nodes in topological order. Raises BadInput where that cannot be done."""
    given = {v.name for v in graph.input} | {i.name for i in graph.initializer}
    made = Counter(o for n in graph.node for o in n.output if o)
    if twice := next((o for o, count in made.items() if count > 1 or o in given), ""):
        raise BadInput(f"{path} is damaged: the tensor {twice[:80]} is computed twice — export it again")
    wanted = [reads(n) for n in graph.node]
    if unknown := next((x for r in wanted for x in sorted(r) if x not in given and x not in made), ""):
        raise BadInput(f"{path} is damaged: the tensor {unknown[:80]} comes from nowhere — export it again")
    if lost := next((o.name for o in graph.output if o.name not in given and o.name not in made), ""):
        raise BadInput(f"{path} is damaged: nothing computes its output {lost[:80]} — export it again")
    waiting = [len(r - given) for r in wanted]
    readers: dict[str, list[int]] = {}
    for index, names in enumerate(wanted):
        for name in names - given:
            readers.setdefault(name, []).append(index)
    ready = [i for i, count in enumerate(waiting) if not count]
    order: list[int] = []
    import heapq

    heapq.heapify(ready)  # among the nodes that are ready, the file's own order stays
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for output in graph.node[index].output:
            for reader in readers.get(output, ()):
                waiting[reader] -= 1
                if not waiting[reader]:
                    heapq.heappush(ready, reader)
    if len(order) < len(graph.node):
        stuck = next(n for i, n in enumerate(graph.node) if waiting[i])
        raise BadInput(f"{path} is damaged: {stuck.op_type} {stuck.name[:80]} waits for itself — export it again")
    copies = [NodeProto.FromString(graph.node[i].SerializeToString()) for i in order]
    del graph.node[:]
    graph.node.extend(copies)


def _to_float32(graph: GraphProto) -> str:
    """Convert other floats to float32, in place. Returns the type that most weights had, if it was another one."""
    weights: Counter[Any] = Counter()
    for tensor in graph.initializer:
        weights[tensor.data_type] += _bytes(tensor)
        _tensor_to_float32(tensor)
    for node in _all_nodes(graph.node):
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                _tensor_to_float32(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in OTHER_FLOATS:
                attribute.i = TensorProto.FLOAT
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in OTHER_FLOATS:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    del graph.value_info[:]  # of the old types and sizes; shape inference makes them again
    most = max(weights, key=lambda kind: weights[kind], default=TensorProto.FLOAT)
    return OTHER_FLOATS.get(most, "")


def _all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from _all_nodes(graph.node)


def _tensor_to_float32(tensor: TensorProto) -> None:
    if tensor.data_type in OTHER_FLOATS:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))


def _name_nodes(graph: GraphProto) -> None:
    """Give every node a name of its own; those that have one keep it."""
    seen: Counter[str] = Counter()
    for node in graph.node:
        name = node.name or f"{node.op_type.lower()}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}#{seen[name] - 1}"
