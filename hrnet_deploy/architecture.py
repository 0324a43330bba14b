"""What fixes a network's shape, as plain data: no framework is needed to read, compare or print it.

`networks.build` makes the PyTorch module of an architecture, `checkpoints` reads an architecture off the
tensors of a state dict, a model card carries one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from hrnet_deploy.errors import BadInput

INPUT = "image"  # what every network's input is called, in PyTorch as in a graph
EXPANSION = {"basic": 1, "bottleneck": 4}
RESNET_DEPTHS: dict[int, tuple[int, int, int, int]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@dataclass(frozen=True)
class Upsample:
    """How a fusion brings a branch to a higher resolution.

    `nearest` multiplies the size by the factor between the branches (pose, classification, detection), so
    the input has to be divisible by 32. The bilinear rules resize to the size of the branch they are added
    to (segmentation, landmarks), whatever it is.
    """

    mode: Literal["nearest", "bilinear"] = "nearest"
    align_corners: bool = False

    @property
    def by_factor(self) -> bool:
        return self.mode == "nearest"


@dataclass(frozen=True)
class Stage:
    """One stage: how often its module repeats, and the residual units and channels of each branch."""

    modules: int
    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    block: str = "basic"

    @property
    def outputs(self) -> list[int]:
        return [c * EXPANSION[self.block] for c in self.channels]


@dataclass(frozen=True)
class Body:
    """The HRNet body: stem, a first stage of bottlenecks, then stages of 2, 3, 4 branches."""

    stage1: Stage
    stages: tuple[Stage, ...]
    stem: int = 64
    upsample: Upsample = field(default_factory=Upsample)

    @classmethod
    def of_width(cls, width: int, modules: Sequence[int] = (1, 4, 3), blocks: int = 4) -> Body:
        """The paper's HRNet-W<width>: branches of C, 2C, 4C, 8C channels; 1, 4, 3 modules of 4 units each."""
        channels = [width * 2**i for i in range(len(modules) + 1)]
        stages = (Stage(m, (blocks,) * n, tuple(channels[:n])) for n, m in enumerate(modules, start=2))
        return cls(Stage(1, (4,), (64,), "bottleneck"), tuple(stages))

    @property
    def width(self) -> int:
        return self.stages[-1].channels[0]

    @property
    def divisor(self) -> int:
        """Input height and width must be multiples of this (1 where fusion resizes to size)."""
        return 4 * 2 ** len(self.stages) if self.upsample.by_factor else 1

    @property
    def title(self) -> str:
        name = f"W{self.width}"
        if self == Body.of_width(self.width):
            return name
        modules = ", ".join(str(s.modules) for s in self.stages)
        units = sorted({b for s in self.stages for b in s.blocks})
        return f"{name} ({modules} modules of {'/'.join(map(str, units))} units)"


@dataclass(frozen=True)
class PoseHRNet:
    """HRNetV1: a convolution on the high-resolution branch gives one heatmap a keypoint, at 1/4."""

    family: ClassVar[str] = "pose_hrnet"
    task: ClassVar[str] = "pose"
    outputs: ClassVar[tuple[str, ...]] = ("heatmaps",)
    body: Body
    keypoints: int = 17
    head_kernel: int = 1

    @property
    def title(self) -> str:
        return f"HRNetV1-{self.body.title} pose, {self.keypoints} keypoints"

    @property
    def divisor(self) -> int:
        return self.body.divisor


@dataclass(frozen=True)
class SimpleBaseline:
    """ResNet and transposed convolutions of stride 2, which bring 1/32 back to 1/4."""

    family: ClassVar[str] = "simple_baseline"
    task: ClassVar[str] = "pose"
    outputs: ClassVar[tuple[str, ...]] = ("heatmaps",)
    depth: int
    keypoints: int = 17
    deconv: tuple[int, ...] = (256, 256, 256)
    deconv_kernels: tuple[int, ...] = (4, 4, 4)
    head_kernel: int = 1

    @property
    def title(self) -> str:
        return f"SimpleBaseline-ResNet-{self.depth} pose, {self.keypoints} keypoints"

    @property
    def divisor(self) -> int:
        return 32


Architecture = PoseHRNet | SimpleBaseline
FAMILIES: dict[str, type[PoseHRNet] | type[SimpleBaseline]] = {a.family: a for a in (PoseHRNet, SimpleBaseline)}


def to_dict(architecture: Architecture) -> dict[str, Any]:
    return {"family": architecture.family, **dataclasses.asdict(architecture)}


def from_dict(values: Mapping[str, Any]) -> Architecture:
    """The inverse of `to_dict`. A card may say `width: 32` instead of the whole body."""
    rest = dict(values)
    family = rest.pop("family", None)
    if family not in FAMILIES:
        raise BadInput(f"unknown network family {family!r} — known: {', '.join(FAMILIES)}")
    if "width" in rest:
        rest["body"] = Body.of_width(rest.pop("width"))
    elif "body" in rest:
        rest["body"] = _body(rest["body"])
    kind: Any = FAMILIES[family]
    made: Architecture = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in rest.items()})
    return made


def _body(values: Mapping[str, Any]) -> Body:
    def stage(v: Mapping[str, Any]) -> Stage:
        return Stage(v["modules"], tuple(v["blocks"]), tuple(v["channels"]), v.get("block", "basic"))

    upsample = Upsample(**values.get("upsample", {}))
    stages = tuple(stage(s) for s in values["stages"])
    return Body(stage(values["stage1"]), stages, values.get("stem", 64), upsample)


def check_size(architecture: Architecture, height: int, width: int) -> None:
    """Refuse an input the network cannot take, naming the nearest it can."""
    divisor = architecture.divisor
    if height < divisor or width < divisor or height % divisor or width % divisor:
        near = [max(divisor, round(v / divisor) * divisor) for v in (height, width)]
        raise BadInput(
            f"{architecture.title} cannot take an input of {height}x{width}: it upsamples by factor, so height "
            f"and width must be multiples of {divisor} — the nearest is --size {near[0]}x{near[1]}"
        )


def require_same(name: object, found: Architecture, other_name: object, other: Architecture, cure: str) -> None:
    """Refuse two things that are not of one network."""
    if found != other:
        raise BadInput(f"{name} is {found.title}, {other_name} is {other.title} — {cure}")
