"""Networks that give a whole image one class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.architecture.base import Fit, HRNetArchitecture
from hrnet_deploy.architecture.body import Body, of_channels
from hrnet_deploy.fields import within

SIDE = 224  # the usual height and width of the input, in pixels
HEAD = (32, 64, 128, 256)  # the channels of the official head's bottlenecks, one for each branch
FEATURES = 2048


@dataclass(frozen=True)
class ClassHRNet(HRNetArchitecture):
    """HRNet for classification: a bottleneck unit widens every branch, strided convolutions add each branch to the next
    smaller one, and `features` channels of the smallest are averaged over the image. One fully connected layer gives a
    score for each class.

    `head` has the channels of the bottlenecks, one for each branch; a bottleneck gives four times as many."""

    family: ClassVar[str] = "cls_hrnet"
    task: ClassVar[str] = "classification"
    outputs: ClassVar[tuple[str, ...]] = ("logits",)
    body: Body
    classes: int = 1000
    head: tuple[int, ...] = within(1, 2**12, "a number of channels", HEAD)
    features: int = within(1, 2**14, "a number of channels", FEATURES)
    image_channels: int = 3

    @property
    def title(self) -> str:
        return f"HRNet-{self.body.title} classification, {self.classes} classes{of_channels(self.image_channels)}"

    @property
    def labels(self) -> int:
        return self.classes

    @property
    def usual_input(self) -> tuple[int, int, Fit]:
        return SIDE, SIDE, "centre"
