"""Adds the preparation of images and the decoding of results to a graph. It then takes uint8 pixels and returns
results.

The preparation is the same for every task. The decoding is the task's own graph (`tasks.base.Embedding`).
"""

from __future__ import annotations

import onnx
import onnx.checker
import onnx.compose
import onnx.parser

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks import input_graph
from hrnet_deploy.tasks.base import embedding_of

BEFORE, AFTER = "before.", "after."  # prefixes of the names inside the two graphs that are added


def embed(model: onnx.ModelProto, card: ModelCard, flip_test: bool) -> onnx.ModelProto:
    """The model between its preparation and its decoding.

    `model` must have static shapes. With `flip_test` its batch holds images and then their mirror images, so the result
    takes half as many. Raises BadInput if the task has no graph for its decoding, or the opset is too old."""
    decoding = embedding_of(card)
    image, output = model.graph.input[0], model.graph.output[0]
    shape = _static_shape(output)
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset < 18:  # until then ReduceMax takes its axes as an attribute
        raise BadInput(f"--embed needs opset 18 or newer, not {opset} — leave --opset out")
    first = _parsed(input_graph.before(card.input, _static_shape(image)[0], flip_test, opset), BEFORE, model.ir_version)
    last = _parsed(decoding(card, shape, flip_test, opset), AFTER, model.ir_version)
    joined = onnx.compose.merge_models(first, model, io_map=[(first.graph.output[0].name, image.name)])
    whole = onnx.compose.merge_models(joined, last, io_map=[(output.name, last.graph.input[0].name)])
    whole.producer_name, whole.graph.name = model.producer_name, model.graph.name
    _rename_interface(whole)
    onnx.checker.check_model(whole)
    return whole


def _static_shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    dims = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    assert all(dims)
    return dims


def _parsed(text: str, prefix: str, ir_version: int) -> onnx.ModelProto:
    """The model in a text, without the constants that it does not use, and with `prefix` before every name."""
    model = onnx.parser.parse_model(text)
    used = {i for n in model.graph.node for i in n.input}
    constants = [i for i in model.graph.initializer if i.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    model.ir_version = ir_version
    for node in model.graph.node:
        node.name = node.output[0]
    return onnx.compose.add_prefix(model, prefix)


def _rename_interface(model: onnx.ModelProto) -> None:
    """`before.crops` -> `crops`, `after.keypoints` -> `keypoints`."""
    graph = model.graph
    rename = {v.name: v.name.removeprefix(BEFORE).removeprefix(AFTER) for v in (*graph.input, *graph.output)}
    for value in (*graph.input, *graph.output):
        value.name = rename[value.name]
    for node in graph.node:
        node.input[:] = [rename.get(n, n) for n in node.input]
        node.output[:] = [rename.get(n, n) for n in node.output]
