"""predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli.app import USE, app, console, counting


@app.command(rich_help_panel=USE)
def predict(
    model: Annotated[Path, typer.Argument(help="The ONNX file.")],
    inputs: Annotated[list[Path], typer.Argument(help="Images, folders of images, or one video.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder for results.json, label maps and pictures.")],
    boxes: Annotated[Path | None, typer.Option(help="COCO annotations or detections: whom to look at. Else the whole image.")] = None,
    engine: Annotated[str, typer.Option(help="The engine to run.")] = "ort",
    threads: Annotated[int | None, typer.Option(help="Threads; all available unless given.")] = None,
    flip_test: Annotated[bool, typer.Option("--flip-test", help="Average with the mirror image.")] = False,
    pictures: Annotated[bool, typer.Option(help="Draw the results.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Write into an existing folder.")] = False,
) -> None:
    """Images or a video in, results in COCO's format and pictures out. Needs no torch.

    Example: hrnet-deploy predict pose.onnx photos/ --boxes people.json -o found
    """
    from hrnet_deploy.jobs.predict import RESULTS
    from hrnet_deploy.jobs.predict import predict as job

    with counting("predicting") as progress:
        done = job(model, inputs, output, boxes, engine, threads, flip_test, pictures, force, progress)
    from rich.markup import escape

    results = escape(str(done.folder / RESULTS))
    drawn = f", {len(done.pictures)} {'picture' if len(done.pictures) == 1 else 'pictures'}" if done.pictures else ""
    how = f"engine {done.engine}, {done.facts['threads']} threads"
    console().print(f"{done.results} results of {done.images} images in [bold]{results}[/bold]{drawn} ({how})")
