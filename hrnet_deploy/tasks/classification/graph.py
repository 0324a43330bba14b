"""The decoding of class scores as an ONNX graph in text form, which `export --embed` adds behind a classifier.

It computes what `ClassificationTask.decode` computes; a test compares them. Shapes are static."""

from __future__ import annotations

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.tasks.classification.labels import BEST
from hrnet_deploy.tasks.input_graph import HEADER


def embedding(card: ModelCard, output: tuple[int, ...], flip_test: bool, opset: int) -> str:
    """See `tasks.base.Embedding`: logits (N, classes) -> classes int64 (N, k) and probabilities float (N, k), the
    highest first."""
    batch, classes = output
    best = min(BEST, classes)
    return f"""{HEADER.format(opset=opset)}
    after (float[{batch}, {classes}] logits)
        => (int64[{batch}, {best}] classes, float[{batch}, {best}] probabilities)
    <int64[1] best = {{{best}}}>
    {{
        shares = Softmax<axis = 1>(logits)
        probabilities, classes = TopK<axis = 1>(shares, best)
    }}"""
