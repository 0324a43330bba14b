"""HigherHRNet under its official parameter names.

Source: HigherHRNet-Human-Pose-Estimation, lib/models/pose_higher_hrnet.py (PoseHigherResolutionNet).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hrnet_deploy import architecture
from hrnet_deploy.networks.blocks import BasicBlock
from hrnet_deploy.networks.hrnet import HRNet


class HigherHRNet(HRNet):
    """Heatmaps and tags at 1/4, and heatmaps at 1/2 of the input's size. H and W must be multiples of 32."""

    def __init__(self, shape: architecture.HigherHRNet) -> None:
        super().__init__(shape.body, multi_scale=False, image_channels=shape.image_channels)
        width, first, kernel = self.outputs[0], shape.keypoints + shape.tags, shape.head_kernel
        self.concatenated = shape.concatenated
        self.final_layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
            for inputs, outputs in ((width, first), (shape.deconv, shape.keypoints))
        )
        upsampling = nn.Sequential(
            nn.ConvTranspose2d(width + first * shape.concatenated, shape.deconv, 4, 2, 1, bias=False),
            nn.BatchNorm2d(shape.deconv),
            nn.ReLU(inplace=True),
        )
        units = [nn.Sequential(BasicBlock(shape.deconv, shape.deconv)) for _ in range(shape.units)]
        self.deconv_layers = nn.ModuleList([nn.Sequential(upsampling, *units)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        features = self.features(x)[0]
        stage0 = self.final_layers[0](features)
        seen = torch.cat([features, stage0], 1) if self.concatenated else features
        return stage0, self.final_layers[1](self.deconv_layers[0](seen))
