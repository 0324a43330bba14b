"""Progress that counts what a job reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable


class Counted:
    """Progress that counts what was done, by what was said of it last."""

    def __init__(self) -> None:
        self.said, self.ticks = "", Counter[str]()

    def say(self, what: str) -> None:
        self.said = what

    def __call__(self, total: int) -> Callable[[], None]:
        stage = self.said

        def tick() -> None:
            self.ticks[stage] += 1

        return tick
