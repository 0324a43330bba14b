"""What fixes a network's shape, as plain data: no framework is needed to read, compare or print it.

`networks.build` makes the PyTorch module of an architecture, `checkpoints` reads an architecture off the
tensors of a state dict, a model card carries one. An architecture says what its family and task are called, its
inputs and outputs, its `title`, how many `labels` it tells apart (keypoints, classes), what its size is called in
short (`scale`: w32, resnet101), and the `divisor` of input heights and widths.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from hrnet_deploy.architecture.body import IMAGE_SIZE, INPUT, RESNET_DEPTHS, Body, Stage, Upsample
from hrnet_deploy.architecture.detection import Detections, FasterRCNN, Proposals, ResNetBody
from hrnet_deploy.architecture.pose import PoseHRNet, SimpleBaseline
from hrnet_deploy.architecture.segmentation import DilatedResNet, SegHRNet
from hrnet_deploy.errors import BadInput

Architecture = PoseHRNet | SimpleBaseline | SegHRNet | DilatedResNet | FasterRCNN
FAMILIES: dict[str, type[Architecture]] = {a.family: a for a in typing.get_args(Architecture)}

__all__ = [
    "FAMILIES",
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
    "with_upsampling",
]


def to_dict(architecture: Architecture) -> dict[str, Any]:
    return {"family": architecture.family, **dataclasses.asdict(architecture)}


def from_dict(values: Mapping[str, Any]) -> Architecture:
    """The inverse of `to_dict`. A card may say `width: 32` instead of the whole body, and `upsample` beside it."""
    rest = dict(values)
    family = rest.pop("family", None)
    if family not in FAMILIES:
        raise BadInput(f"unknown network family {family!r} — known: {', '.join(FAMILIES)}")
    if "width" in rest:
        rest["body"] = Body.of_width(rest.pop("width"), upsample=Upsample(**rest.pop("upsample", {})))
    made: Architecture = _made(FAMILIES[family], rest)
    return made


def _made(kind: Any, value: Any) -> Any:
    """A value of JSON or YAML as the type a field is declared with: dataclasses and tuples, nested."""
    if isinstance(kind, types.UnionType) and isinstance(value, Mapping):
        kinds = [k for k in typing.get_args(kind) if dataclasses.is_dataclass(k)]
        kind = next((k for k in kinds if set(value) <= {f.name for f in dataclasses.fields(k)}), kind)
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        hints = typing.get_type_hints(kind)
        return kind(**{k: _made(hints.get(k), v) for k, v in value.items()})  # type: ignore[operator]
    if isinstance(value, (list, tuple)):
        inner = (typing.get_args(kind) or (None,))[0]
        return tuple(_made(inner, v) for v in value)
    return value


def check_size(architecture: Architecture, height: int, width: int) -> None:
    """Refuse an input the network cannot take, naming the nearest it can."""
    divisor = architecture.divisor
    least = getattr(architecture, "least", divisor)
    if height < least or width < least or height % divisor or width % divisor:
        near = [max(least, round(v / divisor) * divisor) for v in (height, width)]
        raise BadInput(
            f"{architecture.title} cannot take an input of {height}x{width}: height and width must be multiples of "
            f"{divisor}{f', {least} or more' if least > divisor else ''} — the nearest is --size {near[0]}x{near[1]}"
        )


def with_upsampling(architecture: Architecture, rule: Upsample) -> Architecture:
    """The same network with its branches brought to one size in another way, which no tensor tells. Where there are no
    branches, or the head that takes them is for another task, it stays as it is."""
    if not isinstance(architecture, SegHRNet):
        return architecture
    return dataclasses.replace(architecture, body=dataclasses.replace(architecture.body, upsample=rule))


def with_known(found: Architecture, wanted: Architecture) -> Architecture:
    """`wanted`, where what was found in a state dict cannot be told from it, else what was found."""
    return wanted if _in_weights(found) == _in_weights(wanted) else found


def _in_weights(architecture: Architecture) -> Architecture:
    """What tensors tell of a network, the rest as it usually is."""
    if isinstance(architecture, FasterRCNN):
        return dataclasses.replace(architecture, **{n: getattr(FasterRCNN, n) for n in FasterRCNN.not_in_weights})
    return with_upsampling(architecture, Upsample())


def require_same(name: object, found: Architecture, other_name: object, other: Architecture, cure: str) -> None:
    """Refuse two things that are not of one network."""
    if found != other:
        raise BadInput(f"{name} is {found.title}, {other_name} is {other.title} — {cure}")
