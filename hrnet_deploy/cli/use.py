"""predict and eval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli.app import USE, app, console, counting, parse_factors, print_json

Upright = Annotated[
    Path | None,
    typer.Option(help="A detector's second file, exported with the sides of its input exchanged, for upright images."),
]


@app.command(rich_help_panel=USE)
def predict(
    model: Annotated[Path, typer.Argument(help="The ONNX file.")],
    inputs: Annotated[list[Path], typer.Argument(help="Images, folders of images, or one video.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder for results.json, label maps and pictures.")
    ],
    boxes: Annotated[
        Path | None, typer.Option(help="COCO annotations or detections: whom to look at. Else the whole image.")
    ] = None,
    engine: Annotated[str, typer.Option(help="The engine to run.")] = "ort",
    threads: Annotated[int | None, typer.Option(help="Threads; all available unless given.")] = None,
    flip_test: Annotated[bool, typer.Option("--flip-test", help="Average with the mirror image.")] = False,
    upright: Upright = None,
    pictures: Annotated[bool, typer.Option(help="Draw the results.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Write into an existing folder.")] = False,
) -> None:
    """Images or a video in, results in COCO's format and pictures out. Needs no torch.

    Example: hrnet-deploy predict pose.onnx photos/ --boxes people.json -o found
    """
    from hrnet_deploy.jobs.predict import RESULTS
    from hrnet_deploy.jobs.predict import predict as job

    with counting("predicting") as progress:
        done = job(model, inputs, output, boxes, engine, threads, flip_test, upright, pictures, force, progress)
    from rich.markup import escape

    results = escape(str(done.folder / RESULTS))
    drawn = f", {len(done.pictures)} {'picture' if len(done.pictures) == 1 else 'pictures'}" if done.pictures else ""
    how = f"engine {done.engine}, {done.info.threads} threads"
    console().print(f"{done.results} results of {done.images} images in [bold]{results}[/bold]{drawn} ({how})")


@app.command("eval", rich_help_panel=USE)
def evaluate(
    model: Annotated[Path, typer.Argument(help="The ONNX file, or a plan.")],
    data: Annotated[Path, typer.Option(help="A folder of images; its annotations.json or labels/ is used.")],
    annotations: Annotated[
        Path | None, typer.Option(help="COCO annotations or detections of them, or a folder of label maps.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="ModelUse that many images.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Choose them at random with this seed, instead of the first.")
    ] = None,
    engine: Annotated[str, typer.Option(help="The engine to run.")] = "ort",
    threads: Annotated[int | None, typer.Option(help="Threads; all available unless given.")] = None,
    flip_test: Annotated[bool, typer.Option("--flip-test", help="Average with the mirror image.")] = False,
    upright: Upright = None,
    scales: Annotated[str, typer.Option(help="Segmentation: average over sizes of the input, 0.5,1,1.5.")] = "",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write everything found as JSON.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Everything found as JSON on stdout.")] = False,
) -> None:
    """The task's metric on annotated images: AP, mIoU or box AP. Needs no torch.

    States what the figure depends on besides the weights, and what others
    published of the same weights where that is known.

    Example: hrnet-deploy eval pose.onnx --data val2017 --annotations people.json
    """
    from hrnet_deploy.files import check_output, write_json
    from hrnet_deploy.jobs.evaluate import Request
    from hrnet_deploy.jobs.evaluate import evaluate as job
    from hrnet_deploy.report import verdicts
    from hrnet_deploy.workflow.open_model import ModelUse

    if output is not None:
        check_output(output, force)
    use = ModelUse(model, engine, threads, flip_test, upright, parse_factors(scales))
    request = Request(use, data, annotations, limit, seed)
    with counting("scoring") as progress:
        done = job(request, progress)
    if output is not None:
        write_json(output, done.to_dict())
    if json:
        print_json(done.to_dict())
    else:
        verdicts.evaluated(console(), done)
