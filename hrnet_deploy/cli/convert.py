"""export: checkpoint to ONNX."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli.app import PREPARE, app, console, parse_list, parse_size, print_json, working


class Exporter(StrEnum):
    dynamo = "dynamo"
    torchscript = "torchscript"


@app.command(rich_help_panel=PREPARE)
def export(
    checkpoint: Annotated[str, typer.Argument(help="A .pth, .pt or .safetensors file, or a card that comes with weights.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The ONNX file to write.")],
    size: Annotated[str | None, typer.Option(help="Input as HEIGHTxWIDTH; the card's unless given.")] = None,
    batch: Annotated[int, typer.Option(help="The fixed batch.")] = 1,
    dynamic: Annotated[str, typer.Option(help="Axes to leave open: batch,height,width.")] = "",
    card: Annotated[str, typer.Option(help="The card to use where the tensors fit several, or a card of your own (FILE.yaml).")] = "",
    embed: Annotated[bool, typer.Option("--embed", help="uint8 RGB crops in, keypoints and scores out.")] = False,
    flip_test: Annotated[bool, typer.Option("--flip-test", help="With --embed: average with the mirror image.")] = False,
    images: Annotated[Path | None, typer.Option(help="A folder of real images to verify on.")] = None,
    opset: Annotated[int | None, typer.Option(help="The ONNX opset; 20 unless given.")] = None,
    exporter: Annotated[Exporter, typer.Option(help="torch's exporter.")] = Exporter.dynamo,
    simplify: Annotated[bool, typer.Option(help="Run onnxsim, in a process of its own, and compare.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
) -> None:
    """Checkpoint to a simplified, verified ONNX file that describes itself.

    The architecture is read from the tensors. The result is compared with
    PyTorch on seeded and on real inputs; past the budget the exit code is 1.

    Example: hrnet-deploy export pose_hrnet_w32.pth -o pose.onnx --size 256x192
    """
    from hrnet_deploy.jobs import export as job
    from hrnet_deploy.report import terminal

    options = job.Options(
        size=parse_size(size),
        batch=batch,
        dynamic=tuple(parse_list(dynamic)),
        opset=opset,
        exporter=exporter.value,
        simplify=simplify,
        embed=embed,
        flip_test=flip_test,
    )
    with working() as say:
        done = job.export(checkpoint, output, options, images, card, force, say)
    if json:
        print_json(done.to_dict())
    else:
        terminal.exported(console(), done)
    if not done.passed:
        raise typer.Exit(1)
