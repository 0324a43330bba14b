"""The shape of a network, as plain data: no framework is needed to read, compare or print it.

`networks.build_network` makes the PyTorch module of an architecture, `checkpoints.recognise` infers an architecture
from the tensors of a state dict, and a model card carries one. Every family implements the class `Architecture`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hrnet_deploy.architecture.base import Architecture
from hrnet_deploy.architecture.body import IMAGE_SIZE, INPUT, RESNET_DEPTHS, Body, Stage, Upsample
from hrnet_deploy.architecture.detection import Detections, FasterRCNN, Proposals, ResNetBody
from hrnet_deploy.architecture.pose import PoseHRNet, SimpleBaseline
from hrnet_deploy.architecture.segmentation import DilatedResNet, SegHRNet
from hrnet_deploy.errors import BadInput
from hrnet_deploy.fields import FieldError, typed
from hrnet_deploy.registry import family_entry, load

PATH = "architecture"  # of an architecture in a card, for errors
LARGEST = 2**20  # no layer has more channels, no network more layers

__all__ = [
    "IMAGE_SIZE",
    "INPUT",
    "RESNET_DEPTHS",
    "Architecture",
    "Body",
    "Detections",
    "DilatedResNet",
    "FasterRCNN",
    "PoseHRNet",
    "Proposals",
    "ResNetBody",
    "SegHRNet",
    "SimpleBaseline",
    "Stage",
    "Upsample",
    "check_size",
    "from_dict",
    "require_same",
    "to_dict",
    "with_known",
]


def to_dict(architecture: Architecture) -> dict[str, Any]:
    """Plain JSON values; `from_dict` is the inverse."""
    return {"family": architecture.family, **dataclasses.asdict(architecture)}  # type: ignore[call-overload]


def from_dict(values: Any) -> Architecture:
    """The architecture of a card or an ONNX file: the inverse of `to_dict`. A card may say `width: 32` instead of the
    whole body, and `upsample` beside it. Raises BadInput for a family this version does not know, and
    FieldError with the path of a field that does not fit."""
    rest = dict(typed(Mapping[str, Any], values, PATH))
    kind: type[Architecture] = load(family_entry(rest.pop("family", None)).architecture)
    if "width" in rest:
        width = typed(int, rest.pop("width"), f"{PATH}.width")
        upsample = typed(Upsample, rest.pop("upsample", {}), f"{PATH}.upsample")
        rest["body"] = dataclasses.asdict(Body.of_width(width, upsample=upsample))
    made = typed(kind, rest, PATH)
    _check_numbers(dataclasses.asdict(made), PATH)  # type: ignore[call-overload]
    return made


def _check_numbers(value: Any, path: str) -> None:
    """Raises FieldError for a number that no network can have."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            _check_numbers(part, f"{path}.{name}")
        if "stages" in value and not value["stages"]:
            raise FieldError(f"{path}.stages is empty, expected a stage or more")
        if "channels" in value and "blocks" in value and not 0 < len(value["channels"]) == len(value["blocks"]):
            raise FieldError(f"{path} has {len(value['channels'])} channels and {len(value['blocks'])} blocks")
    elif isinstance(value, tuple):
        for i, part in enumerate(value):
            _check_numbers(part, f"{path}[{i}]")
    elif isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= LARGEST:
        raise FieldError(f"{path} is {value if abs(value) < 1e9 else 'too large'}, expected 1 to {LARGEST}")


def check_size(architecture: Architecture, height: int, width: int) -> None:
    """Refuse an input of `height` x `width` pixels that the network cannot take, with the nearest that it can."""
    divisor = architecture.divisor
    least = architecture.smallest_side
    if height < least or width < least or height % divisor or width % divisor:
        near = [max(least, round(v / divisor) * divisor) for v in (height, width)]
        raise BadInput(
            f"{architecture.title} cannot take an input of {height}x{width}: height and width must be multiples of "
            f"{divisor}{f', {least} or more' if least > divisor else ''} — the nearest is --size {near[0]}x{near[1]}"
        )


def with_known(inferred: Architecture, known: Architecture) -> Architecture:
    """`known`, where it differs from the inferred architecture only in what the weights do not show; else
    `inferred`."""
    return known if inferred.with_defaults() == known.with_defaults() else inferred


def require_same(name: object, found: Architecture, other_name: object, other: Architecture, cure: str) -> None:
    """Raise BadInput where two files or cards, called by their names, are not of one network. `cure` ends the
    sentence."""
    if found != other:
        raise BadInput(f"{name} is {found.title}, {other_name} is {other.title} — {cure}")
