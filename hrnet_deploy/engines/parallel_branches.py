"""HRNet's parallel branches on parallel streams of the GPU.

PyTorch runs branches one after the other that could run at the same time. According to the paper, this is why its
networks are slower than their arithmetic ("Deep High-Resolution Representation Learning for Visual Recognition",
section 8). Here each branch of a module and each fused output runs in its own stream. A CUDA graph also removes the
time that the host takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor, nn

from hrnet_deploy.networks.hrnet import HighResolutionModule

Call = Callable[[], Tensor]


class Streams(Protocol):
    """Where pieces of work run at the same time. The first stays in the current stream; the others fork off it and
    join it."""

    def fork(self, pieces: int) -> None: ...

    def on(self, piece: int) -> AbstractContextManager[Any]: ...

    def join(self, pieces: int) -> None: ...


class CudaStreams:
    """Streams of the current GPU.

    The allocator need not be informed about a tensor that is made in one stream and used in another: a freed tensor was
    used before the next join, and a stream continues only after the fork that follows it.
    """

    def __init__(self, most: int) -> None:
        import torch

        self._cuda: Any = torch.cuda
        self._streams = [torch.cuda.Stream() for _ in range(most - 1)]  # type: ignore[no-untyped-call]

    def fork(self, pieces: int) -> None:
        for stream in self._streams[: pieces - 1]:
            stream.wait_stream(self._cuda.current_stream())

    def on(self, piece: int) -> AbstractContextManager[Any]:
        return self._cuda.stream(self._streams[piece - 1] if piece else self._cuda.current_stream())

    def join(self, pieces: int) -> None:
        for stream in self._streams[: pieces - 1]:
            self._cuda.current_stream().wait_stream(stream)


def side_by_side(calls: Sequence[Call], streams: Streams) -> list[Tensor]:
    """The results of calls that do not depend on each other.

    The last call is begun first. It is the smallest, and must not wait until the host has enqueued the large ones.
    """
    streams.fork(len(calls))
    results: dict[int, Tensor] = {}
    for piece in reversed(range(len(calls))):
        with streams.on(piece):
            results[piece] = calls[piece]()
    streams.join(len(calls))
    return [results[piece] for piece in range(len(calls))]


def parallelise(network: nn.Module, streams: Streams) -> int:
    """Let every module of parallel branches in the network use the streams. Returns the number of such modules."""
    found = [m for m in network.modules() if isinstance(m, HighResolutionModule)]
    for module in found:
        module.forward = _forward(module, streams)  # type: ignore[method-assign,assignment]
    return len(found)


def _forward(module: HighResolutionModule, streams: Streams) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    def forward(x: Sequence[Tensor]) -> list[Tensor]:
        branches = side_by_side([lambda b=b, t=t: b(t) for b, t in zip(module.branches, x, strict=True)], streams)  # type: ignore[misc]
        return side_by_side([lambda t=t: module.fuse(t, branches) for t in range(len(module.fuse_layers))], streams)  # type: ignore[misc]

    return forward


def most_branches(network: nn.Module) -> int:
    """The number of streams that the network can use; 1 if it has no parallel branches."""
    return max((len(m.branches) for m in network.modules() if isinstance(m, HighResolutionModule)), default=1)
