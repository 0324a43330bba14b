"""The decoding of class scores as an ONNX graph in text form, which `export --embed` adds behind a segmentation
network.

It computes what `SegmentationTask.decode` computes up to the size of the network's input; a test compares them. Shapes
are static."""

from __future__ import annotations

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks.base import Maps
from hrnet_deploy.tasks.classes import Classes
from hrnet_deploy.tasks.input_graph import HEADER

ADOPTION = Maps(
    kept=frozenset({"Relu"}),
    stride=None,
    undone="class scores are resized, bilinearly, and the highest one is taken by the task, at the size of the image",
)


def embedding(card: ModelCard, output: tuple[int, ...], flip_test: bool, opset: int) -> str:
    """See `tasks.base.Embedding`."""
    return after(card.input, card.labels_as(Classes), output, flip_test, opset)


def after(spec: Input, classes: Classes, logits: tuple[int, ...], flip_test: bool, opset: int) -> str:
    """logits (N or 2N, classes, h, w) -> labels uint8 (N, H, W) at the size of the input."""
    passes, count, height, width = logits
    batch = passes // 2 if flip_test else passes
    order = list(range(count))
    for a, b in classes.flip_pairs:
        order[a], order[b] = b, a
    merge = (
        """plain = Slice(logits, zero, batch, axis_n)
        other = Slice(logits, batch, passes, axis_n)
        swapped = Gather<axis = 1>(other, order)
        back = Slice(swapped, minus_one, far_below, axis_x, minus_one)
        both = Add(plain, back)
        scores = Mul(both, half)"""
        if flip_test
        else "scores = Identity(logits)"
    )
    return f"""{HEADER.format(opset=opset)}
    after (float[{passes}, {count}, {height}, {width}] logits)
        => (uint8[{batch}, {spec.height}, {spec.width}] labels)
    <int64[1] zero = {{0}}, int64[1] minus_one = {{-1}}, int64[1] far_below = {{-1000000}}, int64[1] axis_n = {{0}},
     int64[1] axis_x = {{3}}, int64[1] batch = {{{batch}}}, int64[1] passes = {{{passes}}}, float half = {{0.5}},
     int64[{count}] order = {{{", ".join(map(str, order))}}},
     int64[4] size = {{{batch}, {count}, {spec.height}, {spec.width}}}>
    {{
        {merge}
        large = Resize<mode = "linear", coordinate_transformation_mode = "half_pixel">(scores, , , size)
        best = ArgMax<axis = 1, keepdims = 0>(large)
        labels = Cast<to = 2>(best)
    }}"""
