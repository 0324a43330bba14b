"""check, bench and compare."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import MEASURE, command, notes
from hrnet_deploy.cli.output import check_outputs, command_line, finish
from hrnet_deploy.cli.parsing import optional_size, parse_list

if TYPE_CHECKING:
    from hrnet_deploy.results.check import CheckResult


class Weights(StrEnum):
    random = "random"


@command(rich_help_panel=MEASURE)
def check(
    model: Annotated[Path, typer.Argument(help="The ONNX file, or a plan.")],
    against: Annotated[
        str, typer.Option(help="The checkpoint that the file was made from (or its card), or another ONNX file.")
    ],
    images: options.SomeImages = None,
    annotations: options.Annotations = None,
    limit: options.Limit = None,
    seed: options.Seed = None,
    engine: Annotated[str, typer.Option(help="The engine to compare with the reference.")] = "ort",
    threads: options.Threads = None,
    flip_test: options.FlipTest = False,
    max_relative: Annotated[
        float | None, typer.Option(help="Limit: largest difference of an output, over its largest magnitude.")
    ] = None,
    max_drop: Annotated[float | None, typer.Option(help="Limit: change of the metric either way, in points.")] = None,
    max_pixels: Annotated[
        float | None, typer.Option(help="Limit: mean distance of keypoints or box corners, in pixels of the input.")
    ] = None,
    max_moved: Annotated[
        float | None, typer.Option(help="Limit, pose: share of keypoints that moved by more than a pixel.")
    ] = None,
    max_score: Annotated[
        float | None, typer.Option(help="Limit, pose: largest difference of a keypoint's score, over the best score.")
    ] = None,
    max_differing: Annotated[
        float | None, typer.Option(help="Limit, segmentation: share of pixels whose class changed.")
    ] = None,
    max_missing: Annotated[
        float | None,
        typer.Option(help="Limit, detection: share of the reference's detections without a counterpart."),
    ] = None,
    max_extra: Annotated[
        float | None,
        typer.Option(help="Limit, detection: share of the engine's detections without a counterpart."),
    ] = None,
    output: options.Output = None,
    junit: Annotated[Path | None, typer.Option(help="Write the verdict to this file, as JUnit XML.")] = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Is the ONNX file still the network? Exit code 1 past the budget of its precision.

    Compares every output on seeded noise and on real images, then what the
    task makes of them. Where there are annotations, it compares the metric of
    both and gives their paired difference with a 95% interval.

    Example: hrnet-deploy check pose.onnx --against w32.pth --images val
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.check import CheckRequest
    from hrnet_deploy.jobs.check import check as job
    from hrnet_deploy.results.figures import Budget

    check_outputs(force, output, junit)
    distances = {
        "pixels_mean": max_pixels,
        "moved_over_1px": max_moved,
        "score_relative": max_score,
        "differing": max_differing,
        "missing": max_missing,
        "extra": max_extra,
    }
    limits = Budget(max_relative, max_drop, {k: v for k, v in distances.items() if v is not None})
    request = CheckRequest(model, against, images, annotations, limit, seed, engine, threads, flip_test, limits)
    with shown() as progress:
        result = job(request, progress)
    finish(result, json, output, lambda whole: _write_junit(whole, junit))


def _write_junit(result: CheckResult, path: Path | None) -> None:
    if path is None:
        return
    from hrnet_deploy.files import atomic_write
    from hrnet_deploy.results.render.junit import junit_xml

    with atomic_write(path) as part:
        part.write_bytes(junit_xml(result))


@command(rich_help_panel=MEASURE)
def bench(
    models: Annotated[
        list[Path] | None, typer.Argument(help="ONNX files or plans. Without any: the cost table of the HRNet paper.")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="An engine with its options, for example ort, torch or torch:compile; repeatable. "
            "Default: ort, and torch where there is a --checkpoint."
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(help="Weights for the torch engine. Without it the row has random weights and says so.")
    ] = "",
    card: Annotated[
        list[str] | None, typer.Option(help="Measure the network of a card in place of a file. Repeatable.")
    ] = None,
    weights: Annotated[Weights | None, typer.Option(help="With --card: give the network random weights.")] = None,
    size: Annotated[str | None, typer.Option(help="With --card: the input as HEIGHTxWIDTH.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="The batch. Repeatable.")] = None,
    threads: options.ThreadCounts = None,
    seconds: options.Seconds = 5.0,
    rounds: Annotated[int, typer.Option(help="How many turns each row takes.")] = 12,
    task: Annotated[
        list[str] | None, typer.Option(help="Cost table: measure only networks of this task. Repeatable.")
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Cost table: a folder of weights that are called after the cards.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Cost table: a folder with a folder of annotated images for each task, to score weights on."),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Cost table: measure memory and time of a training step too.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Cost table: use small inputs, to see that everything works.")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(help="Cost table: the minutes after which no further network is begun.")
    ] = None,
    sweep: Annotated[
        str, typer.Option(help="For trt: measure each value of these engine options, aux-streams,graph.")
    ] = "",
    layers: Annotated[
        bool, typer.Option("--layers", help="For trt: measure the time of each layer too, in a separate run.")
    ] = False,
    output: options.Output = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Latency and memory. Each row is a process of its own, and rows take turns.

    compute is the engine alone; end_to_end is from host array to host array;
    pipeline is from image to decoded result. Times are per batch, and ratios
    are to the first row.

    Without a file and without --weights it measures the cost table of the
    HRNet paper, nine networks at its input sizes, into cost_table.json. The
    same command goes on after an interrupt.

    Example: hrnet-deploy bench pose.onnx --engine torch --engine ort
    """
    from hrnet_deploy.errors import BadInput

    if not models and weights is None:
        if checkpoint or size or batch or threads or sweep or layers:
            named = "--checkpoint, --size, --batch, --threads, --sweep and --layers"
            raise BadInput(f"{named} are for files — name one, or give --card and --weights random")
        _cost_table(engine or (), task or (), card or (), checkpoints, data, train, quick, budget, output, force, json)
        return
    if task or checkpoints or data or train or quick or budget is not None:
        named = "--task, --checkpoints, --data, --train, --quick and --budget"
        raise BadInput(f"{named} are for the cost table — leave the files and --weights out")
    if card and len(card) > 1:
        raise BadInput("--weights random takes one card — name one, or leave --weights out for the cost table")
    check_outputs(force, output)
    _bench(
        models or (),
        engine or (),
        checkpoint,
        card[0] if card else "",
        size,
        batch or [1],
        threads or (),
        seconds,
        rounds,
        sweep,
        layers,
        output,
        json,
    )


