"""The end of every command: it writes files, shows the result, and sets the exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from hrnet_deploy.cli.app import console

if TYPE_CHECKING:
    from hrnet_deploy.results.base import Result
    from hrnet_deploy.results.documents import Shown

R = TypeVar("R", bound="Result")


def command_line() -> str:
    """The command line as it was entered, so that it can be run again."""
    return shlex.join(["hrnet-deploy", *sys.argv[1:]])


def check_outputs(force: bool, *results: Path | None, other: Path | None = None) -> None:
    """Check before the work that the files can be written after it: results, whose names end in .json, and another
    file. Raises BadInput."""
    from hrnet_deploy.files import check_output
    from hrnet_deploy.workflow.arguments import require_suffix

    for path in results:
        if path is not None:
            require_suffix(path, (".json",), "a result file")
            check_output(path, force)
    if other is not None:
        check_output(other, force)


def print_json(value: Any) -> None:
    """Plain JSON values on stdout."""
    from hrnet_deploy.files import json_text

    print(json_text(value))


def finish(result: R, json: bool = False, report: Path | None = None, also: Callable[[R], None] | None = None) -> None:
    """End a command with its result.

    The command line and the machine are added to the result. It is written to `report`, and shown on stdout, as JSON if
    `json` is set. `also` writes other files of the same result before it is shown. Exits with 1 if the result has a
    verdict and has failed.
    """
    from hrnet_deploy.bench.environment import environment
    from hrnet_deploy.results.codec import to_dict, with_origin, write

    whole = with_origin(result, command_line(), environment())
    if report is not None:
        write(report, whole)
    if also is not None:
        also(whole)
    if json:
        print_json(to_dict(whole))
    else:
        show(whole)
    if getattr(result, "passed", True) is False:
        raise typer.Exit(1)


def show(result: Shown) -> None:
    """Show the document of a result on stdout."""
    from hrnet_deploy.results.documents import document_of
    from hrnet_deploy.results.render import terminal

    terminal.show(console(), document_of(result))
