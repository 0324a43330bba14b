"""The shape of the network, and how it is recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.architecture import Architecture
from hrnet_deploy.checkpoints.recognise.shapes import Shapes


@dataclass(frozen=True)
class BrightnessNet(Architecture):
    """Two convolutions and a mean over the image."""

    family: ClassVar[str] = "brightness_net"
    task: ClassVar[str] = "brightness"
    outputs: ClassVar[tuple[str, ...]] = ("scores",)
    channels: int
    classes: int = 2

    @property
    def title(self) -> str:
        return f"BrightnessNet-{self.channels}, {self.classes} classes"

    @property
    def labels(self) -> int:
        return self.classes

    @property
    def scale(self) -> str:
        return f"c{self.channels}"

    @property
    def divisor(self) -> int:
        return 1


def recognise(tensors: Shapes) -> BrightnessNet | None:
    """The architecture, from the shapes of a checkpoint's tensors."""
    if not tensors.has("brightness."):
        return None
    classes, channels = tensors["brightness.weight"][:2]
    return BrightnessNet(channels, classes)
