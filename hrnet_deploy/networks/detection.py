"""Faster R-CNN under mmdetection's parameter names (version 2 and later).

Source: mmdetection, mmdet/models/detectors/two_stage.py.
"""

from __future__ import annotations

from torch import Tensor, nn

from hrnet_deploy import architecture
from hrnet_deploy.networks.heads import BoxHead, RPNHead
from hrnet_deploy.networks.hrnet import HRNet
from hrnet_deploy.networks.necks import FPN, HRFPN
from hrnet_deploy.networks.resnet import ResNet


class RoIHead(nn.Module):
    """What is done with proposals. It has no parameters but the box head's, and gives those their names."""

    def __init__(self, shape: architecture.FasterRCNN) -> None:
        super().__init__()
        self.bbox_head = BoxHead(shape.neck, shape.hidden, shape.classes)


class FasterRCNN(nn.Module):
    """Faster R-CNN on HRNet or ResNet."""

    def __init__(self, shape: architecture.FasterRCNN) -> None:
        super().__init__()
        self.shape = shape
        if isinstance(shape.body, architecture.Body):
            self.backbone: HRNet | ResNet = HRNet(shape.body)
            self.neck: HRFPN | FPN = HRFPN(self.backbone.outputs, shape.neck)
        else:
            self.backbone = ResNet(shape.body.depth, shape.body.groups, shape.body.base_width)
            self.neck = FPN(self.backbone.outputs, shape.neck)
        self.rpn_head = RPNHead(shape.neck, len(shape.ratios))
        self.roi_head = RoIHead(shape)

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W), H and W multiples of 32 -> five levels (N, neck, H/4, W/4) to (N, neck, H/64, W/64)."""
        return self.neck(self.backbone(image))
