"""The loss on which classifiers are trained, for `bench --train` and for the demo network.

Source: HRNet-Image-Classification, tools/train.py and lib/utils/utils.py (get_optimizer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_deploy.architecture import Architecture
from hrnet_deploy.tasks.base import Training


def random_loss(network: nn.Module, architecture: Architecture, image: Tensor) -> Callable[[], Tensor]:
    """See `tasks.base.Training`: the cross-entropy."""
    labels = torch.randint(0, architecture.labels, (len(image),), device=image.device)
    return lambda: F.cross_entropy(network(image), labels)


def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Stochastic gradient descent, with a rate so small that a step of measured training changes little."""
    return torch.optim.SGD(parameters, 1e-6, momentum=0.9, nesterov=True)


TRAINING = Training(random_loss, optimizer)
