"""check, bench and compare."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli.app import MEASURE, app, console, counting, notes, parse_list, parse_size, print_json, working


class Weights(StrEnum):
    random = "random"


@app.command(rich_help_panel=MEASURE)
def check(
    model: Annotated[Path, typer.Argument(help="The ONNX file.")],
    against: Annotated[str, typer.Option(help="The checkpoint it was made from (or its card), or another ONNX file.")],
    images: Annotated[
        Path | None, typer.Option(help="A folder of images; its annotations.json or labels/ is used.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="COCO annotations or detections of them, or a folder of label maps.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use that many images.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Choose them at random with this seed, instead of the first.")
    ] = None,
    engine: Annotated[str, typer.Option(help="The engine to hold against the reference.")] = "ort",
    threads: Annotated[int | None, typer.Option(help="Threads; all available unless given.")] = None,
    flip_test: Annotated[bool, typer.Option("--flip-test", help="Average with the mirror image.")] = False,
    max_relative: Annotated[
        float | None, typer.Option(help="Largest difference of an output, over its maximum.")
    ] = None,
    max_pixels: Annotated[float | None, typer.Option(help="Mean keypoint distance, in pixels of the input.")] = None,
    max_moved: Annotated[float | None, typer.Option(help="Share of keypoints that moved over a pixel.")] = None,
    max_score: Annotated[
        float | None, typer.Option(help="Largest difference of a keypoint's score, over the best score.")
    ] = None,
    max_differing: Annotated[
        float | None, typer.Option(help="Share of pixels whose class changed (segmentation).")
    ] = None,
    max_drop: Annotated[float | None, typer.Option(help="Points of the metric, either way.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the report as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the verdict as JUnit XML.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing reports.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
) -> None:
    """Is the ONNX file still the network? Exit code 1 past the budget of its precision.

    Compares every output on seeded noise and on real images, then what the
    task makes of them; where annotations exist, the metric of both and their
    paired difference with a 95% interval.

    Example: hrnet-deploy check pose.onnx --against w32.pth --images val
    """
    from json import loads

    from hrnet_deploy.files import atomic_write, check_output, json_text, write_json
    from hrnet_deploy.jobs.check import Request
    from hrnet_deploy.jobs.check import check as job
    from hrnet_deploy.report import verdicts
    from hrnet_deploy.results.figures import Budget

    for path in (output, junit):
        if path is not None:
            check_output(path, force)
    distances = {
        "pixels_mean": max_pixels,
        "moved_over_1px": max_moved,
        "score_relative": max_score,
        "differing": max_differing,
    }
    limits = Budget(max_relative, max_drop, {k: v for k, v in distances.items() if v is not None})
    request = Request(model, against, images, annotations, limit, seed, engine, threads, flip_test, limits)
    with counting("comparing") as progress:
        report = job(request, progress=progress)
    if output is not None:
        write_json(output, report.to_dict())
    if junit is not None:
        from hrnet_deploy.results.codec import from_dict
        from hrnet_deploy.results.render.junit import junit_xml

        with atomic_write(junit) as part:
            part.write_bytes(junit_xml(from_dict(loads(json_text(report.to_dict())), "the report")))  # type: ignore[arg-type]
    if json:
        print_json(report.to_dict())
    else:
        verdicts.checked(console(), report)
    if not report.passed:
        raise typer.Exit(1)


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
        result.write(output)
    if json:
        print_json(result.to_dict())
    else:
        terminal.measured(console(), result)
    if layers and not any(r.facts.get("layers") for r in result.rows):
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
    base: Annotated[Path, typer.Argument(help="A result file, or a folder of result files.")],
    new: Annotated[Path, typer.Argument(help="Another one of the same kind, or another folder.")],
    fail_on: Annotated[
        str, typer.Option(help="How much worse is too much: ap=0.3,latency=5%,pixels=0.5,memory=10%.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="The comparison as JSON on stdout.")] = False,
) -> None:
    """What really changed between two results. Exit code 1 past a limit.

    Two folders are compared file by file, by name, so that limits can be on
    figures of several commands. Times differ where the 95% intervals of their
    medians do not overlap. Only what got worse fails.

    Example: hrnet-deploy compare main.json branch.json --fail-on latency=5%
    """
    from hrnet_deploy.bench.environment import environment
    from hrnet_deploy.jobs.compare import CompareRequest
    from hrnet_deploy.jobs.compare import compare as job
    from hrnet_deploy.results import codec
    from hrnet_deploy.results.base import Environment
    from hrnet_deploy.results.documents import document_of
    from hrnet_deploy.results.render import terminal

    done = job(CompareRequest(base, new, fail_on))
    if json:
        here = codec.convert(environment(), Environment, "this machine")
        print_json(codec.to_dict(codec.with_origin(done, shlex.join(["hrnet-deploy", *sys.argv[1:]]), here)))
    else:
        terminal.show(console(), document_of(done))
    if not done.passed:
        raise typer.Exit(1)
