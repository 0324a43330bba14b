"""models, inspect and doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli.app import LOOK, app, console, print_json

Json = Annotated[bool, typer.Option("--json", help="As JSON on stdout.")]


@app.command(rich_help_panel=LOOK)
def models(json: Json = False) -> None:
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
    json: Json = False,
) -> None:
    """What a file is: architecture, task, input, precision, and where it comes from.

    Example: hrnet-deploy inspect pose_hrnet_w32.pth
    """
    from hrnet_deploy.jobs.inspect import inspect as job
    from hrnet_deploy.report import terminal

    found = job(file)
    if json:
        print_json(found)
    else:
        terminal.facts(console(), found)


@app.command(rich_help_panel=LOOK)
def doctor(json: Json = False) -> None:
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
