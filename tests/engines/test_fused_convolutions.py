"""A network whose convolutions take in their batch norms, sums and ReLUs computes the same. Here with the plain
operators; the tests marked `gpu` use cuDNN's kernels."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from support.tiny import TINY, TINY_SEG
from torch import nn

from hrnet_deploy.architecture import SimpleBaseline
from hrnet_deploy.engines.fused_convolutions import FusedConvolution, fuse
from hrnet_deploy.engines.parallel_branches import parallelise
from hrnet_deploy.networks import build_network, random_weights


class InOrder:
    """Streams without a GPU: everything runs in order."""

    def fork(self, pieces: int) -> None: ...

    def on(self, piece: int) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def join(self, pieces: int) -> None: ...


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("architecture", [TINY, TINY_SEG], ids=["nearest upsampling", "bilinear upsampling"])
def test_the_outputs_are_the_same(architecture: object, streams: bool) -> None:
    network = build_network(architecture)  # type: ignore[arg-type]
    random_weights(network, seed=3)
    fused = copy.deepcopy(network)
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert fuse(fused) == norms, "every batch norm of these networks follows a convolution"
    if streams:
        parallelise(fused, InOrder())
    x = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        wanted, found = network(x), fused(x)
    assert (wanted - found).abs().max() < 1e-5 * wanted.abs().max()
    assert any(isinstance(m, FusedConvolution) for m in fused.modules())


def test_a_resnet_is_fused_but_for_its_transposed_convolutions() -> None:
    network = build_network(SimpleBaseline(50, deconv=(16, 16, 16)))
    random_weights(network, seed=3)
    fused = copy.deepcopy(network)
    fuse(fused)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in fused.modules()) == 3
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        wanted, found = network(x), fused(x)
    assert (wanted - found).abs().max() < 1e-5 * wanted.abs().max()
