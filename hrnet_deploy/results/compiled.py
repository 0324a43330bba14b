"""What a compiler made of a graph: kernels, and the bytes that go between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ConvolutionCount:
    """How many convolutions compute in one type (`computes`) and write another or the same (`gives`)."""

    computes: str
    gives: str
    count: int


@dataclass(frozen=True)
class CompiledBlock:
    """The kernels of a block of the network.

    Attributes:
        name: of the block, after the parameters in it.
        bytes: what the kernels read and write, without weights; None if sizes are open.
    """

    name: str
    kernels: int
    bytes: int | None


@dataclass(frozen=True)
class CompiledGraph:
    """A graph as compiled.

    The bytes are those of every input and output of every kernel, so a tensor counts when it is written and whenever it
    is read. Kernels and bytes are a model of cost, not a time.

    Attributes:
        kernels: number of kernels by kind.
        convolutions: number of convolutions by type, also those fused with sums.
        streams: number of CUDA streams.
        joins: how often a stream waits for another.
        traffic: bytes that kernels read and write, without weights; None if height or width are open.
        batch: the batch for which the bytes are counted.
        weights, activations: bytes that the plan needs on the GPU.
        blocks: the same for each block of the network, in the order of the network.
    """

    kernels: Mapping[str, int]
    convolutions: Sequence[ConvolutionCount]
    streams: int
    joins: int
    traffic: int | None
    batch: int
    weights: int
    activations: int
    blocks: Sequence[CompiledBlock]

    @property
    def count(self) -> int:
        """The number of all kernels."""
        return sum(self.kernels.values())


def verdict(int8: CompiledGraph, fp16: CompiledGraph) -> str:
    """What the compiler's figures let expect of int8, compared with the same network in fp16. One sentence.

    int8 pays if it has no more kernels and moves no more bytes, weights included, and fewer of one.
    """
    moved = [None if g.traffic is None else g.traffic + g.weights for g in (int8, fp16)]
    figures = f"int8 becomes {_figures(int8)}, where fp16 becomes {_figures(fp16)}"
    more = int8.count > fp16.count or (moved[0] is not None and moved[1] is not None and moved[0] > moved[1])
    less = int8.count < fp16.count or (moved[0] is not None and moved[1] is not None and moved[0] < moved[1])
    if more and less:
        expect = "int8 may gain only where what is less of them outweighs what is more"
    elif more:
        expect = f"on this compiler expect no gain from int8 at batch {int8.batch}"
    elif less:
        expect = f"on this compiler int8 costs less than fp16 at batch {int8.batch}"
    else:
        expect = "on this compiler int8 and fp16 cost the same"
    return f"{figures}: {expect} (kernels and bytes are a model of cost, not a time)"


def _figures(graph: CompiledGraph) -> str:
    moving = "" if graph.traffic is None else f" that move {graph.traffic / 1e6:.0f} MB"
    return f"{graph.count} kernels{moving} and read {graph.weights / 1e6:.0f} MB of weights"
