"""The search for blocks that must stay in float. All blocks are quantized first, then fewer and fewer."""

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
        judge: compares graphs with the float graph.
        exclude: patterns of operators that stay in float.
        probes: inputs on which the cost of a block is measured.
        table: whether to measure the cost of every block. It is also measured if the trial fails.
    """
    trial = judge.trial(exclude, "test")
    return [trial], block_costs(judge, exclude, probes) if table or not trial.passed else []


def search(
    judge: Judge, exclude: Sequence[str], probes: Sequence[Feed], table: bool
) -> tuple[list[Trial], list[BlockCost]]:
    """Leave more and more of the blocks that cost most in float until a graph passes on the validation set, then judge
    it once on the test set. If that fails, nothing else is tried: another try would be a choice based on the test set.

    Arguments and result are those of `try_once`. The last trial is the one on the test set if a graph passed
    validation.
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
    """The 1, 2, 3, 5, 8, ... blocks that cost most, but never all of them."""
    patterns = [b.pattern for b in worst_first(blocks)]
    count, following = 1, 2
    while count < len(patterns):
        yield [*exclude, *patterns[:count]]
        count, following = following, count + following
