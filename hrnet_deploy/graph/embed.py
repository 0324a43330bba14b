"""Pre- and post-processing put inside the graph: uint8 pixels in, decoded results out."""

from __future__ import annotations

import onnx
import onnx.checker
import onnx.compose
import onnx.parser

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks import input_graph, pose_graph, segmentation_graph

FORMS = ("pose", "segmentation")
BEFORE, AFTER = "before.", "after."  # in front of the names of what is put around the network


def require_form(card: ModelCard) -> None:
    """Refuse a task whose results no graph of ours decodes, before any work is done."""
    if card.task not in FORMS:
        raise BadInput(
            f"--embed is not available for {card.task} — leave it out, and decode with `hrnet-deploy predict`"
        )


def embed(model: onnx.ModelProto, card: ModelCard, flip_test: bool) -> onnx.ModelProto:
    """A model with static shapes, wrapped. With a flip test its batch holds images, then their mirror images, so
    the result takes half as many. Raises BadInput where an axis is open or the task has no embedded form."""
    require_form(card)
    image, output = model.graph.input[0], model.graph.output[0]
    shape = _static_shape(output)
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset < 18:  # ReduceMax took its axes as an attribute before
        raise BadInput(f"--embed needs opset 18 or newer, not {opset} — leave --opset out")
    first = _parsed(input_graph.before(card.input, _static_shape(image)[0], flip_test, opset), BEFORE, model.ir_version)
    last = _parsed(_after(card, shape, flip_test, opset), AFTER, model.ir_version)
    joined = onnx.compose.merge_models(first, model, io_map=[(first.graph.output[0].name, image.name)])
    whole = onnx.compose.merge_models(joined, last, io_map=[(output.name, last.graph.input[0].name)])
    whole.producer_name, whole.graph.name = model.producer_name, model.graph.name
    _rename_interface(whole)
    onnx.checker.check_model(whole)
    return whole


def _after(card: ModelCard, shape: tuple[int, ...], flip_test: bool, opset: int) -> str:
    """The task's own decoding, as text."""
    if card.keypoints is not None:
        if flip_test and not card.keypoints.flip_pairs:
            raise BadInput(f"{card.name} does not say which keypoints mirror each other — embed it without --flip-test")
        return pose_graph.after(card.input, card.keypoints, shape, flip_test, opset)
    assert card.classes is not None
    return segmentation_graph.after(card.input, card.classes, shape, flip_test, opset)


def _static_shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    dims = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    if not all(dims):
        raise BadInput("--embed needs static shapes — leave --dynamic out and fix the batch with --batch")
    return dims


def _parsed(text: str, prefix: str, ir_version: int) -> onnx.ModelProto:
    """The model of a text, without the constants this variant has no use for."""
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
