"""The HRNet of DeepLabCut 3, for the pose of one animal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.architecture.base import Architecture
from hrnet_deploy.architecture.body import Body, of_channels


@dataclass(frozen=True)
class DeepLabCut(Architecture):
    """Two heads on the high-resolution branch: `heatmaps` (N, keypoints, h, w), and `locref` (N, 2 keypoints, h, w),
    the offsets of each keypoint as x, y, x, y, ..., in units of DeepLabCut's `locref_std`.

    With `deconv` a head is a transposed convolution of kernel 3 and stride 2 without padding, so that n rows become
    2 n + 1, at 1/2 of the input size (bottom-up networks). Otherwise it is a 1x1 convolution, at 1/4 (top-down
    networks)."""

    family: ClassVar[str] = "deeplabcut"
    task: ClassVar[str] = "pose"
    outputs: ClassVar[tuple[str, ...]] = ("heatmaps", "locref")
    body: Body
    keypoints: int
    deconv: bool = True
    image_channels: int = 3

    @property
    def title(self) -> str:
        kind = "1/2" if self.deconv else "1/4"
        name = f"DeepLabCut HRNet-{self.body.title} pose, {self.keypoints} keypoints at {kind}"
        return name + of_channels(self.image_channels)

    @property
    def labels(self) -> int:
        return self.keypoints

    @property
    def scale(self) -> str:
        return f"w{self.body.width}"

    @property
    def divisor(self) -> int:
        return self.body.divisor

    @property
    def shared_body(self) -> Body:
        return self.body
