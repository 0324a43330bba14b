"""tune and run: commands that try several engines and precisions."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli.app import CHOOSE, app, console, counting, parse_list, print_json, working


@app.command(rich_help_panel=CHOOSE)
def tune(
    model: Annotated[Path, typer.Argument(help="A float32 ONNX file made by export.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the winner's ONNX file goes.")],
    images: Annotated[Path, typer.Option(help="A folder of real images; its annotations.json or labels/ is used.")],
    annotations: Annotated[
        Path | None, typer.Option(help="COCO annotations or detections of them, or a folder of label maps.")
    ] = None,
    max_drop: Annotated[float, typer.Option(help="How much the metric may move, in points.")] = 0.5,
    minutes: Annotated[float, typer.Option(help="How long it may take.")] = 10.0,
    threads: Annotated[list[int] | None, typer.Option(help="Repeatable; all available unless given.")] = None,
    checkpoint: Annotated[str, typer.Option(help="Weights for the PyTorch row; random ones if none.")] = "",
    limit: Annotated[int, typer.Option(help="Calibrate on that many images, at most half of them.")] = 64,
    held_out: Annotated[int, typer.Option(help="Judge the winner on that many others; choose by as many again.")] = 500,
    seed: Annotated[int, typer.Option(help="Which images are chosen.")] = 0,
    throughput: Annotated[
        bool, typer.Option("--throughput", help="Time an image with several in flight, where an engine can.")
    ] = False,
    ranges: Annotated[
        Path | None, typer.Option(help="Keep statistics and findings in this file and beside it; go on from them.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write everything found as JSON.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Everything found as JSON on stdout.")] = False,
) -> None:
    """The fastest engine and precision within an accuracy budget, proved.

    Every candidate is judged before it may win; all that pass are measured side
    by side, and the fastest is judged again on images nothing was chosen by.

    Example: hrnet-deploy tune pose.onnx -o best.onnx --images val --max-drop 0.5
    """
    from hrnet_deploy.files import check_output, write_json
    from hrnet_deploy.jobs.tune import Request
    from hrnet_deploy.jobs.tune import tune as job
    from hrnet_deploy.report import terminal
    from hrnet_deploy.workflow.split import Split

    if report is not None:
        check_output(report, force)
    request = Request(
        model=model,
        output=output,
        split=Split(images, annotations, limit, held_out, seed),
        max_drop=max_drop,
        minutes=minutes,
        threads=tuple(threads or ()),
        checkpoint=checkpoint,
        throughput=throughput,
        statistics=ranges,
        force=force,
    )
    with counting("tuning") as progress:
        done = job(request, shlex.join(["hrnet-deploy", *sys.argv[1:]]), progress.say, progress)
    if report is not None:
        write_json(report, done.to_dict())
    if json:
        print_json(done.to_dict())
    else:
        terminal.tuned(console(), done)


@app.command(rich_help_panel=CHOOSE)
def run(
    checkpoint: Annotated[
        str, typer.Argument(help="A .pth, .pt or .safetensors file, or a card that comes with weights.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder for every file made; an interrupted run goes on in it.")
    ],
    images: Annotated[Path, typer.Option(help="A folder of real images; its annotations.json or labels/ is used.")],
    annotations: Annotated[
        Path | None, typer.Option(help="COCO annotations or detections of them, or a folder of label maps.")
    ] = None,
    engine: Annotated[list[str] | None, typer.Option(help="Repeatable; every one that runs here unless given.")] = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16, int8, separated by commas.")] = "fp32,int8",
    max_drop: Annotated[
        float | None, typer.Option(help="Leave blocks in float until int8 moves the metric at most this.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Calibrate on that many images, at most half of them.")] = 64,
    held_out: Annotated[int, typer.Option(help="Judge on that many others; a search chooses by as many again.")] = 500,
    seed: Annotated[int, typer.Option(help="Which images are chosen.")] = 0,
    seconds: Annotated[float, typer.Option(help="Measured time a row and region.")] = 5.0,
    json: Annotated[bool, typer.Option("--json", help="Everything found as JSON on stdout.")] = False,
) -> None:
    """The whole way: export, convert, check and measure.

    Every stage leaves its file and its report in the folder. Exit code 1 where
    one of them lost too much.

    Example: hrnet-deploy run pose_hrnet_w32.pth -o out --images val
    """
    from hrnet_deploy.jobs.run import Request
    from hrnet_deploy.jobs.run import run as job
    from hrnet_deploy.report import verdicts
    from hrnet_deploy.workflow.split import Split

    request = Request(
        checkpoint=checkpoint,
        folder=output,
        split=Split(images, annotations, limit, held_out, seed),
        engines=tuple(engine or ()),
        precisions=tuple(parse_list(precision)),
        max_drop=max_drop,
        seconds=seconds,
    )
    with working() as say:
        done = job(request, shlex.join(["hrnet-deploy", *sys.argv[1:]]), say)
    if json:
        print_json(done.to_dict())
    else:
        verdicts.ran(console(), done)
    if not done.passed:
        raise typer.Exit(1)
