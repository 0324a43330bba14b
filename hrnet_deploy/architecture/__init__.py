"""The shape of a network, as plain data: no framework is needed to read, compare or print it.

`networks.build_network` makes the PyTorch module of an architecture, `checkpoints.recognise` infers an architecture
from the tensors of a state dict, and a model card carries one. Every family implements the class `Architecture`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hrnet_deploy.architecture.base import Architecture
from hrnet_deploy.architecture.body import IMAGE_SIZE, INPUT, MOST, RESNET_DEPTHS, Body, Stage, Upsample
from hrnet_deploy.architecture.classification import ClassHRNet
from hrnet_deploy.architecture.deeplabcut import DeepLabCut
from hrnet_deploy.architecture.detection import Detections, FasterRCNN, Proposals, ResNetBody
from hrnet_deploy.architecture.higher_hrnet import HigherHRNet
from hrnet_deploy.architecture.landmarks import FaceHRNet
from hrnet_deploy.architecture.pose import PoseHRNet, SimpleBaseline
from hrnet_deploy.architecture.segmentation import DilatedResNet, SegHRNet
from hrnet_deploy.errors import BadInput
from hrnet_deploy.fields import Range, made
from hrnet_deploy.registry import family_entry, load

__all__ = [
    "IMAGE_SIZE",
    "INPUT",
    "RESNET_DEPTHS",
    "Architecture",
    "Body",
    "ClassHRNet",
    "DeepLabCut",
    "Detections",
    "DilatedResNet",
    "FaceHRNet",
    "FasterRCNN",
    "HigherHRNet",
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


def from_dict(values: Mapping[str, Any]) -> Architecture:
    """The architecture of a card or an ONNX file: the inverse of `to_dict`. A card may say `width: 32` instead of the
    whole body, and `upsample` beside it. Raises BadInput for a family this version does not know, and for a field that
    does not fit."""
    if not isinstance(values, Mapping):
        raise BadInput("architecture is not a group of fields — give it a family and what that family has")
    rest = dict(values)
    kind = load(family_entry(rest.pop("family", None)).architecture)
    if "width" in rest:
        width = made(int, rest.pop("width"), "architecture.width")
        Range(1, MOST, "a number of channels").check("architecture.width", width)
        upsample = made(Upsample, rest.pop("upsample", {}), "architecture.upsample")
        rest["body"] = Body.of_width(width, upsample=upsample)
    found: Architecture = made(kind, rest, "architecture")
    Range(0, MOST, "a size").check("a number of the architecture", found)
    if isinstance(body := getattr(found, "body", None), Body):
        body.check("architecture.body")
    return found


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
