"""The HRNet body: a stem, stages of parallel branches, and the fusion between branches.

One body serves every variant. HRNetV1 (pose) takes the high-resolution branch of the last stage, V2 and V2p
take all of them. The bodies of the official repositories differ only in how a branch of lower
resolution is upsampled before it is added: that is `Upsample`, a part of the `Body`.

Source: "Deep High-Resolution Representation Learning for Visual Recognition", section 3;
parameter names of HRNet-Human-Pose-Estimation, lib/models/pose_hrnet.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_deploy.architecture import Body, Stage, Upsample
from hrnet_deploy.networks.blocks import BLOCKS, conv_bn, residual_layer


def upsampled(x: Tensor, rule: Upsample, factor: int, size: Sequence[int]) -> Tensor:
    """A branch (N, C, h, w) brought to the resolution of another one: `factor` times larger, which is `size` (H, W)."""
    if rule.by_factor:
        return F.interpolate(x, scale_factor=float(factor), mode="nearest")
    if rule.two_steps:
        x = F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=rule.align_corners)
        sizes = [*x.shape[-2:], *size]
        if all(type(s) is int for s in sizes) and sizes[:2] == sizes[2:]:  # during an export an open axis is no int
            return x
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=rule.align_corners)


class HighResolutionModule(nn.Module):
    """Parallel branches of residual units, and their fusion into `outputs` branches.

    Takes and gives a list of branches, (N, C_i, H/2^i, W/2^i) each.
    """

    def __init__(self, stage: Stage, inputs: Sequence[int], upsample: Upsample, outputs: int) -> None:
        super().__init__()
        block = BLOCKS[stage.block]
        self.upsample = upsample
        self.branches = nn.ModuleList(
            residual_layer(block, i, c, n) for i, c, n in zip(inputs, stage.channels, stage.blocks, strict=True)
        )
        width = stage.outputs
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse_path(width, source, target) for source in range(len(width)))
            for target in range(outputs)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Sequence[Tensor]) -> list[Tensor]:
        branches = [branch(t) for branch, t in zip(self.branches, x, strict=True)]
        return [self.fuse(target, branches) for target in range(len(self.fuse_layers))]

    def fuse(self, target: int, branches: Sequence[Tensor]) -> Tensor:
        """The fused output of branch `target`, from all branches."""
        total: Tensor | None = None
        for source, branch in enumerate(branches):
            y: Tensor = self.fuse_layers[target][source](branch)  # type: ignore[index]
            if source > target:
                y = upsampled(y, self.upsample, 2 ** (source - target), branches[target].shape[-2:])
            total = y if total is None else total + y
        assert total is not None
        return self.relu(total)


def _fuse_path(width: Sequence[int], source: int, target: int) -> nn.Module:
    """From branch `source` to branch `target`: a 1x1 convolution before upsampling, strided 3x3 convolutions for
    downsampling."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(*conv_bn(width[source], width[target], 1))
    steps: list[nn.Module] = []
    for step in range(target - source):
        last = step == target - source - 1
        layers = conv_bn(width[source], width[target] if last else width[source], 3, stride=2)
        steps.append(nn.Sequential(*layers) if last else nn.Sequential(*layers, nn.ReLU(inplace=True)))
    return nn.Sequential(*steps)


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Between two stages: adapts the channels of the existing branches and adds one of half the resolution."""
    paths: list[nn.Module] = []
    for i, channels in enumerate(after):
        if i >= len(before):
            layers = conv_bn(before[-1], channels, 3, stride=2)
            paths.append(nn.Sequential(nn.Sequential(*layers, nn.ReLU(inplace=True))))
        elif before[i] != channels:
            paths.append(nn.Sequential(*conv_bn(before[i], channels, 3), nn.ReLU(inplace=True)))
        else:
            paths.append(nn.Identity())
    return nn.ModuleList(paths)


class HRNet(nn.Module):
    """The HRNet body. (N, C, H, W) -> the branches of the last stage, (N, width 2^i, H/2^(i+2), W/2^(i+2)) each.

    With `multi_scale=False` the last module fuses the high-resolution branch only, as in HRNetV1: the official
    checkpoints hold no weights for the others."""

    def __init__(self, body: Body, multi_scale: bool = True, image_channels: int = 3) -> None:
        super().__init__()
        self.body = body
        self.conv1, self.bn1 = conv_bn(image_channels, body.stem, 3, stride=2)
        self.conv2, self.bn2 = conv_bn(body.stem, body.stem, 3, stride=2)
        self.relu = nn.ReLU(inplace=True)
        first = body.stage1
        self.layer1 = residual_layer(BLOCKS[first.block], body.stem, first.channels[0], first.blocks[0])
        width = first.outputs
        for number, stage in enumerate(body.stages, start=2):
            last = number == len(body.stages) + 1
            self.add_module(f"transition{number - 1}", _transition(width, stage.outputs))
            self.add_module(f"stage{number}", _stage(stage, body.upsample, multi_scale or not last))
            width = stage.outputs
        self.outputs = width if multi_scale else width[:1]

    def features(self, x: Tensor) -> list[Tensor]:
        """The branches of the last stage, the one of the highest resolution first."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        branches = [self.layer1(x)]
        for number in range(2, len(self.body.stages) + 2):
            transition = getattr(self, f"transition{number - 1}")
            # a new branch starts from the one of the lowest resolution
            branches = [path(branches[min(i, len(branches) - 1)]) for i, path in enumerate(transition)]
            branches = getattr(self, f"stage{number}")(branches)
        return branches

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.features(x)


def _stage(stage: Stage, upsample: Upsample, multi_scale: bool) -> nn.Sequential:
    every = len(stage.channels)
    modules = []
    for i in range(stage.modules):
        outputs = every if multi_scale or i < stage.modules - 1 else 1
        modules.append(HighResolutionModule(stage, stage.outputs, upsample, outputs))
    return nn.Sequential(*modules)


def joined(branches: Sequence[Tensor], align_corners: bool = False) -> Tensor:
    """The branches of HRNetV2, resized bilinearly to the first and concatenated: (N, sum of channels, H/4, W/4)."""
    high, *rest = branches
    size = list(high.shape[-2:])
    resized = (F.interpolate(b, size=size, mode="bilinear", align_corners=align_corners) for b in rest)
    return torch.cat([high, *resized], 1)


def concat_head(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    """The head of HRNetV2: a 1x1 convolution with a bias, as the official one has, batch norm, ReLU, and one map per
    label."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 1),
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
    )
