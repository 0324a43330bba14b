"""Networks that give every pixel a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from hrnet_deploy.architecture.body import INPUT, Body

HEADS = {"psp": "PSPNet", "aspp": "DeepLabV3"}  # what a dilated ResNet is called by its head


@dataclass(frozen=True)
class SegHRNet:
    """HRNetV2: all branches at the size of the first, concatenated, give a score a class and pixel, at 1/4.

    With `ocr` that is a first guess, from which the mean of every class is gathered and held against every pixel.
    The branches are upsampled before the head as the body upsamples them in fusion: bilinearly, to size.
    """

    family: ClassVar[str] = "seg_hrnet"
    task: ClassVar[str] = "segmentation"
    inputs: ClassVar[tuple[str, ...]] = (INPUT,)
    outputs: ClassVar[tuple[str, ...]] = ("logits",)
    body: Body
    classes: int = 19
    ocr: bool = False
    head_kernel: int = 1

    @property
    def title(self) -> str:
        rule = self.body.upsample
        name = f"HRNetV2-{self.body.title}{' + OCR' if self.ocr else ''} segmentation, {self.classes} classes"
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


@dataclass(frozen=True)
class DilatedResNet:
    """A ResNet whose last two layers keep the resolution of 1/8 and dilate instead, with a head that looks at the
    whole image: pyramid pooling (`psp`, PSPNet) or atrous pyramid pooling (`aspp`, DeepLabV3)."""

    family: ClassVar[str] = "dilated_resnet"
    task: ClassVar[str] = "segmentation"
    inputs: ClassVar[tuple[str, ...]] = (INPUT,)
    outputs: ClassVar[tuple[str, ...]] = ("logits",)
    depth: int
    head: Literal["psp", "aspp"]
    classes: int = 19
    channels: int = 512

    @property
    def title(self) -> str:
        return f"{HEADS[self.head]}-ResNet-{self.depth} segmentation, {self.classes} classes"

    @property
    def labels(self) -> int:
        return self.classes

    @property
    def scale(self) -> str:
        return f"{HEADS[self.head].lower()}_resnet{self.depth}"

    @property
    def divisor(self) -> int:
        return 1
