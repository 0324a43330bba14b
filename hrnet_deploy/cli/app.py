"""The typer app, how errors leave it, and what commands share."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hrnet_deploy.errors import BadInput, DeployError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

app = typer.Typer(
    name="hrnet-deploy",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        from hrnet_deploy import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A trained HRNet checkpoint in; a verified, measured engine out."""


INTERRUPTED = 130
PREPARE, MEASURE, CHOOSE, USE, LOOK = "Prepare", "Measure", "Choose", "Use", "Look around"


def main() -> None:
    """Run a command. Whatever goes wrong is one sentence on stderr and a stable exit code."""
    try:
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:  # the command line library has caught Ctrl-C already
            raise KeyboardInterrupt
        sys.exit(code)
    except DeployError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail(
            "interrupted — nothing was written but what a file of --ranges or a folder of `run` keeps; run it again",
            INTERRUPTED,
        )
    except SystemExit as stop:
        # what the command line library makes of a reader that has left its pipe is the code of a failed verdict
        left = isinstance(stop.__context__, BrokenPipeError)
        os._exit(0) if left else sys.exit(stop.code)
    except MemoryError:
        _fail("out of memory — close other programs, or use a smaller --size or --batch", 3)
    except OSError as error:
        _fail(f"{error.strerror or error} ({error.filename or 'no file'}) — check disk space and permissions", 2)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # wrong arguments: the library says it best
            error.show()
            sys.exit(error.exit_code)
        if os.environ.get("HRNET_DEPLOY_DEBUG"):
            raise
        _fail(
            f"{type(error).__name__}: {str(error)[:300]} — a fault of hrnet-deploy; HRNET_DEPLOY_DEBUG=1 shows where, please report it",
            70,
        )


def _fail(sentence: str, code: int) -> None:
    print(f"error: {' '.join(sentence.split())}", file=sys.stderr)
    sys.exit(code)


def console() -> Console:
    """Where results go."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def notes() -> Console:
    """Where progress and remarks go: stderr, so that stdout holds the result alone."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    from hrnet_deploy.files import json_text

    print(json_text(value))


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """A spinner with what is being done; says nothing where nobody looks."""
    screen = notes()
    if not screen.is_terminal:
        yield lambda _: None
        return
    with screen.status("starting") as status:
        yield lambda text: status.update(text)


class Counter:
    """A bar a stage, with the time left. Called with a total, it gives back what to call after each."""

    def __init__(self, bar: Progress, what: str) -> None:
        self._bar, self._what = bar, what

    def say(self, what: str) -> None:
        """What comes now; how much of it is not known yet."""
        self._what = what
        self(0)

    def __call__(self, total: int) -> Callable[[], None]:
        for earlier in self._bar.task_ids:
            self._bar.remove_task(earlier)
        task = self._bar.add_task(self._what, total=total or None)
        return lambda: self._bar.advance(task)


@contextmanager
def counting(what: str) -> Iterator[Counter]:
    """A progress bar; says nothing where nobody looks."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    screen = notes()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        yield Counter(bar, what)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`256x192` -> (256, 192): height, then width."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)[xX×](\d+)", text.strip())
    if not found:
        raise BadInput(f"--size {text} is no size — give HEIGHTxWIDTH, for example 256x192")
    return int(found[1]), int(found[2])


def parse_bounds(text: str | None, each: Callable[[str], Any], name: str) -> tuple[Any, Any, Any] | None:
    """`1:4:16` -> what `each` makes of the three; one value alone stands for all three."""
    if text is None:
        return None
    parts = [each(part) for part in text.split(":")]
    if len(parts) not in (1, 3):
        raise BadInput(f"{name} {text} is no bound — give one value, or least, tuned for and most: MIN:OPT:MAX")
    return (parts * 3)[0], (parts * 3)[1], (parts * 3)[2]


def parse_count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise BadInput(f"{text!r} is no count — give a whole number from 1 on")
    return int(text)


def parse_factors(text: str) -> tuple[float, ...]:
    """`0.5,1` -> (0.5, 1.0)."""
    try:
        return tuple(float(part) for part in parse_list(text))
    except ValueError:
        raise BadInput(f"{text!r} is no list of factors — give numbers separated by commas, 0.5,1,1.5") from None


def parse_list(text: str) -> list[str]:
    return [t.strip() for t in text.split(",") if t.strip()]
