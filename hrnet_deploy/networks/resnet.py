"""The ResNet bodies of the baselines that the HRNet paper compares with.

Source: HRNet-Human-Pose-Estimation, lib/models/pose_resnet.py (the torchvision ResNet without its classifier);
HRNet-Object-Detection, mmdet/models/backbones/resnext.py.
"""

from __future__ import annotations

from torch import Tensor, nn

from hrnet_deploy.architecture import RESNET_DEPTHS
from hrnet_deploy.networks.blocks import Bottleneck, conv_bn, grouped, residual_layer


class ResNet(nn.Module):
    """(N, C, H, W) -> the outputs of four bottleneck layers after a 7x7 stem and max pooling: (N, 256, ceil(H/4),
    ceil(W/4)) to (N, 2048, ceil(H/32), ceil(W/32)). With more than one of `groups` it is a ResNeXt."""

    def __init__(self, depth: int, groups: int = 1, base_width: int = 64, image_channels: int = 3) -> None:
        super().__init__()
        block = grouped(groups, base_width)
        self.conv1, self.bn1 = conv_bn(image_channels, 64, 7, stride=2)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs, self.outputs = 64, []
        for number, count in enumerate(RESNET_DEPTHS[depth], start=1):
            channels = 64 * 2 ** (number - 1)
            layer = residual_layer(block, inputs, channels, count, stride=1 if number == 1 else 2)
            self.add_module(f"layer{number}", layer)
            inputs = channels * block.expansion
            self.outputs.append(inputs)

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the four layers, the one of the highest resolution first."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        layers = []
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
            layers.append(x)
        return layers

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.features(x)


class DilatedBody(nn.Module):
    """(N, C, H, W) -> (N, 2048, H/8, W/8): the stem has three 3x3 convolutions, and the last two layers have dilations
    of 2 and 4 instead of halving the resolution. Source: mmsegmentation, mmseg/models/backbones/resnet.py
    (ResNetV1c)."""

    def __init__(self, depth: int, image_channels: int = 3) -> None:
        super().__init__()
        convs = [conv_bn(image_channels, 32, 3, stride=2), conv_bn(32, 32, 3), conv_bn(32, 64, 3)]
        self.stem = nn.Sequential(*(layer for conv in convs for layer in (*conv, nn.ReLU(inplace=True))))
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = 64
        for number, (count, stride, dilation) in enumerate(
            zip(RESNET_DEPTHS[depth], (1, 2, 1, 1), (1, 1, 2, 4), strict=True), start=1
        ):
            channels = 64 * 2 ** (number - 1)
            self.add_module(f"layer{number}", residual_layer(Bottleneck, inputs, channels, count, stride, dilation))
            inputs = channels * Bottleneck.expansion
        self.outputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.stem(x))
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return x
