"""HRNet's branches on streams of their own: the same results, forked and joined as often as there is something to
join."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from support.tiny import BODY, TINY, TINY_SEG

from hrnet_deploy.architecture import FasterRCNN, ResNetBody
from hrnet_deploy.engines.parallel_branches import most_branches, parallelise, side_by_side
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.networks.hrnet import HRNet


class Watched:
    """Streams that are none, and tell what was asked of them."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []

    def fork(self, pieces: int) -> None:
        self.said.append(("fork", pieces))

    def on(self, piece: int) -> contextlib.AbstractContextManager[None]:
        self.said.append(("on", piece))
        return contextlib.nullcontext()

    def join(self, pieces: int) -> None:
        self.said.append(("join", pieces))


@pytest.mark.parametrize("architecture", [TINY, TINY_SEG], ids=["pose", "segmentation"])
def test_the_results_are_those_of_one_after_the_other(architecture: object) -> None:
    network = build_network(architecture)  # type: ignore[arg-type]
    random_weights(network, seed=3)
    beside, streams = copy.deepcopy(network), Watched()
    modules = parallelise(beside, streams)
    assert modules == sum(s.modules for s in architecture.body.stages)  # type: ignore[attr-defined]
    x = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(beside(x), network(x))
    kinds = [what for what, _ in streams.said]
    assert kinds.count("fork") == kinds.count("join") == 2 * modules  # the branches, then what is fused of them


def test_every_piece_is_between_its_fork_and_its_join() -> None:
    streams = Watched()
    found = side_by_side([lambda i=i: torch.tensor(i) for i in range(3)], streams)  # type: ignore[misc]
    assert [int(t) for t in found] == [0, 1, 2]
    assert streams.said == [("fork", 3), ("on", 2), ("on", 1), ("on", 0), ("join", 3)]


def test_how_many_streams_a_network_can_use() -> None:
    assert most_branches(HRNet(BODY)) == 4
    assert most_branches(build_network(FasterRCNN(ResNetBody(50), classes=3))) == 1
