"""HRNetV2 for the landmarks of faces. Takes normalised images, (N, C, H, W), and gives heatmaps, (N, landmarks, H/4,
W/4).

Source: HRNet-Facial-Landmark-Detection, lib/models/hrnet.py (HighResolutionNet).
"""

from __future__ import annotations

from torch import Tensor

from hrnet_deploy import architecture
from hrnet_deploy.networks.hrnet import HRNet, concat_head, joined


class FaceHRNet(HRNet):
    """All branches, resized to the first and concatenated, and a head that gives the heatmaps."""

    def __init__(self, shape: architecture.FaceHRNet) -> None:
        super().__init__(shape.body, image_channels=shape.image_channels)
        self.head = concat_head(sum(self.outputs), shape.landmarks, shape.head_kernel)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.head(joined(self.features(x)))
