"""Networks that give one heatmap per keypoint: HRNetV1 and SimpleBaseline.

Both take normalised images, (N, C, H, W), and give heatmaps, (N, keypoints, H/4, W/4).

Source: HRNet-Human-Pose-Estimation, lib/models/pose_hrnet.py (PoseHighResolutionNet) and pose_resnet.py (PoseResNet).
"""

from __future__ import annotations

from torch import Tensor, nn

from hrnet_deploy import architecture
from hrnet_deploy.networks.hrnet import HRNet
from hrnet_deploy.networks.resnet import ResNet

# padding and output padding by kernel size (_get_deconv_cfg of the official repository)
DECONV_PADDING = {4: (1, 0), 3: (1, 1), 2: (0, 0)}


class PoseHRNet(HRNet):
    """HRNetV1: a convolution on the high-resolution branch gives the heatmaps. H and W must be multiples of 32."""

    def __init__(self, shape: architecture.PoseHRNet) -> None:
        super().__init__(shape.body, multi_scale=False, image_channels=shape.image_channels)
        kernel = shape.head_kernel
        self.final_layer = nn.Conv2d(self.outputs[0], shape.keypoints, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.final_layer(self.features(x)[0])


class SimpleBaseline(ResNet):
    """A ResNet and transposed convolutions of stride 2, each of which doubles the size: from 1/32 to 1/4."""

    def __init__(self, shape: architecture.SimpleBaseline) -> None:
        super().__init__(shape.depth, image_channels=shape.image_channels)
        layers: list[nn.Module] = []
        inputs = self.outputs[-1]
        for outputs, kernel in zip(shape.deconv, shape.deconv_kernels, strict=True):
            padding, output_padding = DECONV_PADDING[kernel]
            layers += [
                nn.ConvTranspose2d(inputs, outputs, kernel, 2, padding, output_padding, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
            inputs = outputs
        self.deconv_layers = nn.Sequential(*layers)
        kernel = shape.head_kernel
        self.final_layer = nn.Conv2d(inputs, shape.keypoints, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.final_layer(self.deconv_layers(self.features(x)[-1]))
