"""What a graph of another exporter does with an image before its network begins.

The way from the input to the first layer is followed through the operators that prepare an image: casts, transposes,
arithmetic with constants, the exchange of red and blue, a resize. Together they are one factor and one offset for each
colour, in a layout. The network begins where that way ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.foreign.look import SIZES, Look, attribute
from hrnet_deploy.graph.foreign.reading import WEIGHTED, Shape, written
from hrnet_deploy.image_input import Input

NCHW, NHWC = "NCHW", "NHWC"
AXES = {"NCHW": 1, "NHWC": 3}  # where the colours are
SAME = ("Cast", "Identity", "Dropout")
RESIZES = ("Resize", "Upsample")
CLOSE = 2e-3  # cards give the mean and the standard deviation with three digits
BYTES, UNIT = 255.0, 1.0  # the largest value of a pixel, in the two ranges that are common
EIGHT_BITS = 0.05  # a factor below this can only belong to values up to 255


@dataclass(frozen=True)
class Preparation:
    """The way from a graph's input to its network.

    Attributes:
        input: the name of the graph's input. shape: its shape. integer: whether it takes uint8 or another integer.
        layout: of the input, "NCHW" or "NHWC".
        tensor: the tensor that the network reads. at: its layout.
        factor, offset: (C,) each; the network reads factor * value + offset, in its own order of colours.
        swapped: whether the graph exchanges red and blue.
        resized: height and width to which the graph resizes images; None if it does not.
        steps: the operators on the way, by type.
    """

    input: str
    shape: Shape
    integer: bool
    layout: str
    tensor: str
    at: str
    factor: NDArray[np.float64]
    offset: NDArray[np.float64]
    swapped: bool = False
    resized: tuple[int, int] | None = None
    steps: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the network reads the input's values as they are."""
        return bool((self.factor == 1).all() and (self.offset == 0).all())

    @property
    def largest(self) -> float:
        """The largest value of a pixel that the graph takes: 255 or 1."""
        return BYTES if self.integer or bool((np.abs(self.factor) < EIGHT_BITS).all()) else UNIT

    @property
    def size(self) -> tuple[int | str, int | str]:
        """Height and width of the images that the network reads, where they are fixed."""
        if self.resized:
            return self.resized
        axes = (2, 3) if self.layout == NCHW else (1, 2)
        return self.shape[axes[0]], self.shape[axes[1]]


def image_input(look: Look, inputs: dict[str, Shape], needed: set[str], card: ModelCard, path: object) -> str:
    """The name of the input that takes the image. Raises BadInput if there is none, or if others are needed too.

    Args:
        look: the graph.
        inputs: the shapes of its inputs, by name.
        needed: the tensors that the result is computed from.
        card: of the network.
        path: named in errors.
    """
    used = {name: shape for name, shape in inputs.items() if name in needed}
    images = [name for name, shape in used.items() if len(shape) == 4]
    if len(images) != 1:
        listed = ", ".join(f"{n} {written(s)}" for n, s in used.items()) or "none"
        if any(len(s) == 3 for s in used.values()):
            cure = "export it with a batch axis first, (1, 3, H, W)"
        elif len(images) > 1:
            cure = "export a network that takes one image, or one batch of images"
        else:
            cure = "export a network that takes an image (1, 3, H, W) or (1, H, W, 3)"
        raise BadInput(f"{path} has no single input that is an image (its inputs: {listed}) — {cure}")
    if others := sorted(set(used) - set(images)):
        raise BadInput(
            f"{path} computes its results from {', '.join(others)} besides the image, as exports of PaddleDetection do "
            "with the size and the scale of an image — export the network without its post-processing"
        )
    return images[0]


def preparation(
    look: Look, image: str, shape: Shape, integer: bool, end: set[str], card: ModelCard, path: object
) -> Preparation:
    """Follow the way from the input to the network.

    Args:
        look: the graph.
        image: the name of the input. shape: its shape. integer: whether it takes integers.
        end: the tensors that the result is computed from.
        card: of the network, for the number of colours.
        path: named in errors.

    Raises BadInput if the layout is not known, or if the input has another number of channels than the card says.
    """
    channels = len(card.input.mean)
    layout = _layout(look, image, shape, end, channels, path)
    found = Preparation(image, shape, integer, layout, image, layout, np.ones(channels), np.zeros(channels))
    while (node := _only_reader(look, found.tensor, end)) is not None:
        following = _step(look, found, node)
        if following is None:
            return found
        found = replace(following, tensor=node.output[0], steps=(*found.steps, node.op_type))
    return found


def _only_reader(look: Look, tensor: str, end: set[str]) -> NodeProto | None:
    """The one operator that reads a tensor's values on the way to the result; None if there are several."""
    readers = [n for n in look.consumers[tensor] if n.op_type not in SIZES and end.intersection(n.output)]
    return readers[0] if len(readers) == 1 and len(readers[0].output) == 1 else None


def _layout(look: Look, image: str, shape: Shape, end: set[str], channels: int, path: object) -> str:
    fits = [name for name, axis in AXES.items() if shape[axis] == channels]
    if len(fits) == 1:
        return fits[0]
    if not fits and all(isinstance(shape[a], int) and shape[a] for a in AXES.values()):
        raise BadInput(
            f"{path} takes {written(shape)}, in which neither axis of colours is {channels}, as the card says — give "
            "the card of this network"
        )
    tensor = image
    while (node := _only_reader(look, tensor, end)) is not None:
        if node.op_type in WEIGHTED:
            return NCHW
        if node.op_type == "Transpose":
            return NHWC if attribute(node, "perm") == [0, 3, 1, 2] else NCHW
        if node.op_type not in (*SAME, "Add", "Sub", "Mul", "Div"):
            break
        tensor = node.output[0]
    raise BadInput(
        f"{path} takes {written(shape)}, and the graph does not show which axis holds the colours — export it with "
        f"fixed axes, (1, {channels}, H, W) or (1, H, W, {channels})"
    )


