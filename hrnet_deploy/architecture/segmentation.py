"""Networks that give every pixel a class."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from hrnet_deploy.architecture.base import Architecture
from hrnet_deploy.architecture.body import RESNET_DEPTHS, Body, Upsample, of_channels
from hrnet_deploy.fields import among

HEADS = {"psp": "PSPNet", "aspp": "DeepLabV3"}  # the name of a dilated ResNet with each head


@dataclass(frozen=True)
class SegHRNet(Architecture):
    """HRNetV2: all branches, brought to the size of the first and concatenated, give one score per class and pixel, at
    1/4 of the input size.

    With `ocr` those scores are a first estimate. It weights the mean features of every class, with which every pixel is
    then compared (object-contextual representations). Before the head, branches are upsampled as in the body's fusion:
    bilinearly, to the size of the first. The weights do not show whether that is done with `align_corners`."""

    family: ClassVar[str] = "seg_hrnet"
    task: ClassVar[str] = "segmentation"
    outputs: ClassVar[tuple[str, ...]] = ("logits",)
    body: Body
    classes: int = 19
    ocr: bool = False
    head_kernel: int = 1
    image_channels: int = 3

    @property
    def title(self) -> str:
        rule = self.body.upsample
        name = f"HRNetV2-{self.body.title}{' + OCR' if self.ocr else ''} segmentation, {self.classes} classes"
        name += of_channels(self.image_channels)
        how = ", ".join(["align_corners"] * rule.align_corners + ["fused in two steps"] * rule.two_steps)
        return f"{name} ({how})" if how else name

    @property
    def labels(self) -> int:
        return self.classes

    @property
    def scale(self) -> str:
        return f"w{self.body.width}{'_ocr' if self.ocr else ''}"

    @property
    def divisor(self) -> int:
        return self.body.divisor

    @property
    def shared_body(self) -> Body:
        return self.body

    @property
    def open_upsampling(self) -> Upsample:
        return self.body.upsample

    def with_upsampling(self, rule: Upsample) -> Self:
        return dataclasses.replace(self, body=dataclasses.replace(self.body, upsample=rule))

    @property
    def assumption(self) -> str:
        other = "--no-align-corners" if self.body.upsample.align_corners else "--align-corners"
        rule = self.body.upsample.title
        return f"the upsampling of its branches is assumed to be {rule} — if it is not, export with {other}"


@dataclass(frozen=True)
class DilatedResNet(Architecture):
    """A ResNet whose last two layers stay at 1/8 of the input size and use dilated convolutions instead of strides. Its
    head sees the whole image: pyramid pooling (`psp`, PSPNet) or atrous spatial pyramid pooling (`aspp`, DeepLabV3)."""

    family: ClassVar[str] = "dilated_resnet"
    task: ClassVar[str] = "segmentation"
    outputs: ClassVar[tuple[str, ...]] = ("logits",)
    depth: int = among(*RESNET_DEPTHS)
    head: Literal["psp", "aspp"] = among(*HEADS)
    classes: int = 19
    channels: int = 512
    image_channels: int = 3

    @property
    def title(self) -> str:
        title = f"{HEADS[self.head]}-ResNet-{self.depth} segmentation, {self.classes} classes"
        return title + of_channels(self.image_channels)

    @property
    def labels(self) -> int:
        return self.classes

    @property
    def scale(self) -> str:
        return f"{HEADS[self.head].lower()}_resnet{self.depth}"

    @property
    def divisor(self) -> int:
        return 1
