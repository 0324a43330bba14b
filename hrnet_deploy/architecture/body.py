"""The parts that networks share: the HRNet body, and how many units a ResNet has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

INPUT = "image"  # what every network's input is called, in PyTorch as in a graph
IMAGE_SIZE = "image_size"  # (N, 2) height and width of the image inside a padded input, where a network asks for it
EXPANSION = {"basic": 1, "bottleneck": 4}
RESNET_DEPTHS: dict[int, tuple[int, int, int, int]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@dataclass(frozen=True)
class Upsample:
    """How a fusion brings a branch to a higher resolution.

    `nearest` multiplies the size by the factor between the branches (pose, classification, detection), so
    the input has to be divisible by 32. The bilinear rules resize to the size of the branch they are added
    to (segmentation, landmarks), whatever it is; in `two_steps` by the factor first, and from there to the
    size (mmsegmentation), which is the same where the input is divisible by 32.
    """

    mode: Literal["nearest", "bilinear"] = "nearest"
    align_corners: bool = False
    two_steps: bool = False

    @property
    def by_factor(self) -> bool:
        return self.mode == "nearest"

    @property
    def title(self) -> str:
        if self.by_factor:
            return self.mode
        return f"{self.mode}, align_corners {self.align_corners}{', in two steps' if self.two_steps else ''}"


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
    def of_width(
        cls, width: int, modules: Sequence[int] = (1, 4, 3), blocks: int = 4, upsample: Upsample | None = None
    ) -> Body:
        """The paper's HRNet-W<width>: branches of C, 2C, 4C, 8C channels; 1, 4, 3 modules of 4 units each."""
        channels = [width * 2**i for i in range(len(modules) + 1)]
        stages = (Stage(m, (blocks,) * n, tuple(channels[:n])) for n, m in enumerate(modules, start=2))
        return cls(Stage(1, (4,), (64,), "bottleneck"), tuple(stages), upsample=upsample or Upsample())

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
        if self == Body.of_width(self.width, upsample=self.upsample):
            return name
        modules = ", ".join(str(s.modules) for s in self.stages)
        units = sorted({b for s in self.stages for b in s.blocks})
        return f"{name} ({modules} modules of {'/'.join(map(str, units))} units)"
