"""The process that measures one row. It does what it is told over a pipe and nothing in between, so that rows can
take turns: while one measures, the others sleep."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np

from hrnet_deploy.bench import memory
from hrnet_deploy.engines.base import Arrays, Engine, Source, batch_of, run_all, run_samples
from hrnet_deploy.errors import BadInput, DeployError
from hrnet_deploy.results.bench import LayerTime
from hrnet_deploy.tasks.base import CROPS, Contract, Feed, noise, task_of
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.samples import sample_images

INPUTS = 4  # distinct inputs in rotation: a cache must not see the same one twice in a row
REGIONS = ("compute", "end_to_end", "pipeline")
STEADY_WINDOW, STEADY_SPREAD = 12, 0.10


@dataclass(frozen=True)
class Job:
    """What a row is."""

    engine: str
    source: Source
    contract: Contract
    batch: int
    threads: int

    def opened(self) -> Row:
        return Row(self)


class Opens(Protocol):
    """What a worker is started with: it opens itself there, and the methods of what it gives are the requests."""

    def opened(self) -> Any: ...


def serve(pipe: Connection, job: Opens) -> None:
    """Answer ("ok", value) or ("error", sentence, exit code) to each request until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent answers for it
    try:
        row = job.opened()
    except BaseException as error:
        _send_error(pipe, error)
        return
    while True:
        try:
            name, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("ok", getattr(row, name)(*arguments)))
        except BaseException as error:
            _send_error(pipe, error)


def _send_error(pipe: Connection, error: BaseException) -> None:
    code = error.exit_code if isinstance(error, DeployError) else 1
    sentence = str(error) if isinstance(error, DeployError) else f"{type(error).__name__}: {str(error)[:200]}"
    pipe.send(("error", sentence, code))


