"""Names a reader can place, instead of the exporter's counters.

A convolution is called after its parameter (`stage3.1.branches.0.2.conv1`), a tensor after the PyTorch module
whose output it is (`stage3.1.branches.0.2.bn1`, since batch norms are folded): so a layer can be named on a
command line, and a tensor of the graph can be held against the module's own output.
"""

from __future__ import annotations

import ast
from collections import Counter

import onnx

SCOPES = "pkg.torch.onnx.name_scopes"
SEPARATOR = "#"  # a module that is called more than once: layer1.0.relu, layer1.0.relu#1, ...


def rename_by_module(model: onnx.ModelProto) -> None:
    """Rename nodes and tensors in place. Nodes the exporter did not annotate keep their names."""
    graph = model.graph
    fixed = {v.name for v in (*graph.input, *graph.output)} | {i.name for i in graph.initializer}
    renamed: dict[str, str] = {}
    seen = Counter({*fixed, *(o for n in graph.node if _module(n) is None for o in n.output)})
    for node in graph.node:
        module = _module(node)
        if module is None:
            continue
        weight = node.input[1] if len(node.input) > 1 else ""
        is_layer = node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul") and weight.endswith(".weight")
        node.name = _unique(seen, "node " + (weight.removesuffix(".weight") if is_layer else _named(node, module)))
        for i, output in enumerate(node.output):
            if output and output not in fixed:
                renamed[output] = _unique(seen, _named(node, module) + (f".{i}" if i else ""))
    for node in graph.node:
        node.name = node.name.removeprefix("node ")
        node.input[:] = [renamed.get(n, n) for n in node.input]
        node.output[:] = [renamed.get(n, n) for n in node.output]
    for value in graph.value_info:
        value.name = renamed.get(value.name, value.name)


def strip_traces(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes of the machine it ran on: stack traces with paths, graph signatures."""
    for thing in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del thing.metadata_props[:]
        thing.doc_string = ""


def _module(node: onnx.NodeProto) -> str | None:
    """The innermost PyTorch module a node came from ("" is the network itself)."""
    found = next((p.value for p in node.metadata_props if p.key == SCOPES), None)
    if found is None:
        return None
    scopes = ast.literal_eval(found)
    return str(scopes[-2]) if len(scopes) > 1 else ""


def _named(node: onnx.NodeProto, module: str) -> str:
    """Modules give a tensor their name; an operator inside a container (a sum, a resize) adds its own."""
    leaf = module.rpartition(".")[2]
    own = node.op_type in ("Conv", "Relu", "ConvTranspose", "MaxPool") and leaf != ""
    return module if own else f"{module}.{node.op_type.lower()}".lstrip(".")


def _unique(seen: Counter[str], name: str) -> str:
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}{SEPARATOR}{seen[name] - 1}"
