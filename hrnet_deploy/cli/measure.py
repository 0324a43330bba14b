"""check and bench: commands that compare and measure files."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import MEASURE, command, notes
from hrnet_deploy.cli.output import check_outputs, command_line, finish
from hrnet_deploy.cli.parsing import detector_boxes, optional_size, parse_list

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
    weights_key: options.WeightsKey = "",
    images: options.SomeImages = None,
    annotations: options.Annotations = None,
    boxes: options.Boxes = None,
    box_threshold: options.BoxThreshold = None,
    nms: options.Nms = None,
    category: options.Categories = None,
    limit: options.Limit = None,
    seed: options.Seed = None,
    engine: Annotated[str, typer.Option(help="The engine to compare with the reference.")] = "ort",
    threads: options.Threads = None,
    flip_test: options.FlipTest = False,
    max_relative: Annotated[
        float | None,
        typer.Option(help="Limit on the largest difference of an output, divided by its largest magnitude."),
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(help="Limit on the change of the metric, up or down, in points.")
    ] = None,
    max_pixels: Annotated[
        float | None,
        typer.Option(help="Limit on the mean distance of keypoints or box corners, in pixels of the input."),
    ] = None,
    max_moved: Annotated[
        float | None,
        typer.Option(help="Limit for keypoints: the share of them that differs by more than a pixel."),
    ] = None,
    max_score: Annotated[
        float | None,
        typer.Option(help="Limit for keypoints: the largest difference of a score, over the best score."),
    ] = None,
    max_differing: Annotated[
        float | None, typer.Option(help="Limit for segmentation: share of pixels with another class.")
    ] = None,
    max_missing: Annotated[
        float | None,
        typer.Option(help="Limit for detection: share of the reference's detections without a match."),
    ] = None,
    max_extra: Annotated[
        float | None,
        typer.Option(help="Limit for detection: share of the engine's detections without a match."),
    ] = None,
    strict: options.Strict = False,
    output: options.Output = None,
    junit: Annotated[Path | None, typer.Option(help="Write the verdict to this file, as JUnit XML.")] = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Check that a file still computes what the network does.

    Compares every output on seeded noise and on real images, then the decoded
    results. If there are annotations, it also compares the metric, and shows
    the paired difference with a 95% interval. Exits with 1 if a limit is
    exceeded. Every precision has its own limits, which options can replace.

    Example: hrnet-deploy check pose.onnx --against w32.pth --images val
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.check import CheckRequest
    from hrnet_deploy.jobs.check import check as job
    from hrnet_deploy.results.figures import Budget

    detected = detector_boxes(boxes, box_threshold, nms)
    check_outputs(force, output, other=junit)
    distances = {
        "pixels_mean": max_pixels,
        "moved_over_1px": max_moved,
        "score_relative": max_score,
        "differing": max_differing,
        "missing": max_missing,
        "extra": max_extra,
    }
    limits = Budget(max_relative, max_drop, {k: v for k, v in distances.items() if v is not None})
    request = CheckRequest(
        model,
        against,
        images,
        annotations,
        limit,
        seed,
        engine,
        threads,
        flip_test,
        limits,
        weights_key=weights_key,
        strict=strict,
        categories=tuple(category or ()),
        boxes=detected,
    )
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
        list[Path] | None,
        typer.Argument(metavar="FILE", help="ONNX files or plans. Without any: the cost table of the HRNet paper."),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENGINE",
            help="An engine with its options, for example ort, torch or torch:compile. Repeatable. "
            "Default: ort, and torch if there is a --checkpoint.",
        ),
    ] = None,
    checkpoint: Annotated[
        str,
        typer.Option(help="Weights for the torch engine. Without it, that row has random weights and is labelled so."),
    ] = "",
    weights_key: options.WeightsKey = "",
    card: Annotated[
        list[str] | None,
        typer.Option(metavar="CARD", help="Measure the network of a card in place of a file. Repeatable."),
    ] = None,
    weights: Annotated[
        Weights | None, typer.Option(help="With --card: measure the network with random weights.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="With --card: the input as HEIGHTxWIDTH.")] = None,
    batch: Annotated[list[int] | None, typer.Option(metavar="NUMBER", help="The batch size. Repeatable.")] = None,
    threads: options.ThreadCounts = None,
    oversubscribe: Annotated[
        bool, typer.Option("--oversubscribe", help="Allow more threads than there are cores.")
    ] = False,
    seconds: options.Seconds = 5.0,
    rounds: Annotated[int, typer.Option(help="The number of rounds. Every row is measured once per round.")] = 12,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK", help="Cost table: measure only networks of this task. Repeatable."),
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Cost table: a folder of weights that are named after the cards.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Cost table: a folder with one folder of annotated images per task, to score weights on."),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Cost table: also measure memory and time of a training step.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Cost table: use small inputs, to see that everything works.")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(help="Cost table: after this many minutes, start no further network.")
    ] = None,
    sweep: Annotated[
        str,
        typer.Option(metavar="LIST", help="For trt: measure every value of these engine options: aux-streams, graph."),
    ] = "",
    layers: Annotated[
        bool, typer.Option("--layers", help="For trt: also measure the time of each layer, in a separate run.")
    ] = False,
    output: options.Output = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Measure latency and memory.

    Each row runs in its own process, and rows take turns. compute is the engine
    alone; end_to_end is from host array to host array; pipeline is from image
    to decoded result. Times are per batch, and ratios are to the first row.

    Without a file and without --weights, it measures the cost table of the
    HRNet paper: nine networks at the paper's input sizes. The result is written
    to cost_table.json. Run the same command again to resume.

    Example: hrnet-deploy bench pose.onnx --engine torch --engine ort
    """
    from hrnet_deploy.errors import BadInput

    if not models and weights is None:
        if checkpoint or weights_key or size or batch or threads or oversubscribe or sweep or layers:
            named = "--checkpoint, --weights-key, --size, --batch, --threads, --oversubscribe, --sweep and --layers"
            raise BadInput(f"{named} need a file — name one, or give --card and --weights random")
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
        weights_key,
        card[0] if card else "",
        size,
        batch or [1],
        threads or (),
        oversubscribe,
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
    weights_key: str,
    card: str,
    size: str | None,
    batches: Sequence[int],
    threads: Sequence[int],
    oversubscribe: bool,
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
        oversubscribe=oversubscribe,
        weights_key=weights_key,
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
        notes().print("[red]some rows failed[/red]; the table says why")
        raise typer.Exit(1)
    if missing := [r for r in result.rows if r.status == "unavailable"]:
        raise Unavailable(
            f"{len(missing)} of {len(result.rows)} rows cannot run here, for the reasons in the table — leave those "
            "engines out"
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
    """`bench` without a file. The job writes its file after every network, so an interrupted run can be resumed."""
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.cost_table import CostTableRequest
    from hrnet_deploy.jobs.cost_table import cost_table as job
    from hrnet_deploy.workflow.arguments import require_suffix

    path = output or Path("cost_table.json")
    require_suffix(path, (".json",), "a result file")
    request = CostTableRequest(
        path, engines, tasks, cards, checkpoints, data, quick, budget, train, command=command_line()
    )
    if force:
        path.unlink(missing_ok=True)
    with shown() as progress:
        result = job(request, progress)
    finish(result, json)
    notes().print(f"all measurements are in {path}", markup=False)
    if any(c.reason and c.result is None and not budget for c in result.columns):
        raise typer.Exit(1)
