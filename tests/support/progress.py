"""Progress that counts what a job reports."""

from __future__ import annotations

from collections import Counter

from hrnet_deploy.progress import Progress


class Counted(Progress):
    """Counts the units that were done, by the name of their stage. `stages` are the names in order."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.units = Counter[str]()

    def stage(self, name: str, total: int | None = None) -> None:
        self.stages.append(name)

    def advance(self, count: int = 1) -> None:
        self.units[self.stages[-1]] += count
