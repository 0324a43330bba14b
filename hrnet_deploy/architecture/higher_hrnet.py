"""HigherHRNet: the poses of all people in an image at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.architecture.base import Fit, HRNetArchitecture
from hrnet_deploy.architecture.body import Body, of_channels


@dataclass(frozen=True)
class HigherHRNet(HRNetArchitecture):
    """Heads at two resolutions: `stage0` (N, keypoints + tags, H/4, W/4) has heatmaps and then tags, which say which
    keypoints are of one person; `stage1` (N, keypoints, H/2, W/2) has heatmaps, after a transposed convolution of
    kernel 4 to `deconv` channels and `units` residual units. With `concatenated`, that convolution sees stage0 too."""

    family: ClassVar[str] = "higher_hrnet"
    task: ClassVar[str] = "pose"
    outputs: ClassVar[tuple[str, ...]] = ("stage0", "stage1")
    body: Body
    keypoints: int = 17
    tags: int = 17
    deconv: int = 32
    units: int = 4
    concatenated: bool = True
    head_kernel: int = 1
    image_channels: int = 3

    @property
    def title(self) -> str:
        name = f"HigherHRNet-{self.body.title} bottom-up pose, {self.keypoints} keypoints"
        return name + of_channels(self.image_channels)

    @property
    def labels(self) -> int:
        return self.keypoints

    @property
    def usual_input(self) -> tuple[int, int, Fit]:
        return 512, 512, "pad"
