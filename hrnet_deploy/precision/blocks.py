"""How much accuracy each block of a network costs if only that block is quantized."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Sequence

import onnx
from numpy.typing import NDArray

from hrnet_deploy.graph import backbone
from hrnet_deploy.graph import quantize as graph
from hrnet_deploy.parity import TensorComparison
from hrnet_deploy.precision.recipe import graph_digest
from hrnet_deploy.precision.trial import GraphRunner, Judge
from hrnet_deploy.results.quantization import BlockCost
from hrnet_deploy.tasks.base import Feed

# The tensors of each group of outputs (computed from the input, then from regions), for each probe.
Outputs = list[list[list[NDArray]]]


def block_costs(judge: Judge, excluded: Sequence[str], probes: Sequence[Feed]) -> list[BlockCost]:
    """Quantize each block alone and compare the backbone's outputs with those of the float graph.

    Args:
        judge: holds the recipe, the float graph and the cache of findings.
        excluded: patterns of operators that stay in float throughout.
        probes: inputs on which to compare.

    Returns:
        The blocks in the order of the network.
    """
    names = [graph.block_of(n) for n in judge.recipe.placement(excluded).weighted]
    patterns = list(dict.fromkeys(names))
    judge.progress.stage("looking for the blocks that cost most", len(patterns))
    inputs = hashlib.sha256(b"".join(v.tobytes() for p in probes for v in p.values())).hexdigest()
    wanted = _backbone_outputs(judge.runner, judge.runner.model, probes)
    found = []
    for pattern in patterns:
        made = judge.recipe.quantized([*excluded, *(p for p in patterns if p != pattern)])
        key = {**judge.cache_key, "block": graph_digest(made), "inputs": inputs}
        sqnr = judge.cache.get_or_compute(key, functools.partial(_sqnr_db, judge.runner, made, probes, wanted))
        if sqnr is not None and not math.isfinite(sqnr):  # older files of findings hold Infinity
            sqnr = None
        found.append(BlockCost(pattern, names.count(pattern), sqnr))
        judge.progress.advance()
    return found


def _backbone_outputs(runner: GraphRunner, made: onnx.ModelProto, probes: Sequence[Feed]) -> Outputs:
    """The outputs of the backbone: those computed from the input, then those computed from regions."""
    inputs, regions = backbone.backbone_outputs(runner.model)
    run = runner.with_extra_outputs([*inputs, *regions], made)
    given = [run(p) for p in probes]
    return [[g[: len(inputs)] for g in given], [g[len(inputs) :] for g in given]]


def _sqnr_db(runner: GraphRunner, made: onnx.ModelProto, probes: Sequence[Feed], wanted: Outputs) -> float | None:
    """Signal to quantization noise ratio over all outputs of the backbone together, in dB; None if nothing differs.

    Outputs computed from regions count only if nothing before them differs, because only then are the regions equal.
    """
    for want, got in zip(wanted, _backbone_outputs(runner, made, probes), strict=True):
        sums = TensorComparison()
        for a, b in zip(want, got, strict=True):
            for x, y in zip(a, b, strict=True):
                sums.add(x, y)
        sqnr = sums.figures("", "").sqnr_db
        if sqnr is not None:
            return sqnr
    return None
