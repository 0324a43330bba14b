"""Networks that give one heatmap per keypoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.architecture.base import Architecture, HRNetArchitecture
from hrnet_deploy.architecture.body import RESNET_DEPTHS, Body, of_channels
from hrnet_deploy.fields import among


@dataclass(frozen=True)
class PoseHRNet(HRNetArchitecture):
    """HRNetV1: a convolution on the high-resolution branch gives one heatmap per keypoint, at 1/4 of the input size."""

    family: ClassVar[str] = "pose_hrnet"
    task: ClassVar[str] = "pose"
    outputs: ClassVar[tuple[str, ...]] = ("heatmaps",)
    body: Body
    keypoints: int = 17
    head_kernel: int = 1
    image_channels: int = 3

    @property
    def title(self) -> str:
        return f"HRNetV1-{self.body.title} pose, {self.keypoints} keypoints{of_channels(self.image_channels)}"

    @property
    def labels(self) -> int:
        return self.keypoints


@dataclass(frozen=True)
class SimpleBaseline(Architecture):
    """A ResNet followed by transposed convolutions of stride 2, which bring its output from 1/32 to 1/4 of the input
    size."""

    family: ClassVar[str] = "simple_baseline"
    task: ClassVar[str] = "pose"
    outputs: ClassVar[tuple[str, ...]] = ("heatmaps",)
    depth: int = among(*RESNET_DEPTHS)
    keypoints: int = 17
    deconv: tuple[int, ...] = (256, 256, 256)
    deconv_kernels: tuple[int, ...] = (4, 4, 4)
    head_kernel: int = 1
    image_channels: int = 3

    @property
    def title(self) -> str:
        return f"SimpleBaseline-ResNet-{self.depth} pose, {self.keypoints} keypoints{of_channels(self.image_channels)}"

    @property
    def labels(self) -> int:
        return self.keypoints

    @property
    def scale(self) -> str:
        return f"resnet{self.depth}"

    @property
    def divisor(self) -> int:
        return 32