def _bench(
    models: Sequence[Path],
    engines: Sequence[str],
    checkpoint: str,
    card: str,
    size: str | None,
    batches: Sequence[int],
    threads: Sequence[int],
    seconds: float,
    rounds: int,
    sweep: str,
    layers: bool,
    output: Path | None,
    json: bool,
) -> None:
    """Measure files, or the network of a card with random weights."""
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.engines import swept
    from hrnet_deploy.errors import Unavailable
    from hrnet_deploy.jobs.bench import BenchRequest
    from hrnet_deploy.jobs.bench import bench as job

    request = BenchRequest(
        models=models,
        card=card,
        checkpoint=checkpoint,
        engines=swept(engines or (["torch", "ort"] if checkpoint else ["ort"]), parse_list(sweep)),
        batches=batches,
        threads=threads,
        size=optional_size(size),
        seconds=seconds,
        rounds=rounds,
        layers=layers,
    )
    with shown() as progress:
        result = job(request, progress)
    finish(result, json, output)
    if layers and not any(r.layers for r in result.rows):
        notes().print("none of these engines can measure the time of its layers; trt can")
    if any(r.status == "failed" for r in result.rows):
        notes().print("[red]some rows failed[/red]; their cells say why")
        raise typer.Exit(1)
    if missing := [r for r in result.rows if r.status == "unavailable"]:
        raise Unavailable(
            f"{len(missing)} of {len(result.rows)} rows cannot run here; the table says why — leave those engines out"
        )


def _cost_table(
    engines: Sequence[str],
    tasks: Sequence[str],
    cards: Sequence[str],
    checkpoints: Path | None,
    data: Path | None,
    train: bool,
    quick: bool,
    budget: float | None,
    output: Path | None,
    force: bool,
    json: bool,
) -> None:
    """`bench` without a file. The job writes its file after every network, so that an interrupted run goes on."""
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.cost_table import CostTableRequest
    from hrnet_deploy.jobs.cost_table import cost_table as job

    path = output or Path("cost_table.json")
    request = CostTableRequest(
        path, engines, tasks, cards, checkpoints, data, quick, budget, train, command=command_line()
    )
    if force:
        path.unlink(missing_ok=True)
    with shown() as progress:
        result = job(request, progress)
    finish(result, json)
    notes().print(f"everything measured is in {path}", markup=False)
    if any(c.reason and c.result is None and not budget for c in result.columns):
        raise typer.Exit(1)


@command(rich_help_panel=MEASURE)
def compare(
    base: Annotated[Path, typer.Argument(help="A result file, or a folder of result files.")],
    new: Annotated[Path, typer.Argument(help="Another one of the same kind, or another folder.")],
    fail_on: Annotated[
        str, typer.Option(help="How much worse is too much: ap=0.3,latency=5%,pixels=0.5,memory=10%.")
    ] = "",
    output: options.Output = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """What really changed between two results. Exit code 1 past a limit.

    Two folders are compared file by file, by name, so that limits can be on
    figures of several commands. Times differ where the 95% intervals of their
    medians do not overlap. Only a figure that became worse fails.

    Example: hrnet-deploy compare main.json branch.json --fail-on latency=5%
    """
    from hrnet_deploy.jobs.compare import CompareRequest
    from hrnet_deploy.jobs.compare import compare as job

    check_outputs(force, output)
    finish(job(CompareRequest(base, new, fail_on)), json, output)
