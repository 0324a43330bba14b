"""Finds the fastest engine and precision that is accurate enough, by trying them.

Each candidate is judged on a validation set first. All that pass are measured side by side, and the fastest is judged
once more on a test set, on which no choice is based.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hrnet_deploy.bench.rows import REFERENCE
from hrnet_deploy.engines import unavailable_reason
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, check_output, temporary_folder
from hrnet_deploy.graph.metadata import load_model, read_description, save_model
from hrnet_deploy.graph.plan import is_plan
from hrnet_deploy.jobs.candidates import Tuner
from hrnet_deploy.jobs.quantize import require_plain_float
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.bench import BenchResult, verdict
from hrnet_deploy.results.tuning import Candidate, TuneResult
from hrnet_deploy.stats import Ratio, faster
from hrnet_deploy.workflow.arguments import ONNX, require_amount, require_annotations, require_suffix, require_threads
from hrnet_deploy.workflow.split import Split


@dataclass(frozen=True)
class TuneRequest:
    """What to tune.

    Attributes:
        model, output: the float32 file, and the file to write the winner to.
        split: the images.
        max_drop: how much the metric may change at most, in points, up or down.
        minutes: how long everything may take.
        threads: numbers of threads to try; all available ones unless given.
        checkpoint: weights for the PyTorch row; random ones unless given.
        weights_key: which weights of the checkpoint, where it holds several; those the file was made from unless given.
        throughput: whether engines may keep several inputs in flight. Times are then per input, and are not latencies.
        calibration_cache: a file that keeps the statistics, with findings next to it, to resume an interrupted run.
        force: whether an existing file is replaced.
    """

    model: Path
    output: Path
    split: Split
    max_drop: float = 0.5
    minutes: float = 10.0
    threads: Sequence[int] = ()
    checkpoint: str = ""
    throughput: bool = False
    calibration_cache: Path | None = None
    force: bool = False
    weights_key: str = ""

    def __post_init__(self) -> None:
        require_amount("--minutes", self.minutes, above_zero=True)
        require_amount("--max-drop", self.max_drop)
        for count in self.threads:
            require_threads(count)
        require_suffix(self.output, ONNX, "the file of the winner")
        if self.weights_key and not self.checkpoint:
            raise BadInput("--weights-key needs a checkpoint — give it with --checkpoint")


def tune(request: TuneRequest, progress: Progress = SILENT) -> TuneResult:
    """Try, judge and measure every candidate, and write the winner's file.

    Raises BadInput if no candidate stays within `max_drop`, or none could be judged in time.
    """
    check_output(request.output, request.force)
    if request.calibration_cache is not None:
        check_output(request.calibration_cache, force=True)
    if is_plan(request.model):
        raise BadInput(f"{request.model} is a plan — tune the ONNX file it was built from")
    started = time.monotonic()
    description = read_description(request.model)
    require_plain_float(request.model, description)
    split = request.split
    require_annotations(split.annotations, description.card, request.model, split.categories, split.boxes)
    with temporary_folder() as folder:
        tuner = Tuner(
            model=request.model,
            output=request.output,
            description=description,
            split=request.split,
            max_drop=request.max_drop,
            thread_counts=request.threads,
            checkpoint=request.checkpoint,
            weights_key=request.weights_key,
            throughput=request.throughput,
            cache=request.calibration_cache or folder / "statistics.npz",
            folder=folder,
            deadline=started + 60 * request.minutes,
            progress=progress,
        )
        candidates = [tuner.judged(c) for c in tuner.candidates()]
        _require_accepted(candidates)
        result = tuner.measured(candidates)
        candidates = [tuner.with_time(c, result) for c in candidates]
        ranked = tuner.proved(sorted(candidates, key=_rank))
        _require_accepted(ranked)
        winner = ranked[0]
        with atomic_write(request.output) as part:
            save_model(load_model(tuner.file(winner)), part)
    return TuneResult(
        output=str(request.output),
        card=description.card.name,
        candidates=ranked,
        result=result,
        faster_than_base=_against_base(result, winner),
        verdict=_verdict(ranked, result),
        commands=_commands(request, tuner.command(winner), winner),
        seconds=time.monotonic() - started,
        skipped=tuner.skipped,
    )


def _require_accepted(candidates: Sequence[Candidate]) -> None:
    """Raises BadInput, with the reason of the first candidate, if none of them is accepted."""
    if not any(c.accepted for c in candidates):
        first = candidates[0]
        raise BadInput(
            f"no candidate was accepted ({first.title}: {first.rejected}) — allow more with --minutes or --max-drop, "
            "or see with `check` how far the file is from its network"
        )


def _rank(candidate: Candidate) -> tuple[bool, float]:
    """Accepted candidates first, the fastest of them first."""
    slowest = float("inf")
    return not candidate.accepted, slowest if candidate.milliseconds is None else candidate.milliseconds


def _rounds(result: BenchResult, candidate: Candidate) -> Sequence[Sequence[float]] | None:
    """The times of a candidate by round; None if it was not measured."""
    keys = (candidate.engine, candidate.precision, candidate.threads)
    row = next((r for r in result.rows if (r.engine, r.precision, r.threads) == keys and r.status == "ok"), None)
    return None if row is None else row.regions["end_to_end"].rounds


def _against_base(result: BenchResult, winner: Candidate) -> Ratio | None:
    """How many times faster the winner is than the first row, which is PyTorch if it is installed."""
    base, rounds = result.base, _rounds(result, winner)
    if base is None or rounds is None or rounds is base.regions["end_to_end"].rounds:
        return None
    return faster(base.regions["end_to_end"].rounds, rounds)


def _verdict(ranked: Sequence[Candidate], result: BenchResult) -> str:
    """The winner compared with the fastest candidate of another precision, in one sentence."""
    winner = ranked[0]
    others = (c for c in ranked[1:] if c.accepted and c.precision != winner.precision)
    other = next((c for c in others if _rounds(result, c) is not None), None)
    mine = _rounds(result, winner)
    theirs = None if other is None else _rounds(result, other)
    if other is None or theirs is None or mine is None:
        refused = [c for c in ranked if not c.accepted and c.precision == "int8"]
        return f"{winner.title} is the only precision within the budget" + (" (int8 loses too much)" if refused else "")
    return verdict(winner.title, winner.precision, other.title, faster(theirs, mine))


def _commands(request: TuneRequest, made: str, winner: Candidate) -> list[str]:
    """The command lines that make the winner again and measure it."""
    engines = ["--engine", REFERENCE] if not unavailable_reason(REFERENCE) else []
    checkpoint = ["--checkpoint", request.checkpoint] if request.checkpoint else []
    checkpoint += ["--weights-key", request.weights_key] if request.weights_key else []
    bench = ["hrnet-deploy", "bench", str(request.output), *engines, "--engine", winner.engine, *checkpoint]
    return [made, shlex.join([*bench, "--threads", str(winner.threads)])]
