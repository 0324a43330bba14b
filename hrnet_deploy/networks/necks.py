"""Feature pyramids: from the four branches or layers of a body to five levels of equal width, with strides 4 to 64.

The parameters have mmdetection's names, where each convolution is in a module of its own (`fpn_convs.0.conv`).
Source: mmdetection, mmdet/models/necks/hrfpn.py and fpn.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_deploy.architecture import Upsample
from hrnet_deploy.networks.hrnet import upsampled

LEVELS = 5


class HRFPN(nn.Module):
    """The pyramid of HRNetV2p.

    The branches are upsampled to the size of the first, concatenated, reduced to `width` channels, and average-pooled
    to the size of each level.

    [(N, C 2^i, H/2^i, W/2^i) for 4 branches] -> [(N, width, floor(H/2^i), floor(W/2^i)) for 5 levels].
    """

    def __init__(self, inputs: Sequence[int], width: int) -> None:
        super().__init__()
        self.reduction_conv = _conv(sum(inputs), width, 1)
        self.fpn_convs = nn.ModuleList(_conv(width, width, 3) for _ in range(LEVELS))

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        size, rule = branches[0].shape[-2:], Upsample("bilinear")
        same_size = [branches[0], *(upsampled(b, rule, 2**i, size) for i, b in enumerate(branches[1:], start=1))]
        x = self.reduction_conv(torch.cat(same_size, 1))
        levels = [x, *(F.avg_pool2d(x, 2**i, 2**i) for i in range(1, LEVELS))]
        return [conv(level) for conv, level in zip(self.fpn_convs, levels, strict=True)]


class FPN(nn.Module):
    """The top-down pyramid of ResNets.

    Each layer is reduced to `width` channels, and the layer above it is upsampled and added. The fifth level, p6, takes
    every second cell of p5.

    [(N, C_i, H/2^i, W/2^i) for 4 layers] -> [(N, width, ceil(H/2^i), ceil(W/2^i)) for 5 levels].
    """

    def __init__(self, inputs: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(_conv(i, width, 1) for i in inputs)
        self.fpn_convs = nn.ModuleList(_conv(width, width, 3) for _ in inputs)

    def forward(self, layers: Sequence[Tensor]) -> list[Tensor]:
        merged = [conv(layer) for conv, layer in zip(self.lateral_convs, layers, strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            merged[i - 1] = merged[i - 1] + upsampled(merged[i], Upsample(), 2, merged[i - 1].shape[-2:])
        levels = [conv(m) for conv, m in zip(self.fpn_convs, merged, strict=True)]
        return [*levels, F.max_pool2d(levels[-1], 1, stride=2)]


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)))
