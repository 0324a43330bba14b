"""Rows measured side by side: each in a process of its own, taking turns, so that a machine that drifts drifts for
all of them alike."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import multiprocessing
import multiprocessing.connection
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hrnet_deploy.bench.environment import environment, load_average
from hrnet_deploy.bench.worker import REGIONS, Job, Opens, serve
from hrnet_deploy.errors import DeployError, Unavailable
from hrnet_deploy.results.bench import BenchResult, BenchRow, Region, Status

Say = Callable[[str], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how often. seconds: measured time a row and region; a round is one turn of every row."""

    seconds: float = 5.0
    rounds: int = 12
    warm_up: float = 0.5
    warm_up_most: float = 5.0
    least: int = 3
    regions: Sequence[str] = field(default_factory=lambda: REGIONS)
    layers: bool = False  # the time of each layer too, where an engine can tell


class Worker:
    """The parent's end of one row. It waits on the pipe and on the process itself; it never polls."""

    def __init__(self, job: Opens) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, name: str, *arguments: Any) -> Any:
        """The answer of the worker. Raises what the worker raised, or what its death means."""
        with contextlib.suppress(OSError):  # where it has gone, what it left in the pipe or its exit code says why
            self._pipe.send((name, *arguments))
        ready = multiprocessing.connection.wait([self._pipe, self._process.sentinel])
        if self._pipe not in ready and not self._pipe.poll():
            raise DeployError(self._how_it_died())
        try:
            kind, *answer = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise DeployError(self._how_it_died()) from None
        if kind == "ok":
            return answer[0]
        sentence, code = answer
        raise Unavailable(sentence) if code == Unavailable.exit_code else DeployError(sentence)

    def _how_it_died(self) -> str:
        self._process.join(5)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"the measuring process was killed by signal {-code} (out of memory?)"
        return f"the measuring process ended unasked (exit code {code})"

    def close(self) -> None:
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def run(
    rows: Sequence[tuple[BenchRow, Job | None]], plan: Schedule, command: str, say: Say = lambda _: None
) -> BenchResult:
    """Measure rows. A row without a job says why already; a row that fails says why and the rest goes on."""
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    before = load_average()
    done: list[BenchRow] = [row for row, _ in rows]
    workers: dict[int, Worker] = {}
    times: dict[int, dict[str, list[list[float]]]] = {}
    steady: dict[int, dict[str, bool]] = {}
    offers: dict[int, Sequence[str]] = {}

    def attempt(index: int, name: str, *arguments: Any) -> Any:
        """The worker's answer; or None, the row marked and its worker gone."""
        try:
            return workers[index].ask(name, *arguments)
        except DeployError as error:
            status: Status = "unavailable" if isinstance(error, Unavailable) else "failed"
            done[index] = dataclasses.replace(done[index], status=status, reason=str(error))
            workers.pop(index).close()
            return None

    try:
        for index, (row, job) in enumerate(rows):
            if job is None:
                continue
            say(f"opening {row.title}")
            workers[index] = Worker(job)
            opened = attempt(index, "describe")
            if opened is not None:
                precision = opened["info"].precision or row.precision
                done[index] = dataclasses.replace(row, **opened, precision=precision)
                times[index], steady[index], offers[index] = {}, {}, attempt(index, "offers") or ()
        for region in plan.regions:
            for index in [i for i in workers if region in offers[i]]:
                say(f"warming up {done[index].title}, {region}")
                steady[index][region] = attempt(index, "warm_up", region, plan.warm_up, plan.warm_up_most)
            for turn in range(plan.rounds):
                say(f"measuring {region}, round {turn + 1} of {plan.rounds}")
                order = [i for i in workers if region in offers[i]]
                for index in order if turn % 2 == 0 else order[::-1]:
                    samples = attempt(index, "measure", region, plan.seconds / plan.rounds, plan.least)
                    if samples is not None:
                        times[index].setdefault(region, []).append(samples)
        for index in list(workers) if plan.layers else ():
            say(f"timing the layers of {done[index].title}")
            if layers := attempt(index, "layers"):
                done[index] = dataclasses.replace(done[index], layers=layers)
    finally:
        for worker in workers.values():
            worker.close()
    measured = [
        dataclasses.replace(row, regions={n: Region(r, steady[i][n]) for n, r in times[i].items()})
        if row.status == "ok" and i in times
        else row
        for i, row in enumerate(done)
    ]
    return BenchResult(
        rows=measured,
        environment=environment(),
        command=command,
        started=started,
        load_before=before,
        load_after=load_average(),
    )
