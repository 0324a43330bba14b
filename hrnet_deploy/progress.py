"""How a job says what it is doing. A job is given one object and never asks where it is shown."""

from __future__ import annotations


class Progress:
    """Progress that nobody looks at: the base class, and what a job uses unless it is given another.

    A job calls `stage` when it begins something new and `advance` after each unit of it.
    """

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage. `total` is how many units it has, None where that is not known."""

    def advance(self, count: int = 1) -> None:
        """So many more units of the stage are done."""


SILENT = Progress()
