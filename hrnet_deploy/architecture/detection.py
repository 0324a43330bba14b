"""Networks that give boxes, each with a class and a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.architecture.body import IMAGE_SIZE, INPUT, Body

STRIDES = (4, 8, 16, 32, 64)  # of the pyramid's levels, p2 to p6
POOLED = 4  # regions are taken from the first levels, p2 to p5
REGION = 7  # cells a side that a region is pooled to


@dataclass(frozen=True)
class ResNetBody:
    """A ResNet of bottlenecks; with `groups` a ResNeXt, whose groups hold `base_width` channels in the first layer."""

    depth: int = 101
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
    """What the region proposal network keeps: of each level the best `candidates` before suppression at an overlap
    over `iou`, of all levels together the best `kept` after it."""

    candidates: int = 1000
    iou: float = 0.7
    kept: int = 1000


@dataclass(frozen=True)
class Detections:
    """What the box head keeps: scores over `score`, by class without those that overlap a better one over `iou`, of all
    classes together the best `kept`."""

    score: float = 0.05
    iou: float = 0.5
    kept: int = 100


@dataclass(frozen=True)
class FasterRCNN:
    """Faster R-CNN on HRNetV2p (HRNet and HRFPN) or on a ResNet with FPN, with two shared fully connected layers.

    `neck` is the width of every level of the pyramid, `hidden` that of the fully connected layers. Anchors are
    `anchor_scale` times a level's stride large, at ratios of height to width. Outputs have a fixed size, `detections.kept` a
    image; beyond `count` boxes and scores are 0 and labels -1.
    """

    family: ClassVar[str] = "faster_rcnn"
    task: ClassVar[str] = "detection"
    inputs: ClassVar[tuple[str, ...]] = (INPUT, IMAGE_SIZE)
    outputs: ClassVar[tuple[str, ...]] = ("boxes", "scores", "labels", "count")
    not_in_weights: ClassVar[tuple[str, ...]] = (
        "anchor_scale",
        "ratios",
        "proposals",
        "detections",
    )  # fields no tensor shows
    body: Body | ResNetBody
    classes: int = 80
    neck: int = 256
    hidden: int = 1024
    anchor_scale: float = 8.0
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    proposals: Proposals = Proposals()
    detections: Detections = Detections()

    @property
    def title(self) -> str:
        body = f"HRNetV2p-{self.body.title}" if isinstance(self.body, Body) else f"{self.body.title}-FPN"
        return f"Faster R-CNN {body}, {self.classes} classes"

    @property
    def labels(self) -> int:
        return self.classes

    @property
    def least(self) -> int:
        """The smallest input whose pyramid has a cell on every level."""
        return STRIDES[-1]

    @property
    def scale(self) -> str:
        if isinstance(self.body, Body):
            return f"w{self.body.width}"
        return self.body.title.lower().replace("-", "", 1).replace("-", "_")

    @property
    def divisor(self) -> int:
        return self.body.divisor
