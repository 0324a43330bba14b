"""The loss on which segmentation networks are trained, for `bench --train` and for the demo network.

Source: HRNet-Semantic-Segmentation, lib/core/criterion.py (CrossEntropy) and tools/train.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_deploy.architecture import Architecture
from hrnet_deploy.tasks.base import Training

IGNORED = 255  # the label of pixels that are not scored


def segmentation_loss(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of logits (N, classes, h, w), resized to the size of the labels (N, H, W). weight (classes,) scales
    each class. Pixels labelled 255 are left out."""
    logits = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear")
    return F.cross_entropy(logits, labels, weight, ignore_index=IGNORED)


def random_loss(network: nn.Module, architecture: Architecture, image: Tensor) -> Callable[[], Tensor]:
    """See `tasks.base.Training`."""
    batch, _, height, width = image.shape
    labels = torch.randint(0, architecture.labels, (batch, height, width), device=image.device)
    return lambda: segmentation_loss(network(image), labels)


def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Stochastic gradient descent, with a rate so small that a step of measured training changes little."""
    return torch.optim.SGD(parameters, 1e-6, momentum=0.9)


TRAINING = Training(random_loss, optimizer)
