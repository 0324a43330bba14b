"""The networks as PyTorch modules. Their parameters have the names of the official repositories."""

from __future__ import annotations

from torch import nn

from hrnet_deploy import architecture
from hrnet_deploy.networks.detection import FasterRCNN
from hrnet_deploy.networks.heads import BoxHead, RPNHead
from hrnet_deploy.networks.pose import PoseHRNet, SimpleBaseline
from hrnet_deploy.networks.segmentation import DilatedResNet, SegHRNet

_MODULES: dict[type, type[nn.Module]] = {
    architecture.PoseHRNet: PoseHRNet,
    architecture.SimpleBaseline: SimpleBaseline,
    architecture.SegHRNet: SegHRNet,
    architecture.DilatedResNet: DilatedResNet,
    architecture.FasterRCNN: FasterRCNN,
}


def build_network(shape: architecture.Architecture) -> nn.Module:
    """The network of an architecture, in evaluation mode, with PyTorch's initial weights."""
    return _MODULES[type(shape)](shape).eval()


def random_weights(network: nn.Module, seed: int = 0) -> None:
    """Fill a network with random weights in place, to measure its latency without a checkpoint.

    Convolutions are initialised after He et al., batch norms have scales from 0.25 to 0.65, and biases are small. So
    activations neither overflow in a hundred layers nor fade to denormal numbers, which slow down a CPU. The outputs of
    a detector's heads are scaled down, so that it proposes about as many boxes as a trained one and takes as long.

    Args:
        network: the network.
        seed: the same seed gives the same weights.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            leaf = name.rpartition(".")[2]
            if leaf == "num_batches_tracked":
                continue
            if tensor.ndim > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
            elif leaf == "running_var":
                tensor.uniform_(0.75, 1.25, generator=generator)
            elif leaf == "weight":
                tensor.uniform_(0.25, 0.65, generator=generator)
            else:
                tensor.normal_(0, 0.05, generator=generator)
    for module in network.modules():
        if isinstance(module, (RPNHead, BoxHead)):
            module.calm()
