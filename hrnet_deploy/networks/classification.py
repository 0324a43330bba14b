"""HRNet for image classification: normalised images (N, C, H, W) -> class scores (N, classes).

Source: HRNet-Image-Classification, lib/models/cls_hrnet.py (HighResolutionNet).
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from hrnet_deploy import architecture
from hrnet_deploy.networks.blocks import Bottleneck, residual_layer
from hrnet_deploy.networks.hrnet import HRNet


class ClassHRNet(HRNet):
    """The HRNet body and the official head. H and W must be multiples of 32."""

    def __init__(self, shape: architecture.ClassHRNet) -> None:
        super().__init__(shape.body, image_channels=shape.image_channels)
        wide = [c * Bottleneck.expansion for c in shape.head]
        self.incre_modules = nn.ModuleList(
            residual_layer(Bottleneck, i, c, 1) for i, c in zip(self.outputs, shape.head, strict=True)
        )
        self.downsamp_modules = nn.ModuleList(
            _conv_with_bias(before, after, 3, stride=2) for before, after in itertools.pairwise(wide)
        )
        self.final_layer = _conv_with_bias(wide[-1], shape.features, 1)
        self.classifier = nn.Linear(shape.features, shape.classes)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        branches = [widen(y) for widen, y in zip(self.incre_modules, self.features(x), strict=True)]
        total = branches[0]
        for down, branch in zip(self.downsamp_modules, branches[1:], strict=True):
            total = branch + down(total)
        return self.classifier(self.final_layer(total).mean((2, 3)))


def _conv_with_bias(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution with a bias, although a batch norm follows it, and a ReLU: so are the official ones."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
