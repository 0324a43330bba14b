"""Measures rows side by side. Each row runs in its own process, and the rows take turns, so that a change of the
machine's speed affects all of them alike."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hrnet_deploy.bench.launcher import LOCAL, Launcher, Session
from hrnet_deploy.bench.machine import Machine
from hrnet_deploy.bench.measured_model import REGIONS, Opened
from hrnet_deploy.bench.rows import RowAndSpec
from hrnet_deploy.errors import BadInput, DeployError, Unavailable
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.bench import BenchResult, BenchRow, LayerTime, Region


@dataclass(frozen=True)
class Schedule:
    """How long and how often rows are measured.

    Attributes:
        seconds: measured time of each row in each region, over all rounds.
        rounds: how many turns each row takes.
        warm_up, warm_up_most: the least and the most seconds of a warm-up. In between it ends once times are steady.
        least: the fewest calls in a round, however long they take.
        regions: what is measured, by name.
        layers: whether the time of each layer is measured too, in engines that can measure it.
    """

    seconds: float = 5.0
    rounds: int = 12
    warm_up: float = 0.5
    warm_up_most: float = 5.0
    least: int = 3
    regions: Sequence[str] = field(default_factory=lambda: REGIONS)
    layers: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise BadInput(f"a row cannot be measured for {self.seconds:g} seconds — give a number over 0")
        if self.rounds < 1:
            raise BadInput(f"a row cannot take {self.rounds} turns — give 1 or more")


class _Turns:
    """One row while it is measured. A request that fails marks the row and ends its worker. Other rows continue."""

    def __init__(self, row: BenchRow, session: Session) -> None:
        self.row, self._session = row, session
        self.alive = True
        self.offers: Sequence[str] = ()
        self._times: dict[str, list[list[float]]] = {}
        self._steady: dict[str, bool] = {}

    def open(self) -> None:
        opened: Opened | None = self._send("describe")
        if opened is None:
            return
        self.offers = opened.regions
        self.row = dataclasses.replace(
            self.row,
            info=opened.info,
            device=opened.device,
            cold=opened.cold,
            memory=opened.memory,
            precision=opened.info.precision or self.row.precision,  # an engine may compute below the file's precision
            remark="; ".join(filter(None, (opened.remark, self.row.remark))),
        )

    def warm_up(self, region: str, schedule: Schedule) -> None:
        self._steady[region] = bool(self._send("warm_up", region, schedule.warm_up, schedule.warm_up_most))

    def measure(self, region: str, schedule: Schedule) -> None:
        samples = self._send("measure", region, schedule.seconds / schedule.rounds, schedule.least)
        if samples is not None:
            self._times.setdefault(region, []).append(samples)

    def time_layers(self) -> None:
        layers: Sequence[LayerTime] | None = self._send("layers")
        if layers:
            self.row = dataclasses.replace(self.row, layers=layers)

    def _send(self, request: str, *arguments: Any) -> Any:
        """The answer; None if the worker has failed, now or before."""
        if not self.alive:
            return None
        try:
            return self._session.call(request, *arguments)
        except DeployError as error:
            status: Any = "unavailable" if isinstance(error, Unavailable) else "failed"
            self.row = dataclasses.replace(self.row, status=status, reason=str(error))
            self.close()
            return None

    def close(self) -> None:
        if self.alive:
            self.alive = False
            self._session.close()

    def measured(self) -> BenchRow:
        """The row with its measurements."""
        if self.row.status != "ok":
            return self.row
        regions = {n: Region(rounds, self._steady[n]) for n, rounds in self._times.items()}
        return dataclasses.replace(self.row, regions=regions)


def run(
    rows: Iterable[RowAndSpec],
    schedule: Schedule,
    progress: Progress = SILENT,
    machine: Machine | None = None,
    launcher: Launcher = LOCAL,
) -> BenchResult:
    """Measure rows in turns.

    A row without a spec already says why it cannot be measured. A row that fails says why, and the others continue.

    Args:
        rows: see `rows.row_of`.
        schedule: how long and how often.
        progress: is notified of each stage and of the number of its units.
        machine: where to run. Unless given, one is opened with `launcher`.
        launcher: starts the workers if no machine is given.
    """
    if machine is None:
        with Machine(launcher) as opened:
            return run(rows, schedule, progress, opened)
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    before = machine.load_average()
    rows = list(rows)
    turns: dict[int, _Turns] = {}
    try:
        progress.stage("opening models", sum(spec is not None for _, spec in rows))
        for index, (row, spec) in enumerate(rows):
            if spec is not None:
                turns[index] = _Turns(row, machine.launcher.start(spec))
                turns[index].open()
                progress.advance()
        for region in schedule.regions:
            _measure_region(region, [t for t in turns.values() if region in t.offers], schedule, progress)
        if schedule.layers:
            progress.stage("timing layers", len(turns))
            for each in turns.values():
                each.time_layers()
                progress.advance()
    finally:
        for each in turns.values():
            each.close()
    measured = [turns[i].measured() if i in turns else row for i, (row, _) in enumerate(rows)]
    return BenchResult(
        rows=measured,
        environment=machine.environment(),
        started=started,
        load_before=before,
        load_after=machine.load_average(),
    )


def _measure_region(region: str, rows: Sequence[_Turns], schedule: Schedule, progress: Progress) -> None:
    """Warm every row up, then let the rows take turns. Every other round is in reverse order."""
    progress.stage(f"warming up, {region}", len(rows))
    for each in rows:
        each.warm_up(region, schedule)
        progress.advance()
    progress.stage(f"measuring, {region}", schedule.rounds * len(rows))
    for turn in range(schedule.rounds):
        for each in rows if turn % 2 == 0 else rows[::-1]:
            each.measure(region, schedule)
            progress.advance()
