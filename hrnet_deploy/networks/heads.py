"""The two heads of Faster R-CNN: one scores anchors, the other regions. `networks.detection` makes boxes of their
outputs.

Source: mmdetection, mmdet/models/dense_heads/rpn_head.py and roi_heads/bbox_heads/convfc_bbox_head.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hrnet_deploy.architecture.detection import REGION


class RPNHead(nn.Module):
    """The region proposal network, one head for all levels: (N, width, H, W) each -> (objectness logits (N, A, H, W),
    deltas (N, 4 A, H, W)) each."""

    def __init__(self, width: int, anchors: int) -> None:
        super().__init__()
        self.rpn_conv = nn.Conv2d(width, width, 3, padding=1)
        self.rpn_cls = nn.Conv2d(width, anchors, 1)
        self.rpn_reg = nn.Conv2d(width, 4 * anchors, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, levels: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        features = [self.relu(self.rpn_conv(level)) for level in levels]
        return [(self.rpn_cls(x), self.rpn_reg(x)) for x in features]

    def calm(self) -> None:
        """Scale random weights to about the size of trained ones: boxes stay near their anchors, and scores away from 0
        and 1."""
        _scale(self.rpn_cls, 0.25)
        _scale(self.rpn_reg, 0.03)


class BoxHead(nn.Module):
    """Two shared fully connected layers: regions (R, width, 7, 7) -> logits (R, classes + 1), the background last, and
    four deltas per class (R, 4 classes)."""

    def __init__(self, width: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.fc_cls = nn.Linear(hidden, classes + 1)
        self.fc_reg = nn.Linear(hidden, 4 * classes)
        self.shared_fcs = nn.ModuleList([nn.Linear(width * REGION**2, hidden), nn.Linear(hidden, hidden)])
        self.relu = nn.ReLU(inplace=True)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        x = regions.flatten(1)
        for layer in self.shared_fcs:
            x = self.relu(layer(x))
        return self.fc_cls(x), self.fc_reg(x)

    def calm(self) -> None:
        """Scale random weights down to the size of trained ones, as `RPNHead.calm` does."""
        _scale(self.fc_cls, 0.5)
        _scale(self.fc_reg, 0.2)


def _scale(layer: nn.Conv2d | nn.Linear, factor: float) -> None:
    with torch.no_grad():
        layer.weight *= factor
