"""The typer app, how errors are reported, and old names of options."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from hrnet_deploy.errors import DeployError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="hrnet-deploy",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


class Command(TyperCommand):
    """A command whose help is plain text. Tables would cut off the names of options in a narrow terminal."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "rich_markup_mode": None})


command = functools.partial(app.command, cls=Command)
PREPARE, MEASURE, CHOOSE, USE, LOOK = "Prepare", "Measure", "Choose", "Use", "Look around"
INTERRUPTED = 130


def _version(requested: bool) -> None:
    if requested:
        from hrnet_deploy.version import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turns a trained HRNet checkpoint into an ONNX file and an engine that are
    verified against PyTorch and measured."""


def renamed(names: Mapping[str, str]) -> type[Command]:
    """A class of command that still accepts the old names of options (old to new), with a note on stderr.

    The old names are not in any help text. They will be removed in the next version.
    """

    class Renamed(Command):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, [_new_name(argument, names) for argument in args])

    return Renamed


def _new_name(argument: str, names: Mapping[str, str]) -> str:
    name, equals, value = argument.partition("=")
    if name not in names:
        return argument
    print(
        f"note: {name} is now called {names[name]}; the old name will be removed in the next version", file=sys.stderr
    )
    return f"{names[name]}{equals}{value}"


def main() -> None:
    """Run a command. Every error is one sentence on stderr and a stable exit code."""
    try:
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:  # the command line library has already caught Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except DeployError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail(
            "interrupted — no output was written, but a --calibration-cache and the folder of `run` keep finished "
            "work; run the same command again to resume",
            INTERRUPTED,
        )
    except SystemExit as stop:
        # If the reader of a pipe has exited, the library exits with the code of a failed verdict.
        broken_pipe = isinstance(stop.__context__, BrokenPipeError)
        os._exit(0) if broken_pipe else sys.exit(stop.code)
    except MemoryError:
        _fail("out of memory — close other programs, or use a smaller --size or --batch", 3)
    except OSError as error:
        _fail(f"{error.strerror or error} ({error.filename or 'no file'}) — check disk space and permissions", 2)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # wrong arguments: the library explains them
            error.show()
            sys.exit(error.exit_code)
        if os.environ.get("HRNET_DEPLOY_DEBUG"):
            raise
        _fail(
            f"{type(error).__name__}: {str(error)[:300]} — this is a bug in hrnet-deploy; please report it, "
            "with the traceback that HRNET_DEPLOY_DEBUG=1 shows",
            70,
        )


def _fail(sentence: str, code: int) -> None:
    printable = "".join(c if c.isprintable() else " " for c in sentence)  # names in a file may hold control characters
    print(f"error: {' '.join(printable.split())}", file=sys.stderr)
    sys.exit(code)


def console() -> Console:
    """The console for results: stdout."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def notes() -> Console:
    """The console for progress and remarks: stderr, so that stdout has only the result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)
