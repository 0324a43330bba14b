"""tune and run: commands that try several engines and precisions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import CHOOSE, command, renamed
from hrnet_deploy.cli.output import check_outputs, finish
from hrnet_deploy.cli.parsing import detector_boxes, parse_list


@command(rich_help_panel=CHOOSE, cls=renamed({"--limit": "--calibration-images", "--ranges": "--calibration-cache"}))
def tune(
    model: Annotated[Path, typer.Argument(help="A float32 ONNX file made by export.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write the winner's ONNX model to.")],
    images: options.Images,
    annotations: options.Annotations = None,
    boxes: options.Boxes = None,
    box_threshold: options.BoxThreshold = None,
    nms: options.Nms = None,
    category: options.Categories = None,
    max_drop: Annotated[
        float, typer.Option(help="How much the metric may change at most, in points, up or down.")
    ] = 0.5,
    minutes: Annotated[float, typer.Option(help="How many minutes everything may take.")] = 10.0,
    threads: options.ThreadCounts = None,
    checkpoint: Annotated[
        str, typer.Option(help="Weights for the PyTorch row. Without it the row has random weights.")
    ] = "",
    weights_key: options.WeightsKey = "",
    calibration_images: options.CalibrationImages = 64,
    held_out: options.HeldOut = 500,
    seed: options.SplitSeed = 0,
    throughput: Annotated[
        bool,
        typer.Option(
            "--throughput", help="Let an engine keep several images in flight, and compare the time per image."
        ),
    ] = False,
    strict: options.Strict = False,
    calibration_cache: options.CalibrationCache = None,
    report: options.Report = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Find the fastest engine and precision that stay within an accuracy budget.

    Every candidate is judged on a validation set. Those that pass are measured
    side by side, and the fastest is judged again on a separate test set.

    Example: hrnet-deploy tune pose.onnx -o best.onnx --images val --max-drop 0.5
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.tune import TuneRequest
    from hrnet_deploy.jobs.tune import tune as job
    from hrnet_deploy.workflow.split import Split

    detected = detector_boxes(boxes, box_threshold, nms)
    check_outputs(force, report)
    request = TuneRequest(
        model=model,
        output=output,
        split=Split(images, annotations, calibration_images, held_out, seed, strict, tuple(category or ()), detected),
        max_drop=max_drop,
        minutes=minutes,
        threads=tuple(threads or ()),
        checkpoint=checkpoint,
        weights_key=weights_key,
        throughput=throughput,
        calibration_cache=calibration_cache,
        force=force,
    )
    with shown() as progress:
        result = job(request, progress)
    finish(result, json, report)


@command(rich_help_panel=CHOOSE, cls=renamed({"--limit": "--calibration-images"}))
def run(
    checkpoint: options.Checkpoint,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder for all files. Run the same command again to resume.")
    ],
    images: options.Images,
    weights_key: options.WeightsKey = "",
    annotations: options.Annotations = None,
    boxes: options.Boxes = None,
    box_threshold: options.BoxThreshold = None,
    nms: options.Nms = None,
    decode: options.Decode = None,
    geometry: options.Geometry = None,
    category: options.Categories = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(metavar="ENGINE", help="An engine. Repeatable. Default: every engine that runs here."),
    ] = None,
    precision: Annotated[
        str, typer.Option(metavar="LIST", help="fp32, fp16 and int8, or some of them, separated by commas.")
    ] = "fp32,int8",
    max_drop: Annotated[
        float | None,
        typer.Option(help="Leave blocks in float until int8 changes the metric by at most this, in points."),
    ] = None,
    calibration_images: options.CalibrationImages = 64,
    held_out: options.HeldOut = 500,
    seed: options.SplitSeed = 0,
    strict: options.Strict = False,
    seconds: options.Seconds = 5.0,
    json: options.Json = False,
) -> None:
    """Run all stages: export, convert, check and measure.

    Every stage writes its file and its report into the folder. A later run
    reuses a stage if nothing that it depends on has changed. Otherwise it
    repeats the stage and says what changed. Exits with 1 if a stage fails.

    Example: hrnet-deploy run pose_hrnet_w32.pth -o out --images val
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.run import RunRequest
    from hrnet_deploy.jobs.run import run as job
    from hrnet_deploy.workflow.network_export import ExportOptions
    from hrnet_deploy.workflow.split import Split

    detected = detector_boxes(boxes, box_threshold, nms)
    request = RunRequest(
        checkpoint=checkpoint,
        weights_key=weights_key,
        folder=output,
        split=Split(images, annotations, calibration_images, held_out, seed, strict, tuple(category or ()), detected),
        engines=tuple(engine or ()),
        precisions=tuple(parse_list(precision)),
        max_drop=max_drop,
        seconds=seconds,
        options=ExportOptions(decode=decode or "", geometry=geometry or ""),
    )
    with shown() as progress:
        result = job(request, progress)
    finish(result, json)
