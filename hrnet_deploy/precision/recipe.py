"""How a float graph is quantized, apart from the choice of what stays in float."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx

from hrnet_deploy.graph import quantize as graph
from hrnet_deploy.graph.ranges import Range


@dataclass(frozen=True)
class Recipe:
    """Everything that an int8 graph depends on, except the patterns of excluded operators.

    Attributes:
        model: the float graph.
        target: the engine to quantize for, which decides where Q/DQ pairs go.
        ranges: smallest and largest value of each tensor, by name.
        reduce_range: whether weights have 7 bits (for x86 without VNNI).
        in_float: operators that stay in float in any case.
    """

    model: onnx.ModelProto
    target: graph.Target
    ranges: Mapping[str, Range]
    reduce_range: bool
    in_float: Sequence[str] = ()

    def placement(self, excluded: Collection[str]) -> graph.Placement:
        """Where Q/DQ pairs go when these operators stay in float too."""
        return graph.place(self.model, self.target, [*excluded, *self.in_float])

    def quantized(self, excluded: Collection[str]) -> onnx.ModelProto:
        """The int8 graph in which these operators stay in float."""
        return graph.quantize(self.model, self.target, self.placement(excluded), self._all_ranges(), self.reduce_range)

    def _all_ranges(self) -> dict[str, Range]:
        """The measured ranges, and those that follow from them. A pooling or a resize shares the scale of its inputs,
        so its output is not measured, but it needs a range of its own once that operator stays in float."""
        whole = self.placement(())
        followed = {
            t: whole.range_of(t, self.ranges)
            for t in whole.activations
            if t not in self.ranges and all(s in self.ranges for s in whole.sources(t))
        }
        return {**followed, **self.ranges}


def graph_digest(model: onnx.ModelProto) -> str:
    """sha256 of a graph's bytes. It changes with everything that the graph depends on: ranges, target, exclusions."""
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