class Row:
    """One engine with one model, opened. Its methods are the requests."""

    def __init__(self, job: Job) -> None:
        self.job = job
        started = time.perf_counter()
        from hrnet_deploy.engines import ENGINES, open_engine, parse, require

        require(job.engine)
        for module in ENGINES[parse(job.engine)[0]].needs:
            importlib.import_module(module)
        imported = time.perf_counter()
        self.feeds = self._feeds()  # the harness's own, so they are there before memory is counted
        before = memory.resident()
        memory.reset_peak()
        opening = time.perf_counter()
        self.engine: Engine = open_engine(job.engine, job.source, job.threads)
        opened = time.perf_counter()
        fixed = batch_of(self.engine)
        if fixed is not None and fixed != job.batch:
            raise BadInput(
                f"the file takes batches of {fixed}, not {job.batch} — export it with --batch {job.batch} or --dynamic batch"
            )
        opening_first = time.perf_counter()
        outputs = self.engine.run(self.feeds[0])
        first = time.perf_counter()
        opened_from = job.source.checkpoint if parse(job.engine)[0] == "torch" else job.source.file
        self._memory = {
            "file": opened_from.stat().st_size if opened_from else 0,
            "rss_before_open": before,
            "rss": memory.resident(),
            "peak_rss_over_before": max(0, memory.peak() - before),
        }
        self.cold = {
            "import_s": imported - started,
            "open_s": opened - opening,
            "first_inference_s": first - opening_first,
        }
        self._check_alive(outputs)
        self.calls: dict[str, Callable[[], object]] = {}
        self.inferences = self.engine.info.inferences_per_call
        # a pipeline goes image by image, which is not what keeping several in flight is for
        self.regions = REGIONS if self.inferences == 1 else REGIONS[:2]

    def _feeds(self) -> list[Feed]:
        card, batch = self.job.source.card, self.job.batch
        if self.job.contract.embedded:
            shape = (INPUTS, batch, card.input.height, card.input.width, 3)
            return [{CROPS: x} for x in np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)]
        return [noise(card, batch, seed) for seed in range(INPUTS)]

    def _check_alive(self, first: Arrays) -> None:
        """Time nothing whose outputs are not numbers, or do not depend on the input."""
        second = self.engine.run(self.feeds[1])
        for name, array in first.items():
            if not np.isfinite(array.astype(np.float64)).all():
                raise BadInput(f"output {name} is not finite — the model is broken; check it before measuring it")
        if all(np.array_equal(first[n], second[n]) for n in first):
            raise BadInput(
                "the outputs are the same for different inputs — the model is dead; check it before measuring it"
            )

    def describe(self) -> dict[str, Any]:
        """What was opened, what opening it took, and bytes: of the file, before it was opened, after the first
        inferences, and the most in between."""
        info = self.engine.info
        memory = {**self._memory, **info.memory}
        info = dataclasses.replace(info, memory={})  # the row has every figure of memory in one place
        return {"info": info, "device": self.engine.device, "cold": self.cold, "memory": memory}

    def offers(self) -> tuple[str, ...]:
        """The regions that can be measured."""
        return self.regions

    def layers(self) -> list[LayerTime] | None:
        """Milliseconds of each layer, in runs of their own; None where the engine cannot tell."""
        told = getattr(self.engine, "layer_times", None)
        return None if told is None else list(told(self.feeds[0]))

    def _call(self, region: str) -> Callable[[], object]:
        """One inference of the batch, its input the next in rotation; as many as the engine keeps in flight."""
        if region not in self.calls:
            if region == "compute":
                each: list[Callable[[], object]] = [self.engine.bind(f) for f in self.feeds]
            elif region == "end_to_end":
                each = [lambda f=f: run_all(self.engine, [f] * self.inferences) for f in self.feeds]  # type: ignore[misc]
            else:
                each = self._pipelines()
            turn = itertools.cycle(each)
            self.calls[region] = lambda: next(turn)()
        return self.calls[region]

    def _pipelines(self) -> list[Callable[[], object]]:
        """From uint8 frames, a box each, to decoded results of the batch."""
        task = task_of(self.job.source.card, self.job.contract)
        people = [
            (i.read(), Item(i.path, i.image_id, (a,))) for i in sample_images().items for a in i.annotations or ()
        ]
        people = [(image, item) for image, item in people if task.samples(image, item)]
        take = itertools.cycle(people)

        def one(batch: list[tuple[Any, Item]]) -> object:
            samples = [s for image, item in batch for s in task.samples(image, item)]
            return task.decode(run_samples(self.engine, [s.feed for s in samples]), samples)

        batches = [[next(take) for _ in range(self.job.batch)] for _ in range(INPUTS)]
        return [lambda b=b: one(b) for b in batches]  # type: ignore[misc]

    def warm_up(self, region: str, floor: float, most: float) -> bool:
        """Run until times are steady, at least `floor` seconds and at most `most`; whether they became so."""
        call, started = self._call(region), time.perf_counter()
        times: list[float] = []
        while True:
            begin = time.perf_counter()
            call()
            now = time.perf_counter()
            times.append(now - begin)
            recent = np.array(times[-STEADY_WINDOW:])
            low, middle, high = np.quantile(recent, [0.1, 0.5, 0.9])
            steady = len(times) >= STEADY_WINDOW and (high - low) / middle < STEADY_SPREAD
            if now - started >= floor and (steady or now - started >= most):
                return bool(steady)

    def measure(self, region: str, seconds: float, least: int) -> list[float]:
        """Milliseconds of each call for about `seconds`, at least `least` calls, shared out among its inferences. The
        first call of a turn, which wakes threads and caches that others used meanwhile, is not timed."""
        call = self._call(region)
        times: list[float] = []
        call()
        end = time.perf_counter() + seconds
        while len(times) < least or time.perf_counter() < end:
            begin = time.perf_counter_ns()
            call()
            times.append((time.perf_counter_ns() - begin) / 1e6 / self.inferences)
        return times


if __name__ == "__main__":
    sys.exit("this module is the worker of hrnet_deploy.bench.run")
