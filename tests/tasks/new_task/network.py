"""The PyTorch module, and weights that solve the task."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import architecture


class BrightnessNet(nn.Module):
    """(N, 3, H, W) normalised -> scores (N, classes)."""

    def __init__(self, shape: architecture.BrightnessNet) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, shape.channels, 3, padding=1)
        self.relu = nn.ReLU()
        self.brightness = nn.Conv2d(shape.channels, shape.classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.brightness(self.relu(self.conv(x))).mean((2, 3))


def solve(network: BrightnessNet) -> None:
    """Weights that compare the pixels above the mean brightness with those below it."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.1)
        network.conv.weight[0], network.conv.weight[1] = 1 / 27, -1 / 27
        network.brightness.weight[:, :2] = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])[..., None, None]
