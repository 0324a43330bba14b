"""Networks that give boxes, each with a class and a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.architecture.base import Architecture
from hrnet_deploy.architecture.body import IMAGE_SIZE, INPUT, RESNET_DEPTHS, Body, of_channels
from hrnet_deploy.fields import among, within

SHARE = "a share, not a percentage"

STRIDES = (4, 8, 16, 32, 64)  # of the pyramid's levels p2 to p6, in pixels of the input
POOLED = 4  # regions are pooled from the first four levels, p2 to p5
REGION = 7  # a region is pooled to 7 x 7 cells


@dataclass(frozen=True)
class ResNetBody:
    """A ResNet of bottleneck units. With more than one of `groups` it is a ResNeXt, and each group has `base_width`
    channels in the first layer."""

    depth: int = among(*RESNET_DEPTHS, default=101)
    groups: int = 1
    base_width: int = 64

    @property
    def title(self) -> str:
        return f"ResNet-{self.depth}" if self.groups == 1 else f"ResNeXt-{self.depth}-{self.groups}x{self.base_width}d"

    @property
    def divisor(self) -> int:
        return 32


@dataclass(frozen=True)
class Proposals:
    """What the region proposal network keeps. On each level the best `candidates` enter non-maximum suppression, which
    drops boxes that overlap a better one by more than `iou`. Of what all levels leave together, the best `kept` are
    proposals."""

    candidates: int = 1000
    iou: float = within(0, 1, SHARE, 0.7)
    kept: int = 1000


@dataclass(frozen=True)
class Detections:
    """What the box head keeps: detections that score above `score`. Within each class, non-maximum suppression drops
    those that overlap a better one by more than `iou`. Of what all classes leave together, the best `kept` are
    returned."""

    score: float = within(0, 1, SHARE, 0.05)
    iou: float = within(0, 1, SHARE, 0.5)
    kept: int = 100


@dataclass(frozen=True)
class FasterRCNN(Architecture):
    """Faster R-CNN on HRNetV2p (HRNet and HRFPN) or on a ResNet with FPN, with two shared fully connected layers.

    `neck` is the number of channels of every pyramid level, `hidden` that of the fully connected layers. The side of a
    square anchor is `anchor_scale` times its level's stride; `ratios` are heights divided by widths. Outputs have a
    fixed size of `detections.kept` rows per image. Rows from `count` on are padding: boxes and scores are 0 and labels
    are -1."""

    family: ClassVar[str] = "faster_rcnn"
    task: ClassVar[str] = "detection"
    inputs: ClassVar[tuple[str, ...]] = (INPUT, IMAGE_SIZE)
    outputs: ClassVar[tuple[str, ...]] = ("boxes", "scores", "labels", "count")
    not_in_weights: ClassVar[tuple[str, ...]] = ("anchor_scale", "ratios", "proposals", "detections")
    oldest_opset: ClassVar[int] = 18
    opset_reason: ClassVar[str] = "only the dynamo exporter writes its non-maximum suppression"
    static_reason: ClassVar[str] = "the number of boxes it proposes depends on them"
    body: Body | ResNetBody
    classes: int = 80
    neck: int = 256
    hidden: int = 1024
    anchor_scale: float = 8.0
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    proposals: Proposals = Proposals()
    detections: Detections = Detections()
    image_channels: int = 3

    @property
    def title(self) -> str:
        body = f"HRNetV2p-{self.body.title}" if isinstance(self.body, Body) else f"{self.body.title}-FPN"
        return f"Faster R-CNN {body}, {self.classes} classes{of_channels(self.image_channels)}"

    @property
    def labels(self) -> int:
        return self.classes

    @property
    def smallest_side(self) -> int:
        """The smallest input whose pyramid has a cell on every level."""
        return STRIDES[-1]

    @property
    def shared_body(self) -> Body | ResNetBody:
        return self.body

    @property
    def scale(self) -> str:
        if isinstance(self.body, Body):
            return f"w{self.body.width}"
        return self.body.title.lower().replace("-", "", 1).replace("-", "_")

    @property
    def divisor(self) -> int:
        return self.body.divisor
