"""The search for what has to stay in float: everything is quantized first, then ever fewer blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hrnet_deploy.precision.blocks import block_costs
from hrnet_deploy.precision.trial import Judge
from hrnet_deploy.results.quantization import BlockCost, Trial, worst_first
from hrnet_deploy.tasks.base import Feed


def try_once(
    judge: Judge, exclude: Sequence[str], probes: Sequence[Feed], table: bool
) -> tuple[list[Trial], list[BlockCost]]:
    """Judge one graph on the test set.

    Args:
        judge: judges graphs.
        exclude: patterns of operators that stay in float.
        probes: inputs that the cost of a block is measured on.
        table: whether the cost of every block is wanted. It is found too where the trial fails.
    """
    trial = judge.trial(exclude, "test")
    return [trial], block_costs(judge, exclude, probes) if table or not trial.passed else []


def search(
    judge: Judge, exclude: Sequence[str], probes: Sequence[Feed], table: bool
) -> tuple[list[Trial], list[BlockCost]]:
    """Leave ever more of the blocks that cost most in float until a graph passes on the validation set, then judge it
    once on the test set. Where that fails nothing is tried again: another try would be a choice by the test set.

    Args and result are those of `try_once`; the verdict is the last trial, where the search came to one.
    """
    trials = [judge.trial(exclude, "validation")]
    blocks = block_costs(judge, exclude, probes) if table or not trials[0].passed else []
    more = _exclusions(exclude, blocks)
    while not trials[-1].passed and (excluded := next(more, None)):
        trials.append(judge.trial(excluded, "validation"))
    if trials[-1].passed:
        trials.append(judge.trial(trials[-1].excluded, "test"))
        if not trials[-1].passed and not blocks:
            blocks = block_costs(judge, exclude, probes)
    return trials, blocks


def _exclusions(exclude: Sequence[str], blocks: Sequence[BlockCost]) -> Iterator[Sequence[str]]:
    """The 1, 2, 3, 5, 8, ... blocks that cost most, and never all of them."""
    patterns = [b.pattern for b in worst_first(blocks)]
    count, following = 1, 2
    while count < len(patterns):
        yield [*exclude, *patterns[:count]]
        count, following = following, count + following
