"""Progress in the terminal: the stage, a bar, the count and the remaining time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hrnet_deploy.cli.app import notes
from hrnet_deploy.progress import SILENT, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


class TerminalProgress(Progress):
    """One line that shows the current stage. A stage of unknown length shows how long it has taken so far."""

    def __init__(self, counted: Bar, uncounted: Bar) -> None:
        self._counted, self._uncounted = counted, uncounted
        self._task: TaskID | None = None

    def stage(self, name: str, total: int | None = None) -> None:
        self.clear()
        if total:
            self._task = self._counted.add_task(name, total=total)
        else:
            self._uncounted.add_task(name, total=None)

    def advance(self, count: int = 1) -> None:
        if self._task is not None:
            self._counted.advance(self._task, count)

    def clear(self) -> None:
        """Show nothing until the next stage begins."""
        for bar in (self._counted, self._uncounted):
            for task in bar.task_ids:
                bar.remove_task(task)
        self._task = None


@contextmanager
def shown() -> Iterator[Progress]:
    """Progress on stderr. If stderr is not a terminal, nothing is shown."""
    screen = notes()
    if not screen.is_terminal:
        yield SILENT
        return
    from rich import progress as rich
    from rich.console import Group
    from rich.live import Live

    name = rich.TextColumn("{task.description}")
    counted = rich.Progress(
        name,
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("left"),
        console=screen,
    )
    uncounted = rich.Progress(rich.SpinnerColumn(), name, rich.TimeElapsedColumn(), console=screen)
    with Live(Group(counted, uncounted), console=screen, transient=True, refresh_per_second=10):
        yield TerminalProgress(counted, uncounted)
