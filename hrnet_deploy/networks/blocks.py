"""The two residual units of which every network here is made, under their official parameter names.

Source: "Deep Residual Learning for Image Recognition" in torchvision's variant, which the HRNet repositories use: in a
bottleneck the 3x3 convolution has the stride, and the eps of batch norms is 1e-5.
"""

from __future__ import annotations

from torch import Tensor, nn


def conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution without a bias and with "same" padding, and its batch norm."""
    padding = kernel // 2 * dilation
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False), nn.BatchNorm2d(outputs)]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut. (N, inputs, H, W) -> (N, channels, H/stride, W/stride)."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(inputs, channels, 3, stride, dilation)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + residual)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride and the dilation), 1x1 and a shortcut. (N, inputs, H, W) -> (N, 4 channels, H/stride,
    W/stride).

    In a ResNeXt the 3x3 convolution has more than one of `groups`, each of `base_width` channels where `channels` is
    64."""

    expansion = 4
    groups, base_width = 1, 64

    def __init__(self, inputs: int, channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        width = channels * self.base_width // 64 * self.groups
        self.conv1, self.bn1 = conv_bn(inputs, width, 1)
        self.conv2, self.bn2 = conv_bn(width, width, 3, stride, dilation, self.groups)
        self.conv3, self.bn3 = conv_bn(width, channels * self.expansion, 1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, channels * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + residual)


def grouped(groups: int, base_width: int) -> type[Bottleneck]:
    """The bottleneck unit of a ResNeXt with `groups` groups of `base_width` channels."""
    return type("GroupedBottleneck", (Bottleneck,), {"groups": groups, "base_width": base_width})


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """The projection on a shortcut where the shape changes; None where the input itself is added."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(*conv_bn(inputs, outputs, 1, stride))


def residual_layer(
    block: type[BasicBlock] | type[Bottleneck],
    inputs: int,
    channels: int,
    count: int,
    stride: int = 1,
    dilation: int = 1,
) -> nn.Sequential:
    """`count` units in a row; the first has the stride and changes the number of channels. In a layer with dilation the
    first unit has half of it (mmsegmentation's `contract_dilation`)."""
    outputs = channels * block.expansion
    units = [block(inputs, channels, stride, max(dilation // 2, 1))]
    units += [block(outputs, channels, dilation=dilation) for _ in range(count - 1)]
    return nn.Sequential(*units)
