"""models, inspect and doctor: commands that show information."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import LOOK, command
from hrnet_deploy.cli.output import print_json, show


@command(rich_help_panel=LOOK)
def models(
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="List the published checkpoints that can be downloaded by name.")
    ] = False,
    json: options.Json = False,
) -> None:
    """List the model cards: the networks that this tool knows by name.

    Example: hrnet-deploy models --json
    """
    import dataclasses

    from hrnet_deploy import cards
    from hrnet_deploy.jobs.models import models as job
    from hrnet_deploy.jobs.models import published_checkpoints

    if checkpoints:
        found = published_checkpoints()
        if json:
            print_json([dataclasses.asdict(c) for c in found.checkpoints])
        else:
            show(found)
    elif json:
        print_json([c.to_dict() for c in cards.cards().values()])
    else:
        show(job())


@command(rich_help_panel=LOOK)
def inspect(
    file: Annotated[Path, typer.Argument(help="A checkpoint, an ONNX file or a plan.")],
    weights_key: options.WeightsKey = "",
    json: options.Json = False,
) -> None:
    """Show what a file is: architecture, task, input, precision and origin.

    Example: hrnet-deploy inspect pose_hrnet_w32.pth
    """
    from hrnet_deploy.jobs.inspect import InspectRequest
    from hrnet_deploy.jobs.inspect import inspect as job

    found = job(InspectRequest(file, weights_key))
    if json:
        print_json(found.to_dict())
    else:
        show(found)


@command(rich_help_panel=LOOK)
def doctor(json: options.Json = False) -> None:
    """Show what is installed, which engines can run here, and what is missing.

    Example: hrnet-deploy doctor
    """
    from hrnet_deploy.jobs.doctor import doctor as job

    found = job()
    if json:
        print_json(found.to_dict())
    else:
        show(found)
