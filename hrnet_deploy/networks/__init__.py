"""The networks as PyTorch modules. Their parameters have the names of the official repositories."""

from __future__ import annotations

from torch import nn

from hrnet_deploy.architecture import Architecture
from hrnet_deploy.registry import family_entry, load


def build_network(architecture: Architecture) -> nn.Module:
    """The network of an architecture in evaluation mode, with weights as PyTorch initialises them."""
    module: nn.Module = load(family_entry(architecture.family).module)(architecture)
    return module.eval()


def random_weights(network: nn.Module, seed: int = 0) -> None:
    """Fill a network with weights that are good enough to measure its latency, where there is no checkpoint.

    Convolutions are initialised as by He et al., batch norm scales lie between 0.25 and 0.65, and biases are small. So
    over a hundred layers activations neither overflow nor fade to denormal numbers, which are slow on a CPU. A module
    with a method `calm` is given the chance to scale its weights: a detector's heads then propose as many boxes as
    trained ones."""
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
        if calm := getattr(module, "calm", None):
            calm()
