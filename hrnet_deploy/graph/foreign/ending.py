"""Where the network in a graph of another exporter ends, if it gives one map per label.

The network ends with its last convolution, and with an activation behind it that bounds the map. A resize, a softmax,
an argmax or a decoding after that is the task's own work and is left out, because calibration, parity and scores need
the maps themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.backbone import backbone_outputs
from hrnet_deploy.graph.foreign.look import SIZES, Look
from hrnet_deploy.graph.foreign.reading import written
from hrnet_deploy.registry import task_entry
from hrnet_deploy.tasks.base import Maps

ARITHMETIC = ("Add", "Sub", "Mul", "Div")  # with a constant: a bias or a scale that the exporter wrote by itself
# Outputs of networks that people take for a heatmap network of a top-down pose task, by their names.
KNOWN_HEADS = {
    "simcc_x": "SimCC (RTMPose), which gives two lists per keypoint and no heatmaps",
    "simcc_y": "SimCC (RTMPose), which gives two lists per keypoint and no heatmaps",
    "keypoints": "a network with its decoding inside",
    "num_dets": "a detector with TensorRT's NMS inside",
}


@dataclass(frozen=True)
class Ending:
    """Where a network ends.

    Attributes:
        tensor: the map. shape: (N, labels, h, w).
        kept: the operators between the last convolution and the map, by type.
        left_out: the operators behind it, by type.
        other_outputs: outputs of the file that are not computed from the map, as text.
    """

    tensor: str
    shape: tuple[int | str, ...]
    kept: tuple[str, ...]
    left_out: tuple[str, ...]
    other_outputs: tuple[str, ...]


def ending(model: ModelProto, look: Look, card: ModelCard, maps: Maps, wanted: str, path: object) -> Ending:
    """Find where the network ends.

    Args:
        model: the graph; look: its look-ups.
        card: says how many labels there are.
        maps: what the task says of its maps.
        wanted: the name of the tensor that the user takes for the map; empty to find it.
        path: named in errors.

    Raises BadInput if no tensor or several could be the map.
    """
    labels = len(card.label_names)
    outputs = [o.name for o in model.graph.output]
    alive = look.before(outputs)
    if wanted:
        found = _named(look, alive, wanted, labels, card, path)
    else:
        ends = [t for t in _last_tensors(model) if t in alive]
        behind = {t: _behind(look, t, maps) for t in ends}
        fits = [t for t in ends if _is_map(look, behind[t][0], labels)]
        if len(fits) != 1:
            raise _not_one([behind[t][0] for t in ends], [behind[t][0] for t in fits], outputs, look, card, path)
        found = fits[0]
    tensor, kept = _behind(look, found, maps) if not wanted else (found, ())
    after = look.after(tensor)
    depends = {tensor, *(o for n in after for o in n.output)}
    others = tuple(f"{o} {written(look.shapes.get(o))}" for o in outputs if o not in depends)
    used = [n.op_type for n in after if set(n.output) & alive and n.op_type not in SIZES]
    return Ending(tensor, look.shapes[tensor], kept, tuple(dict.fromkeys(used)), others)


def _last_tensors(model: ModelProto) -> list[str]:
    whole, regional = backbone_outputs(model)
    return [*whole, *regional]


def _named(look: Look, alive: set[str], wanted: str, labels: int, card: ModelCard, path: object) -> str:
    if wanted not in alive:
        raise BadInput(f"{path} has no tensor {wanted} — `hrnet-deploy inspect` lists its outputs")
    if not _is_map(look, wanted, labels):
        raise BadInput(
            f"{wanted} of {path} is {written(look.shapes.get(wanted))} and no map of {labels} "
            f"{task_entry(card.task).label_kind} (N, {labels}, h, w) — name another tensor, or another card"
        )
    return wanted


def _is_map(look: Look, tensor: str, labels: int) -> bool:
    shape = look.shapes.get(tensor, ())
    return len(shape) == 4 and shape[1] == labels


def _behind(look: Look, tensor: str, maps: Maps) -> tuple[str, tuple[str, ...]]:
    """The map that begins with the output of a layer: behind its bias and its activation. The types of those, too."""
    kept: list[str] = []
    while True:
        readers = [n for n in look.consumers[tensor] if n.op_type not in SIZES]
        if len(readers) != 1 or not _belongs(look, readers[0], tensor, maps):
            return tensor, tuple(kept)
        tensor = readers[0].output[0]
        kept.append(readers[0].op_type)


def _belongs(look: Look, node: NodeProto, tensor: str, maps: Maps) -> bool:
    if node.op_type in maps.kept:
        return True
    others = [x for x in node.input if x != tensor]
    return node.op_type in ARITHMETIC and len(others) == 1 and look.constant(others[0]) is not None


def _not_one(
    ends: Sequence[str], fits: Sequence[str], outputs: Sequence[str], look: Look, card: ModelCard, path: object
) -> BadInput:
    """The error where the map is not found, or where several tensors could be it."""
    kind = task_entry(card.task).label_kind
    labels = f"{len(card.label_names)} {kind}"
    known = next((KNOWN_HEADS[o] for o in outputs if o in KNOWN_HEADS), "")
    if known and not fits:
        return BadInput(f"{path} is {known} — adopt the ONNX of a network that gives maps of {labels}")
    if fits:
        listed = ", ".join(f"{t} {written(look.shapes.get(t))}" for t in fits)
        return BadInput(
            f"{path} has {len(fits)} tensors that could be the maps of {labels} ({listed}), such as an auxiliary "
            "head or a flip test inside — name the right one with --tensor"
        )
    listed = ", ".join(f"{t} {written(look.shapes.get(t))}" for t in ends[:4]) or "none"
    return BadInput(
        f"{path} ends in no map of {labels}, as the card {card.name} says (its last layers give {listed}) — give the "
        "card of this network"
    )


def check_stride(found: Ending, size: tuple[int, int], maps: Maps, card: ModelCard, path: object) -> None:
    """Raise BadInput where the map is not of the size that networks of the task have."""
    height, width = found.shape[2:]
    if maps.stride is None or not isinstance(height, int) or not isinstance(width, int) or not height * width:
        return
    if (height * maps.stride, width * maps.stride) != size:
        raise BadInput(
            f"{path} gives {found.tensor} of {height}x{width} for an input of {size[0]}x{size[1]}, and {card.name} is "
            f"of a network that gives maps of 1/{maps.stride} of its input — give the card of this network (heads at "
            "other sizes, such as HigherHRNet's, are not supported)"
        )
