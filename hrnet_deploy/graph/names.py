"""Name the operators and tensors of a graph after PyTorch modules, in place of the exporter's counters.

A convolution has the name of its parameter (`stage3.1.branches.0.2.conv1`). A tensor has the name of the module whose
output it is (`stage3.1.branches.0.2.bn1`, since batch norms are folded into convolutions). So an operator can be named
on the command line, and a tensor of the graph can be compared with the output of its module.
"""

from __future__ import annotations

import ast
from collections import Counter

import onnx

SCOPES = "pkg.torch.onnx.name_scopes"
SEPARATOR = "#"  # of a number, if a module is called several times: layer1.0.relu, layer1.0.relu#1, ...


def rename_by_module(model: onnx.ModelProto) -> None:
    """Rename operators and tensors in place. Operators without the exporter's annotation keep their names."""
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
    """Remove the exporter's notes about the machine it ran on, such as stack traces with paths."""
    for annotated in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del annotated.metadata_props[:]
        annotated.doc_string = ""


def _module(node: onnx.NodeProto) -> str | None:
    """The innermost PyTorch module a node was exported from: "" for the network itself, None if it is not known."""
    found = next((p.value for p in node.metadata_props if p.key == SCOPES), None)
    if found is None:
        return None
    scopes = ast.literal_eval(found)
    return str(scopes[-2]) if len(scopes) > 1 else ""


def _named(node: onnx.NodeProto, module: str) -> str:
    """The module's name for a layer. For an operator between layers, such as a sum, its type is appended."""
    leaf = module.rpartition(".")[2]
    own = node.op_type in ("Conv", "Relu", "ConvTranspose", "MaxPool") and leaf != ""
    return module if own else f"{module}.{node.op_type.lower()}".lstrip(".")


def _unique(seen: Counter[str], name: str) -> str:
    """The name itself the first time, with a number after SEPARATOR the next times."""
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}{SEPARATOR}{seen[name] - 1}"
