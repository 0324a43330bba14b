"""The parts that networks share: the HRNet body, and the number of units of a ResNet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from hrnet_deploy.errors import BadInput
from hrnet_deploy.fields import among

INPUT = "image"  # the name of the input of every network, in PyTorch and in a graph
IMAGE_SIZE = "image_size"  # (N, 2) height and width of the image inside a padded input, for networks that take it
MOST = 2**16  # of every number of an architecture: channels, units, labels, boxes
EXPANSION = {"basic": 1, "bottleneck": 4}  # output channels of a residual unit per channel of its first convolution
# the number of units in each of the four layers, by depth
RESNET_DEPTHS: dict[int, tuple[int, int, int, int]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def of_channels(count: int) -> str:
    """The part of a title that says how many channels the image has, where they are not three."""
    return "" if count == 3 else f", images of {count} channel{'s' if count > 1 else ''}"


@dataclass(frozen=True)
class Upsample:
    """How a branch of lower resolution is upsampled before it is added to another one.

    `nearest` multiplies the size by the factor between the branches (pose, classification, detection), so height and
    width of the input must be multiples of 32. `bilinear` resizes to the size of the other branch, whatever it is
    (segmentation, landmarks). With `two_steps` it resizes by the factor first and then to that size (mmsegmentation),
    which is the same where height and width are multiples of 32."""

    mode: Literal["nearest", "bilinear"] = "nearest"
    align_corners: bool = False
    two_steps: bool = False

    @property
    def by_factor(self) -> bool:
        """Whether the size is multiplied, instead of taken from the other branch."""
        return self.mode == "nearest"

    @property
    def title(self) -> str:
        """The rule in words."""
        if self.by_factor:
            return self.mode
        return f"{self.mode}, align_corners {self.align_corners}{', in two steps' if self.two_steps else ''}"


@dataclass(frozen=True)
class Stage:
    """One stage: how often its module is repeated, and for each branch the number of residual units and of channels.
    `block` is `basic` or `bottleneck`."""

    modules: int
    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    block: str = among("basic", "bottleneck", default="basic")

    @property
    def outputs(self) -> list[int]:
        """The channels that each branch gives."""
        return [c * EXPANSION[self.block] for c in self.channels]


@dataclass(frozen=True)
class Body:
    """The HRNet body: a stem with `stem` channels, a first stage of one branch, then stages of 2, 3 and 4 branches."""

    stage1: Stage
    stages: tuple[Stage, ...]
    stem: int = 64
    upsample: Upsample = field(default_factory=Upsample)

    @classmethod
    def of_width(
        cls, width: int, modules: Sequence[int] = (1, 4, 3), blocks: int = 4, upsample: Upsample | None = None
    ) -> Body:
        """The paper's HRNet-W<width>. Its branches have 1, 2, 4 and 8 times `width` channels. The stages have 1, 4 and
        3 modules of 4 units per branch, unless `modules` and `blocks` say otherwise."""
        channels = [width * 2**i for i in range(len(modules) + 1)]
        stages = (Stage(m, (blocks,) * n, tuple(channels[:n])) for n, m in enumerate(modules, start=2))
        return cls(Stage(1, (4,), (64,), "bottleneck"), tuple(stages), upsample=upsample or Upsample())

    def check(self, path: str) -> None:
        """Raises BadInput where the branches of a stage do not fit each other. `path` is what errors call the body."""
        if not self.stages:
            raise BadInput(f"{path}.stages is empty — give the stages of 2, 3 and 4 branches")
        for i, stage in enumerate((self.stage1, *self.stages)):
            place = f"{path}.stages[{i - 1}]" if i else f"{path}.stage1"
            if not 1 <= len(stage.channels) == len(stage.blocks):
                raise BadInput(
                    f"{place} has {len(stage.channels)} channels and {len(stage.blocks)} blocks — give one of each for "
                    "every branch"
                )

    @property
    def width(self) -> int:
        """The channels of the branch with the highest resolution."""
        return self.stages[-1].channels[0]

    @property
    def divisor(self) -> int:
        """Input height and width must be multiples of this; 1 where branches are resized to a size."""
        return 4 * 2 ** len(self.stages) if self.upsample.by_factor else 1

    @property
    def title(self) -> str:
        """W32, with what differs from the paper's body of that width."""
        name = f"W{self.width}"
        if self == Body.of_width(self.width, upsample=self.upsample):
            return name
        modules = ", ".join(str(s.modules) for s in self.stages)
        units = sorted({b for s in self.stages for b in s.blocks})
        return f"{name} ({modules} modules of {'/'.join(map(str, units))} units)"
