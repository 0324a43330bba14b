"""Understand a graph of another exporter as a network of a card, and rewrite it to the inputs and outputs of
`export`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from hrnet_deploy.architecture import IMAGE_SIZE, INPUT, check_size
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.foreign import rewriting
from hrnet_deploy.graph.foreign.ending import Ending, check_stride, ending
from hrnet_deploy.graph.foreign.look import Look
from hrnet_deploy.graph.foreign.preparation import NCHW, Preparation, image_input, preparation, remarks_on_range
from hrnet_deploy.graph.foreign.reading import Foreign, Shape, type_name, written
from hrnet_deploy.tasks.base import Feed, GraphOutput, Maps, adoption_of

BATCH = "batch"
FLOATS = (TensorProto.FLOAT, TensorProto.UNDEFINED)


@dataclass(frozen=True)
class Understood:
    """A graph of another exporter, as a network of a card.

    Attributes:
        source: the graph with its axes fixed, except perhaps the batch.
        card: the card, at the size of the graph's input.
        before: what the graph does with an image before the network begins.
        ends: the tensors in which the network ends, by their names in the contract or in `lists`.
        batch: the fixed batch, or "batch".
        lists: the graph that makes lists of boxes of what the network gives; empty if it gives maps.
        found, assumed, changed: remarks for the user.
    """

    source: ModelProto
    card: ModelCard
    before: Preparation
    ends: Mapping[str, str]
    batch: int | str
    lists: str = ""
    found: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    input_type: int = field(default=TensorProto.FLOAT)

    def raw(self, batch: int, seed: int) -> Feed:
        """Seeded values as the source takes them, by the name of its input."""
        kind = helper.tensor_dtype_to_np_dtype(self.input_type)
        shape = (batch, *(int(d) for d in self.before.shape[1:]))
        random = np.random.default_rng(seed)
        if not self.before.plain or self.before.integer:
            values = random.integers(0, 256, shape) * (self.before.largest / 255)
            return {self.before.input: values.astype(kind if self.before.integer else np.float32)}
        return {self.before.input: random.standard_normal(shape, dtype=np.float32)}

    def normalised(self, raw: Feed) -> NDArray[np.float32]:
        """The contract's input for values that the source takes: what the task makes of an image of these values."""
        before, spec = self.before, self.card.input
        values = np.asarray(raw[before.input], np.float64)
        turned = values if before.layout == NCHW else values.transpose(0, 3, 1, 2)
        turned = turned[:, ::-1] if before.swapped else turned
        if before.plain and not before.integer:
            return np.asarray(turned, np.float32)
        mean, std = (np.reshape(v, (1, -1, 1, 1)) for v in (spec.mean, spec.std))
        return np.asarray((turned / before.largest - mean) / std, np.float32)

    def image(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the source's network reads, as the contract's input has it: (N, C, H, W)."""
        turned = prepared if self.before.at == NCHW else prepared.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(turned, np.float32)

    def with_batch(self, batch: int) -> Understood:
        """The same, with a fixed batch."""
        source = ModelProto.FromString(self.source.SerializeToString())
        rewriting.set_input_shape(source, self.before.input, (batch, *self.before.shape[1:]))
        return replace(self, source=source, batch=batch)


def understand(
    foreign: Foreign, card: ModelCard, size: tuple[int, int] | None, tensor: str, path: object
) -> Understood:
    """Find the input, the network and its outputs.

    Args:
        foreign: the graph.
        card: of its network.
        size: height and width for axes of the input that are open; those of the card unless given.
        tensor: the name of the tensor that holds the maps, if the user names it.
        path: named in errors.

    Raises BadInput, with the cure, where the graph does not fit the card.
    """
    how = adoption_of(card)
    model, look = foreign.model, Look(foreign.model)
    inputs: dict[str, Shape] = {v.name: look.shapes.get(v.name, ()) for v in model.graph.input}
    if isinstance(how, Maps):
        if len(card.architecture.outputs) > 1:
            raise BadInput(
                f"adopt takes networks with one kind of map, and {card.architecture.title} gives "
                f"{' and '.join(card.architecture.outputs)} — export its checkpoint with `hrnet-deploy export`"
            )
        try:
            ends = {card.architecture.outputs[0]: ending(model, look, card, how, tensor, path).tensor}
        except BadInput:
            rewriting.require_standard(look.nodes, path)  # shapes behind such operators are not known
            raise
        lists = ""
    else:
        opset = rewriting.OPSET if foreign.opset < rewriting.OLDEST else foreign.opset
        outputs = [
            GraphOutput(o.name, o.type.tensor_type.elem_type in FLOATS, look.shapes.get(o.name, ()))
            for o in model.graph.output
        ]
        lists, ends = how(card, outputs, opset, path)
    needed = look.before(list(ends.values()))
    image = image_input(look, inputs, needed, card, path)
    kind = foreign.input_types.get(image, TensorProto.FLOAT)
    integer = kind in (TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64)
    first = preparation(look, image, inputs[image], integer, needed, card, path)
    shape, batch = _axes(first, card, size, path)
    model = ModelProto.FromString(model.SerializeToString())
    rewriting.set_input_shape(model, image, shape)
    look = Look(model)
    before = preparation(look, image, shape, integer, needed, card, path)
    at_size = _card_at(before, card, path)
    left = sorted(set(inputs) - {image})
    found = [
        f"the layout of its input is {before.layout}",
        *([f"its operators prepare images by {', '.join(before.steps)}"] if before.steps else []),
    ]
    known, assumed = remarks_on_range(before, card, path)
    changed = _changes(foreign, inputs[image], shape, before, left, path)
    if isinstance(how, Maps):
        end = ending(model, look, card, how, tensor, path)
        check_stride(end, (at_size.input.height, at_size.input.width), how, card, path)
        found += [f"its {card.architecture.outputs[0]} are {end.tensor} {written(end.shape)}"]
        changed += _left_out(end, how)
    if IMAGE_SIZE in card.architecture.inputs:
        changed.append(
            "it does not know which part of its input is padding, so it finds boxes as if all of it were image; they "
            f"are clipped to the image by the new input {IMAGE_SIZE}"
        )
    return Understood(
        model, at_size, before, ends, batch, lists, (*found, *known), tuple(assumed), tuple(changed), kind
    )


def _axes(first: Preparation, card: ModelCard, size: tuple[int, int] | None, path: object) -> tuple[Shape, int | str]:
    """The shape of the file's input with height and width fixed, and the batch."""
    height, width = size or (card.input.height, card.input.width)
    rows, columns = (2, 3) if first.layout == NCHW else (1, 2)
    shape = list(first.shape)
    shape[6 - rows - columns] = len(card.input.mean)
    for axis, wanted in ((rows, height), (columns, width)):
        have = shape[axis]
        if not isinstance(have, int) or not have:
            shape[axis] = wanted
        elif size is not None and have != wanted and first.resized is None:
            raise BadInput(f"{path} takes images of one size, {written(tuple(first.shape))} — leave --size out")
    batch: int | str = shape[0] if isinstance(shape[0], int) and shape[0] else BATCH
    if card.architecture.static_reason:
        if batch not in (1, BATCH):
            raise BadInput(f"{path} takes batches of {batch}, and detectors are run with one image — export it with 1")
        batch = 1
    shape[0] = batch
    return tuple(shape), batch


def _card_at(before: Preparation, card: ModelCard, path: object) -> ModelCard:
    """The card at the size of the file's network."""
    height, width = (int(v) for v in before.size)
    if (height, width) == (card.input.height, card.input.width):
        return card
    check_size(card.architecture, height, width)
    return card.resized(height, width)


def _changes(
    foreign: Foreign, declared: Shape, shape: Shape, before: Preparation, left: list[str], path: object
) -> list[str]:
    changes = []
    if foreign.floats:
        changes.append(f"its {foreign.floats} weights are float32 now, with the values that they were rounded to")
    if foreign.input_types.get(before.input) not in (None, TensorProto.FLOAT):
        kind = type_name(foreign.input_types[before.input])
        changes.append(f"it took {before.input} as {kind}, and takes {INPUT} as float32")
    if before.layout != NCHW:
        changes.append(f"it took {before.layout}, and takes NCHW")
    if not before.plain or before.swapped or before.resized:
        changes.append("the preparation of images is left out of the graph, because the task does it")
    if before.resized:
        changes.append(f"images are resized to {before.resized[0]}x{before.resized[1]} by the task, bilinearly")
    axes = [(a, b) for a, b in zip(declared[1:], shape[1:], strict=True) if a != b]
    if axes:
        changes.append(f"the open axes of its input are fixed to {before.size[0]}x{before.size[1]}")
    if left:
        changes.append(f"its inputs {', '.join(left)} are left out, because no output depends on them")
    return changes


def _left_out(end: Ending, maps: Maps) -> list[str]:
    changes = []
    if end.left_out:
        changes.append(f"{', '.join(end.left_out)} behind {end.tensor} are left out, because {maps.undone}")
    if end.other_outputs:
        changes.append(f"its outputs {', '.join(end.other_outputs)} are left out")
    return changes


def rewrite(understood: Understood, given: Feed, path: object) -> tuple[ModelProto, int]:
    """The graph with the inputs and outputs of the contract, and its opset. Layers have the names they had.

    `given` is what the network gives in one run, by the names in `Understood.ends`.
    """
    before, height, width = understood.before, *(int(v) for v in understood.before.size)
    shape = (understood.batch, len(understood.card.input.mean), height, width)
    new = {old: name for name, old in understood.ends.items()}
    model = rewriting.cut(understood.source, before, new, shape, path)
    model, opset = rewriting.to_opset(model, path)
    sizes = {} if understood.lists else {name: array.shape for name, array in given.items()}
    model = rewriting.with_shapes(model, sizes, understood.batch)
    if understood.lists:
        model = rewriting.with_lists(model, understood.lists, {name: name for name in understood.ends})
    return model, opset


def probe(understood: Understood) -> ModelProto:
    """The source, with the tensors that the network reads and those that it ends in as its outputs."""
    return rewriting.only(understood.source, [understood.before.tensor, *understood.ends.values()])


def feed_of(understood: Understood, prepared: NDArray[np.float32]) -> Feed:
    """The inputs of the contract for what the source's network reads."""
    image = understood.image(prepared)
    feed: dict[str, NDArray] = {INPUT: image}
    if IMAGE_SIZE in understood.card.architecture.inputs:
        feed[IMAGE_SIZE] = np.tile(np.array(image.shape[2:], np.float32), (len(image), 1))
    return feed


def wanted_of(understood: Understood, given: Feed, got: Feed) -> dict[str, NDArray]:
    """What the adopted file has to give, by the names of its outputs, from what the source's network gave.

    Lists of boxes are brought into the order and the length of the contract.
    """
    if not understood.lists:
        return dict(given)
    boxes = np.asarray(given["dets"]).reshape(-1, given["dets"].shape[-1])
    scores = boxes[:, 4] if boxes.shape[1] == 5 else np.asarray(given["points"]).ravel()
    real = (scores > 0) & (np.asarray(given["classes"]).ravel() >= 0)
    order = np.argsort(-scores[real], kind="stable")[: got["scores"].shape[1]]
    wanted = {"boxes": np.zeros_like(got["boxes"]), "scores": np.zeros_like(got["scores"])}
    height, width = (int(v) for v in understood.before.size)
    wanted["boxes"][0, : len(order)] = np.clip(boxes[real][order, :4], 0, [width, height, width, height])
    wanted["scores"][0, : len(order)] = scores[real][order]
    return wanted
