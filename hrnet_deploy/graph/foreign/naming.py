"""Name the operators and tensors of a graph after the network's modules, as `export` does.

The names of layers come from the first of these that there is: the parameters of a checkpoint with the same weights
(`graph.foreign.weights`), the names of the weights in the file, the scopes that torch's exporters write into the names
of nodes. What lies between layers is named after the layer before it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from hrnet_deploy.graph.foreign.reading import WEIGHTED

SEPARATOR = "#"
FIT = re.compile(r"[A-Za-z_][\w]*(\.[\w]+)*")  # a path of modules


@dataclass(frozen=True)
class LayerName:
    """The names of a layer: of its operator, and of the tensor it gives (that of its batch norm, if it is folded)."""

    node: str
    tensor: str


def own_names(model: ModelProto) -> dict[str, LayerName]:
    """The names of layers that the file itself gives, by the present name of the node."""
    found: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in WEIGHTED:
            weight = node.input[1] if len(node.input) > 1 else ""
            name = weight.removesuffix(".weight") if weight.endswith(".weight") else _scope(node.name)
            if FIT.fullmatch(name):
                found[node.name] = name
    shared = _shared_prefix(list(found.values()))
    folded = {n.name for n in model.graph.node if len(n.input) > 2 and not n.input[2].endswith(".bias")}
    return {
        n: LayerName(name[shared:], _norm(name[shared:]) if n in folded else name[shared:]) for n, name in found.items()
    }


def _norm(layer: str) -> str:
    """The batch norm behind a convolution, as the networks name it: bn1 for conv1, downsample.1 for downsample.0.

    It is asked for where the exporter has folded it, which shows by a bias that has no name of a parameter.
    """
    parent, dot, leaf = layer.rpartition(".")
    return f"{parent}{dot}{int(leaf) + 1 if leaf.isdecimal() else leaf.replace('conv', 'bn')}"


def _scope(name: str) -> str:
    """The path of modules in the name that torch's TorchScript exporter gives to a node.

    /stage2/stage2.0/branches.0/branches.0.0/conv1/Conv -> stage2.0.branches.0.0.conv1
    """
    if not name.startswith("/"):
        return ""
    parts: list[str] = []
    for part in name.split("/")[1:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)


def _shared_prefix(names: list[str]) -> int:
    """How many characters all names share because the network is wrapped in another module: `model.` in front of all.

    The modules of a network have several names at its top, so what they all share is a wrapper.
    """
    if len(names) < 2:
        return 0
    parts = [n.split(".") for n in names]
    count = 0
    while all(len(p) > count + 1 and p[count] == parts[0][count] for p in parts):
        count += 1
    return len(".".join(parts[0][:count])) + (count > 0)


def rename(model: ModelProto, layers: Mapping[str, LayerName]) -> int:
    """Rename nodes, tensors and weights in place.

    Args:
        model: a model whose nodes have unique names.
        layers: names of layers by the present name of the node.

    Returns:
        How many layers have a name of their own now.
    """
    graph = model.graph
    fixed = {v.name for v in (*graph.input, *graph.output)}
    nodes: Counter[str] = Counter()
    tensors: Counter[str] = Counter(fixed)
    module: dict[str, str] = {}  # the path of modules that a tensor belongs to
    names: dict[str, str] = {}
    named = 0
    constants = {i.name for i in graph.initializer}
    for node in graph.node:
        given = layers.get(node.name)
        if given is not None:
            named += 1
            parent = given.node.rpartition(".")[0]
            node_name, tensor_name = given.node, given.tensor
            for weight, leaf in zip(node.input[1:3], ("weight", "bias"), strict=False):
                if weight in constants and weight not in names:
                    names[weight] = _unique(tensors, f"{given.node}.{leaf}")
        else:
            parent = _parent(node, module)
            node_name = tensor_name = f"{parent}.{node.op_type.lower()}".lstrip(".")
        node.name = _unique(nodes, node_name)
        for number, output in enumerate(o for o in node.output if o):
            module[output] = parent
            if output not in fixed:
                names[output] = _unique(tensors, tensor_name + (f".{number}" if number else ""))
    for constant in sorted(constants - names.keys()):
        names[constant] = _unique(tensors, constant)
    for node in graph.node:
        node.input[:] = [names.get(x, x) for x in node.input]
        node.output[:] = [names.get(x, x) for x in node.output]
    for value in (*graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    return named


def _parent(node: NodeProto, module: Mapping[str, str]) -> str:
    """The path of modules of an operator between layers: that of the input that was computed last."""
    known = [module[x] for x in node.input if x in module]
    places = {name: i for i, name in enumerate(dict.fromkeys(module.values()))}
    return max(known, key=lambda name: places[name], default="")


def _unique(seen: Counter[str], name: str) -> str:
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}{SEPARATOR}{seen[name] - 1}"
