"""How a job reports its progress. A job gets one `Progress` object, and does not know where the progress is shown."""

from __future__ import annotations


class Progress:
    """Progress that is not shown: the base class, and the default of every job.

    A job calls `stage` when it begins something new and `advance` after each unit of it.
    """

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage. `total` is the number of its units, None if that is not known."""

    def advance(self, count: int = 1) -> None:
        """Report that this many more units of the stage are done."""


class NamedProgress(Progress):
    """Progress whose stages begin with the name of a network."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress = name, progress

    def stage(self, name: str, total: int | None = None) -> None:
        self._progress.stage(f"{self._name}: {name}", total)

    def advance(self, count: int = 1) -> None:
        self._progress.advance(count)


SILENT = Progress()
