"""check, bench and compare."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import MEASURE, app, notes
from hrnet_deploy.cli.output import check_outputs, finish
from hrnet_deploy.cli.parsing import parse_list

if TYPE_CHECKING:
    from hrnet_deploy.results.check import CheckResult


class Weights(StrEnum):
    random = "random"


@app.command(rich_help_panel=MEASURE)
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


@app.command(rich_help_panel=MEASURE)
def bench(
    models: Annotated[list[Path] | None, typer.Argument(help="ONNX files. None: the paper's cost table.")] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="Repeatable: torch, torch:channels_last, torch:compile, ort. Default: ort, and torch with --checkpoint."
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(help="Weights for the torch engine; random ones, labelled so, if none.")
    ] = "",
    card: Annotated[
        list[str] | None, typer.Option(help="Measure the network of a card instead of a file. Repeatable.")
    ] = None,
    weights: Annotated[Weights | None, typer.Option(help="With --card: random weights.")] = None,
    size: Annotated[str | None, typer.Option(help="With --card: the input as HEIGHTxWIDTH.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    threads: Annotated[list[int] | None, typer.Option(help="Repeatable; all available unless given.")] = None,
    seconds: Annotated[float, typer.Option(help="Measured time a row and region.")] = 5.0,
    rounds: Annotated[int, typer.Option(help="Turns the rows take.")] = 12,
    task: Annotated[list[str] | None, typer.Option(help="Cost table: only networks of this task. Repeatable.")] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Cost table: a folder of weights called after the cards.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Cost table: a folder a task of annotated images, to score those on.")
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Cost table: memory and time of a training step too.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Cost table: small inputs, to see that everything works.")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(help="Cost table: minutes after which no further network is begun.")
    ] = None,
    sweep: Annotated[str, typer.Option(help="Try each value of an engine's option: aux-streams,graph (trt).")] = "",
    layers: Annotated[
        bool, typer.Option("--layers", help="The time of each layer too, in a run of its own (trt).")
    ] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write everything measured as JSON.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing result.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Everything measured as JSON on stdout.")] = False,
) -> None:
    """Latency and memory, a fresh process a row, rows taking turns in one run.

    compute is the engine alone, end_to_end host array in and out, pipeline
    image in and decoded result out. Times are of a batch; ratios are against
    the first row.

    Without a file and without --weights it measures the cost table of the
    HRNet paper, nine networks at its input sizes, into cost_table.json; the
    same command goes on after an interrupt.

    Example: hrnet-deploy bench pose.onnx --engine torch --engine ort
    """
    from hrnet_deploy.bench.run import Schedule
    from hrnet_deploy.engines import swept
    from hrnet_deploy.errors import BadInput, Unavailable
    from hrnet_deploy.files import check_output
    from hrnet_deploy.jobs.bench import Request
    from hrnet_deploy.jobs.bench import bench as job
    from hrnet_deploy.report import terminal
    from hrnet_deploy.results import codec
    from hrnet_deploy.stats import FEWEST_ROUNDS

    if not models and weights is None:
        if checkpoint or size or batch or threads or sweep or layers:
            said = "--checkpoint, --size, --batch, --threads, --sweep and --layers"
            raise BadInput(f"{said} go with files, or with --card and --weights random")
        cost_table(engine or (), task or (), card or (), checkpoints, data, train, quick, budget, output, force, json)
        return
    if task or checkpoints or data or train or quick or budget is not None:
        raise BadInput(
            "--task, --checkpoints, --data, --train, --quick and --budget are for the cost table — leave the files and --weights out"
        )
    if output is not None:
        check_output(output, force)
    if card and len(card) > 1:
        raise BadInput(
            "random weights are measured of one card at a time — name one, or leave --weights out for the cost table"
        )
    if seconds <= 0 or rounds < FEWEST_ROUNDS:
        raise BadInput(f"an interval needs at least --rounds {FEWEST_ROUNDS}, and --seconds over 0")
    request = Request(
        models=models or (),
        card=card[0] if card else "",
        checkpoint=checkpoint,
        engines=swept(engine or (["torch", "ort"] if checkpoint else ["ort"]), parse_list(sweep)),
        batches=batch or [1],
        threads=threads or (),
        size=parse_size(size),
    )
    with working() as say:
        result = job(
            request,
            Schedule(seconds=seconds, rounds=rounds, layers=layers),
            shlex.join(["hrnet-deploy", *sys.argv[1:]]),
            say,
        )
    if output is not None:
        codec.write(output, result)
    if json:
        print_json(codec.to_dict(result))
    else:
        terminal.measured(console(), result)
    if layers and not any(r.layers for r in result.rows):
        notes().print("no engine of these tells the time of its layers; trt does")
    if any(r.status == "failed" for r in result.rows):
        notes().print("[red]some rows failed[/red]; their cells say why")
        raise typer.Exit(1)
    if missing := [r for r in result.rows if r.status == "unavailable"]:
        raise Unavailable(
            f"{len(missing)} of {len(result.rows)} rows cannot run here; the table says why — leave those engines out"
        )


def cost_table(
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
    """`bench` without a file."""
    from hrnet_deploy.jobs.cost_table import Request
    from hrnet_deploy.jobs.cost_table import suite as job
    from hrnet_deploy.report.suite import suite

    path = output or Path("cost_table.json")
    if force:
        path.unlink(missing_ok=True)
    request = Request(path, engines, tasks, cards, checkpoints, data, quick, budget, train)
    with working() as say:
        found = job(request, shlex.join(["hrnet-deploy", *sys.argv[1:]]), say)
    if json:
        print_json(found)
    else:
        suite(console(), found)
        notes().print(f"everything measured is in {path}")
    if any(c["reason"] and c["result"] is None and not budget for c in found["columns"]):
        raise typer.Exit(1)


@app.command(rich_help_panel=MEASURE)
def compare(
    base: Annotated[Path, typer.Argument(help="A result file.")],
    new: Annotated[Path, typer.Argument(help="Another result file of the same kind.")],
    fail_on: Annotated[
        str, typer.Option(help="How much worse is too much: ap=0.3,latency=5%,pixels=0.5,memory=10%.")
    ] = "",
    output: options.Output = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """What really changed between two result files. Exit code 1 past a limit.

    A time differs only where it differs by more than it varies. Only a figure
    that became worse fails.

    Example: hrnet-deploy compare main.json branch.json --fail-on latency=5%
    """
    from hrnet_deploy.jobs.compare import CompareRequest
    from hrnet_deploy.jobs.compare import compare as job

    check_outputs(force, output)
    finish(job(CompareRequest(base, new, fail_on)), json, output)
