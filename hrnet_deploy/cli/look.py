"""models, inspect and doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import LOOK, app, console
from hrnet_deploy.cli.output import print_json


@app.command(rich_help_panel=LOOK)
def models(json: options.Json = False) -> None:
    """The model cards: what this tool knows by name.

    Example: hrnet-deploy models --json
    """
    from hrnet_deploy.cards import cards
    from hrnet_deploy.report import terminal

    if json:
        print_json([c.to_dict() for c in cards().values()])
    else:
        terminal.model_table(console(), cards().values())


@app.command(rich_help_panel=LOOK)
def inspect(
    file: Annotated[Path, typer.Argument(help="A checkpoint, an ONNX file or a plan.")],
    json: options.Json = False,
) -> None:
    """What a file is: architecture, task, input, precision and origin.

    Example: hrnet-deploy inspect pose_hrnet_w32.pth
    """
    from hrnet_deploy.jobs.inspect import InspectRequest
    from hrnet_deploy.jobs.inspect import inspect as job
    from hrnet_deploy.report import terminal

    found = job(InspectRequest(file)).to_dict()
    if json:
        print_json(found)
    else:
        terminal.facts(console(), found)


@app.command(rich_help_panel=LOOK)
def doctor(json: options.Json = False) -> None:
    """What is installed, which engines can run here, and what is missing.

    Example: hrnet-deploy doctor
    """
    from hrnet_deploy.jobs.doctor import doctor as job
    from hrnet_deploy.report import terminal

    found = job()
    if json:
        print_json(found)
    else:
        terminal.health(console(), found)
