"""Batch norms folded into their convolutions, and a convolution, its bias, a sum and a ReLU computed by one kernel.

PyTorch computes each of these by a kernel of its own. A network of many small layers then spends most of its time
between kernels, and at large batches in reading and writing memory. cuDNN has one kernel for all four, which PyTorch
offers as `cudnn_convolution_relu` and `cudnn_convolution_add_relu`. Outside a GPU the same sums are computed by the
plain operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hrnet_deploy.networks.blocks import BasicBlock, Bottleneck
from hrnet_deploy.networks.hrnet import HighResolutionModule, HRNet, upsampled
from hrnet_deploy.networks.resnet import ResNet


class FusedConvolution(nn.Module):
    """relu(convolution(x) + bias + added). (N, C, H, W) -> (N, K, H', W'); `added` is of the result's shape."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None = None) -> None:
        super().__init__()
        self.conv = conv if norm is None else fuse_conv_bn_eval(conv, norm)
        assert not isinstance(self.conv.padding, str)  # no network here has a padding by name
        self._where = (self.conv.stride, self.conv.padding, self.conv.dilation, self.conv.groups)

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        if not x.is_cuda:
            y: Tensor = self.conv(x)
            return F.relu_(y if added is None else y + added)
        weight, bias = self.conv.weight, self.conv.bias
        if added is None:
            return torch.cudnn_convolution_relu(x, weight, bias, *self._where)
        return torch.cudnn_convolution_add_relu(x, weight, added, 1.0, bias, *self._where)


class FusedBlock(nn.Module):
    """A residual unit of two or three fused convolutions, of which the last adds the shortcut."""

    def __init__(self, block: BasicBlock | Bottleneck) -> None:
        super().__init__()
        pairs: list[tuple[Any, Any]] = [(block.conv1, block.bn1), (block.conv2, block.bn2)]
        if isinstance(block, Bottleneck):
            pairs.append((block.conv3, block.bn3))
        self.steps = nn.ModuleList(FusedConvolution(conv, norm) for conv, norm in pairs)
        self.downsample = None if block.downsample is None else _sequence(block.downsample)

    def forward(self, x: Tensor) -> Tensor:
        residual, y = x if self.downsample is None else self.downsample(x), x
        for step in self.steps[:-1]:
            y = step(y)
        result: Tensor = self.steps[-1](y, residual)
        return result


class _FusedSum(nn.Module):
    """One fused output of a module of parallel branches: the sum of all branches at its resolution, and a ReLU.

    The biases of all paths are added once, where that is cheapest. If a path ends in a strided convolution, that
    convolution adds the rest and applies the ReLU. A nearest upsampling by 4 is two by 2, so that branches of lower
    resolution are added up before they are upsampled.
    """

    def __init__(self, module: HighResolutionModule, target: int) -> None:
        super().__init__()
        self._target, self._upsample = target, module.upsample
        paths: list[Any] = list(module.fuse_layers[target])  # type: ignore[call-overload]
        self.ups = nn.ModuleList(_sequence(p)[0] for p in paths[target + 1 :])
        self.downs = nn.ModuleList(_downward(p) for p in paths[:target])
        ends: list[nn.Conv2d] = [*self.ups, *(down[-1] for down in self.downs)]  # type: ignore[index,list-item]
        bias = torch.stack([end.bias.detach() for end in ends]).sum(0)  # type: ignore[union-attr]
        for end in ends:
            end.bias = None
        keeper = ends[-1]  # the last convolution downwards, or the one of the lowest resolution
        keeper.bias = nn.Parameter(bias, requires_grad=False)
        if self.downs:
            self.downs[-1][-1] = FusedConvolution(keeper)  # type: ignore[index,operator,assignment]

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        total = self._from_lower(branches)
        for down, source in zip(self.downs[:-1], branches, strict=False):
            total = total + down(source)
        if not self.downs:
            return F.relu_(total)
        steps: list[Any] = list(self.downs[-1])  # type: ignore[call-overload]
        y = branches[self._target - 1]
        for step in steps[:-1]:
            y = step(y)
        result: Tensor = steps[-1](y, total)
        return result

    def _from_lower(self, branches: Sequence[Tensor]) -> Tensor:
        """The branch itself and those of lower resolution."""
        total, lower = branches[self._target], branches[self._target + 1 :]
        if not self._upsample.by_factor:
            for step, (conv, source) in enumerate(zip(self.ups, lower, strict=True), start=1):
                total = total + upsampled(conv(source), self._upsample, 2**step, total.shape[-2:])
            return total
        y: Tensor | None = None
        for conv, source in zip(reversed(self.ups), reversed(lower), strict=True):  # type: ignore[call-overload]
            z = conv(source)
            y = z if y is None else z + upsampled(y, self._upsample, 2, z.shape[-2:])
        return total if y is None else total + upsampled(y, self._upsample, 2, total.shape[-2:])


def fuse(network: nn.Module) -> int:
    """Fuse what can be fused in a network in evaluation mode. Returns the number of batch norms that are gone."""
    before = _norms(network)
    _fuse_inside(network)
    return before - _norms(network)


def _norms(network: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())


def _fuse_inside(module: nn.Module) -> None:
    if isinstance(module, HighResolutionModule):
        sums = nn.ModuleList(_FusedSum(module, target) for target in range(len(module.fuse_layers)))
        module.fuse = lambda target, branches: sums[target](branches)  # type: ignore[method-assign]
        module.fuse_layers = sums
    if isinstance(module, (HRNet, ResNet)):
        for number in ("1", "2")[: 2 if isinstance(module, HRNet) else 1]:
            conv, norm = getattr(module, f"conv{number}"), getattr(module, f"bn{number}")
            setattr(module, f"conv{number}", FusedConvolution(conv, norm))
            setattr(module, f"bn{number}", nn.Identity())
        module.relu = nn.Identity()  # type: ignore[assignment]
    for name, child in module.named_children():
        if isinstance(child, (BasicBlock, Bottleneck)):
            setattr(module, name, FusedBlock(child))
        elif type(child) is nn.Sequential and any(isinstance(m, nn.BatchNorm2d) for m in child):
            setattr(module, name, _sequence(child))
        elif not isinstance(child, (FusedConvolution, _FusedSum)):
            _fuse_inside(child)


def _sequence(layers: Any) -> nn.Sequential:
    """The sequence with each convolution, batch norm and ReLU as one layer, and each convolution and batch norm too."""
    found: list[nn.Module] = []
    rest: list[Any] = list(layers)
    while rest:
        layer = rest.pop(0)
        if isinstance(layer, nn.Conv2d) and rest and isinstance(rest[0], nn.BatchNorm2d):
            norm = rest.pop(0)
            if rest and isinstance(rest[0], nn.ReLU):
                rest.pop(0)
                found.append(FusedConvolution(layer, norm))
            else:
                found.append(fuse_conv_bn_eval(layer, norm))
        else:
            _fuse_inside(layer)
            found.append(layer)
    return nn.Sequential(*found)


def _downward(path: Any) -> nn.Sequential:
    """The steps of a path of strided convolutions. The last has no ReLU."""
    return nn.Sequential(*(_sequence(step)[0] for step in path))
