"""The typer app, how errors are reported, and old names of options."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from hrnet_deploy.errors import BadInput, DeployError

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

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _refuse_empty(args)
        return super().parse_args(ctx, args)


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


def _refuse_empty(args: Sequence[str]) -> None:
    """Raises BadInput for an empty argument, as a shell makes it from a variable that is not set. Nothing takes one: an
    empty path would be the current folder."""
    for before, argument in zip(("", *args), args, strict=False):
        name, equals, value = argument.partition("=")
        if not argument.strip():
            what = before if before.startswith("-") else "an argument"
            raise BadInput(f"{what} is empty — give it a value or leave it out")
        if name.startswith("--") and equals and not value.strip():
            raise BadInput(f"{name} is empty — give it a value or leave it out")


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
    from hrnet_deploy.cli.signals import stoppable

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the shell has closed it (>&-)
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  (open until the process ends)
    with stoppable() as stop:
        try:
            _run()
        except KeyboardInterrupt:
            if stop.number:
                stop.end()
            _fail(stop.sentence, stop.code)


def _run() -> None:
    try:
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:  # the command line library has already caught Ctrl-C
            raise KeyboardInterrupt
        sys.stdout.flush()
        sys.exit(code)
    except DeployError as error:
        _fail(str(error), error.exit_code)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as stop:
        # If the reader of a pipe has exited, the library exits with the code of a failed verdict.
        broken_pipe = isinstance(stop.__context__, BrokenPipeError)
        os._exit(0) if broken_pipe else sys.exit(stop.code)
    except BrokenPipeError:
        os._exit(0)
    except MemoryError:
        _fail("out of memory — close other programs, or use a smaller --size or --batch", 3)
    except OSError as error:
        _fail(*_about_files(error))
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # wrong arguments: the library explains them
            _refuse_arguments(error)
        if os.environ.get("HRNET_DEPLOY_DEBUG"):
            raise
        _fail(
            f"{type(error).__name__}: {str(error)[:300]} — this is a bug in hrnet-deploy; please report it, "
            "with the traceback that HRNET_DEPLOY_DEBUG=1 shows",
            70,
        )


def _refuse_arguments(error: Any) -> None:
    """End with what the library says of wrong arguments, as one sentence. Without any, it shows the help."""
    said = error.format_message().strip().rstrip(".")
    if type(error).__name__ == "NoArgsIsHelpError" or not said:
        error.show()
        sys.exit(error.exit_code)
    context = getattr(error, "ctx", None)
    command = "hrnet-deploy" + (f" {context.info_name}" if context and context.parent else "")
    _fail(f"{said[:1].lower()}{said[1:]} — `{command} --help` lists what there is", error.exit_code)


def _about_files(error: OSError) -> tuple[str, int]:
    """The sentence and the exit code of an error of the file system."""
    from hrnet_deploy.files import lacks_room

    if lacks_room(error):
        where = error.filename or "where the output, stdout or a temporary file goes"
        return f"no space is left on the disk ({where}) — free some, or set TMPDIR for temporary files", 3
    return f"{error.strerror or error} ({error.filename or 'no file'}) — check the path and its permissions", 2


def _fail(sentence: str, code: int) -> None:
    printable = "".join(c if c.isprintable() else " " for c in sentence)  # names in a file may hold control characters
    with contextlib.suppress(OSError):  # nobody reads what stdout still holds
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):  # a terminal that was closed
        print(f"error: {' '.join(printable.split())}", file=sys.stderr, flush=True)
    sys.exit(code)


def console() -> Console:
    """The console for results: stdout."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def notes() -> Console:
    """The console for progress and remarks: stderr, so that stdout has only the result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)
