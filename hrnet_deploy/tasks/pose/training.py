"""The loss on which pose networks are trained, for `bench --train` and for the demo network.

Source: HRNet-Human-Pose-Estimation, lib/core/loss.py (JointsMSELoss) and lib/utils/utils.py (get_optimizer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from hrnet_deploy.architecture import Architecture
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import Training

STRIDE = 4  # pixels of the input per pixel of a heatmap


def pose_loss(heatmaps: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Half the mean squared difference of heatmaps (N, K, h, w). weight (N, K) scales each keypoint; 0 leaves it
    out."""
    return 0.5 * ((heatmaps - target).square() * weight[:, :, None, None]).mean()


def random_loss(network: nn.Module, architecture: Architecture, image: Tensor) -> Callable[[], Tensor]:
    """See `tasks.base.Training`. Raises BadInput for networks with other losses than one of heatmaps."""
    if len(architecture.outputs) > 1:
        raise BadInput(f"the loss of {architecture.title} is not a part of this version — leave --train out")
    batch, _, height, width = image.shape
    target = torch.rand(batch, architecture.labels, height // STRIDE, width // STRIDE, device=image.device)
    weight = torch.ones(batch, architecture.labels, device=image.device)
    return lambda: pose_loss(network(image), target, weight)


def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam, with a rate so small that a step of measured training changes little."""
    return torch.optim.Adam(parameters, 1e-5)


TRAINING = Training(random_loss, optimizer)