def _step(look: Look, now: Preparation, node: NodeProto) -> Preparation | None:
    """The way with one more operator; None if the operator belongs to the network."""
    if node.op_type in SAME:
        to_float = attribute(node, "to", TensorProto.FLOAT) == TensorProto.FLOAT
        return now if to_float else None
    if node.op_type == "Transpose":
        turned = {(NHWC, (0, 3, 1, 2)): NCHW, (NCHW, (0, 2, 3, 1)): NHWC}
        at = turned.get((now.at, tuple(attribute(node, "perm", ()))))  # type: ignore[arg-type]
        return replace(now, at=at) if at else None
    if node.op_type in ("Add", "Sub", "Mul", "Div"):
        return _arithmetic(look, now, node)
    if node.op_type in ("Gather", "Slice") and _reverses_colours(look, now, node):
        return replace(now, factor=now.factor[::-1], offset=now.offset[::-1], swapped=not now.swapped)
    if node.op_type in RESIZES:
        size = look.shapes.get(node.output[0])
        if size is not None and len(size) == 4:
            height, width = (size[2], size[3]) if now.at == NCHW else (size[1], size[2])
            if isinstance(height, int) and isinstance(width, int) and height and width:
                return replace(now, resized=(height, width))
    return None


def _arithmetic(look: Look, now: Preparation, node: NodeProto) -> Preparation | None:
    first = node.input[0] == now.tensor
    value = look.constant(node.input[1] if first else node.input[0])
    each = None if value is None else _per_colour(value, now)
    if each is None or (node.op_type == "Div" and not first):
        return None
    factor, offset = now.factor, now.offset
    if node.op_type == "Add":
        offset = offset + each
    elif node.op_type == "Sub":
        factor, offset = (factor, offset - each) if first else (-factor, each - offset)
    else:
        each = 1 / each if node.op_type == "Div" else each
        factor, offset = factor * each, offset * each
    return replace(now, factor=factor, offset=offset)


def _per_colour(value: NDArray, now: Preparation) -> NDArray[np.float64] | None:
    """A constant as one number per colour; None if it differs from pixel to pixel."""
    channels = len(now.factor)
    shape = (1,) * (4 - value.ndim) + value.shape
    if value.ndim > 4 or not np.isfinite(value).all() or (value == 0).all():
        return None
    axis = AXES[now.at]
    if any(size != 1 for i, size in enumerate(shape) if i != axis) or shape[axis] not in (1, channels):
        return None
    return np.broadcast_to(value.astype(np.float64).ravel(), channels)


def _reverses_colours(look: Look, now: Preparation, node: NodeProto) -> bool:
    axis, channels = AXES[now.at], len(now.factor)
    values = [look.constant(x) for x in node.input[1:]]
    if any(v is None for v in values):
        return False
    if node.op_type == "Gather":
        at = attribute(node, "axis", 0)
        return at in (axis, axis - 4) and values[0].tolist() == list(range(channels))[::-1]  # type: ignore[union-attr]
    if len(values) < 4:
        return False
    start, stop, axes, step = ([int(i) for i in v.ravel()] for v in values[:4])  # type: ignore[union-attr]
    return axes in ([axis], [axis - 4]) and step == [-1] and start[0] in (-1, channels - 1) and stop[0] < -channels


def remarks_on_range(found: Preparation, card: ModelCard, path: object) -> tuple[list[str], list[str]]:
    """What is known and what is assumed of the values that the file takes. Raises BadInput where the arithmetic in the
    graph is not the normalisation of the card."""
    spec = card.input
    known, assumed = [], []
    if found.plain and not found.swapped and not found.integer:
        assumed.append(
            f"its input is normalised outside the graph, with the mean {_numbers(spec.mean)} and the standard "
            f"deviation {_numbers(spec.std)} of the card, in {spec.colour}"
        )
    else:
        known.append(
            f"the normalisation inside the graph (of values in 0..{_range_of(found, spec, path):g}) is the card's"
        )
        assumed.append(f"the order of colours is {spec.colour}, as the card says")
    if found.swapped:
        assumed.append(f"the card's {spec.colour} is the order behind the exchange of red and blue inside the graph")
    return known, assumed


def _range_of(found: Preparation, spec: Input, path: object) -> float:
    mean, std = np.array(spec.mean, np.float64), np.array(spec.std, np.float64)
    for largest in (BYTES,) if found.integer else (BYTES, UNIT):
        factor, offset = 1 / (largest * std), -mean / std
        if np.allclose(found.factor, factor, rtol=CLOSE) and np.allclose(found.offset, offset, rtol=CLOSE, atol=CLOSE):
            return largest
    largest = found.largest
    has_mean = -found.offset / found.factor / largest
    has_std = 1 / found.factor / largest
    raise BadInput(
        f"{path} normalises images inside the graph with mean {_numbers(has_mean)} and standard deviation "
        f"{_numbers(has_std)} (of values in 0..1), and the card says {_numbers(spec.mean)} and {_numbers(spec.std)} — "
        "copy the card, and write the values of the graph into its input"
    )


def _numbers(values: object) -> str:
    return ", ".join(f"{v:.4g}" for v in np.asarray(values, np.float64) + 0.0)
