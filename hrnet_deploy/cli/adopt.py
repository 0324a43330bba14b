"""adopt: the command that makes an ONNX file of another exporter usable for all other commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import PREPARE, command
from hrnet_deploy.cli.output import check_outputs, finish
from hrnet_deploy.cli.parsing import optional_size


@command(rich_help_panel=PREPARE)
def adopt(
    model: Annotated[Path, typer.Argument(help="An ONNX file of mmdeploy, PaddleDetection or any other exporter.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The ONNX file to write.")],
    card: Annotated[
        str,
        typer.Option(help="The card of its network, by name or as FILE.yaml. Default: the card of --against."),
    ] = "",
    against: Annotated[
        str, typer.Option(help="The checkpoint that the file was made from, to compare with and to name layers after.")
    ] = "",
    size: Annotated[
        str | None, typer.Option(help="The input as HEIGHTxWIDTH, where the file leaves it open. Default: the card's.")
    ] = None,
    tensor: Annotated[
        str, typer.Option(help="The tensor that holds the heatmaps or class scores, where several could.")
    ] = "",
    images: Annotated[Path | None, typer.Option(help="With --against: a folder of real images to compare on.")] = None,
    weights_key: options.WeightsKey = "",
    strict: options.Strict = False,
    report: options.Report = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Rewrite an ONNX file of another exporter to what export writes.

    The input, the network and its outputs are recognised in the graph. What the
    graph does not show is taken from the card, and said. The result is compared
    with the file, and with PyTorch if there is a checkpoint. If a limit is
    exceeded, writes no file and exits with 1.

    Example: hrnet-deploy adopt end2end.onnx --card pose_hrnet_w32_256x192 -o pose.onnx
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.adopt import AdoptRequest
    from hrnet_deploy.jobs.adopt import adopt as job

    check_outputs(force, report)
    request = AdoptRequest(
        model, output, card, against, optional_size(size), tensor, images, force, weights_key, strict
    )
    with shown() as progress:
        result = job(request, progress)
    finish(result, json, report)
