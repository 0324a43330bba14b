"""The HRNet of DeepLabCut 3. Its body is timm's, whose parameters have the official names.

Source: DeepLabCut 3.0.1, pose_estimation_pytorch/models/backbones/hrnet.py and heads/simple_head.py (HeatmapHead and
DeconvModule). Names of parameters are those of a snapshot without `backbone.model.` and `heads.bodypart.`.
"""

from __future__ import annotations

from torch import Tensor, nn

from hrnet_deploy import architecture
from hrnet_deploy.networks.hrnet import HRNet


class _Head(nn.Module):
    """(N, inputs, h, w) -> (N, outputs, 2h + 1, 2w + 1) by a transposed convolution, or (N, outputs, h, w)."""

    def __init__(self, inputs: int, outputs: int, deconv: bool) -> None:
        super().__init__()
        self.deconv_layers, self.final_conv = None, None
        if deconv:
            self.deconv_layers = nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 3, stride=2))
        else:
            self.final_conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        head = self.final_conv if self.deconv_layers is None else self.deconv_layers
        assert head is not None
        y: Tensor = head(x)
        return y


class DeepLabCut(HRNet):
    """Heatmaps and location refinement from the high-resolution branch, (N, C, H, W) -> two tensors.

    Snapshots also have the weights that fuse the other branches of the last module. As in DeepLabCut they are computed
    in PyTorch and used by nothing; an exported graph does not have them."""

    def __init__(self, shape: architecture.DeepLabCut) -> None:
        super().__init__(shape.body, image_channels=shape.image_channels)
        self.heatmap_head = _Head(self.outputs[0], shape.keypoints, shape.deconv)
        self.locref_head = _Head(self.outputs[0], 2 * shape.keypoints, shape.deconv)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        features = self.features(x)[0]
        return self.heatmap_head(features), self.locref_head(features)
