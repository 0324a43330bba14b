"""Networks that give one heatmap per landmark of a face or of a hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.architecture.base import HRNetArchitecture
from hrnet_deploy.architecture.body import Body, of_channels


@dataclass(frozen=True)
class FaceHRNet(HRNetArchitecture):
    """HRNetV2: all branches, brought to the size of the first and concatenated, give one heatmap per landmark, at 1/4
    of the input size. Branches are upsampled bilinearly, in the body's fusion too."""

    family: ClassVar[str] = "face_hrnet"
    task: ClassVar[str] = "landmarks"
    outputs: ClassVar[tuple[str, ...]] = ("heatmaps",)
    body: Body
    landmarks: int = 68
    head_kernel: int = 1
    image_channels: int = 3

    @property
    def title(self) -> str:
        return f"HRNetV2-{self.body.title} landmarks, {self.landmarks} landmarks{of_channels(self.image_channels)}"

    @property
    def labels(self) -> int:
        return self.landmarks

    @property
    def smallest_side(self) -> int:
        return 4 * 2 ** len(self.body.stages)
