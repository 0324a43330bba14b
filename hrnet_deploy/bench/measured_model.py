"""One model in one engine, opened to be measured.

It runs in a process of its own and works only while it answers a request, so that rows can take turns: while one
measures, the others sleep.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_deploy.bench import memory
from hrnet_deploy.engines.base import Arrays, Engine, Source, batch_of, run_all, run_samples
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import EngineInfo
from hrnet_deploy.results.bench import LayerTime
from hrnet_deploy.tasks.base import CROPS, Contract, Feed, noise, task_of
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.samples import sample_images

INPUTS = 4  # distinct inputs in rotation: a cache must not see the same one twice in a row
REGIONS = ("compute", "end_to_end", "pipeline")
STEADY_CALLS, STEADY_SPREAD = 12, 0.10  # times are steady once the last calls differ by no more than this share


@dataclass(frozen=True)
class MeasureJob:
    """What to open and measure.

    Attributes:
        engine: with options, as on the command line.
        source: the file, or for PyTorch the checkpoint or random weights.
        contract: how the file is fed.
        batch: images per inference.
        threads: for the engine.
    """

    engine: str
    source: Source
    contract: Contract
    batch: int
    threads: int

    def open(self) -> MeasuredModel:
        return MeasuredModel(self)


@dataclass(frozen=True)
class Opened:
    """What was opened and what that took.

    Attributes:
        info: what the engine says of itself, without its figures of memory.
        device: "cpu" or "cuda".
        cold: seconds, by name.
        memory: bytes, by name: of the file, of the process before the model was opened and after the first inference,
            the most in between, and what the engine says of its device.
        regions: what can be measured.
        remark: what a reader must know to read the figures; empty where there is nothing.
    """

    info: EngineInfo
    device: str
    cold: Mapping[str, float]
    memory: Mapping[str, int]
    regions: tuple[str, ...]
    remark: str = ""


class MeasuredModel:
    """One model, opened in one engine. Its public methods are the requests."""

    def __init__(self, job: MeasureJob) -> None:
        self.job = job
        started = time.perf_counter()
        from hrnet_deploy.engines import ENGINES, open_engine, parse, require

        require(job.engine)
        for module in ENGINES[parse(job.engine)[0]].needs:
            importlib.import_module(module)
        imported = time.perf_counter()
        self._inputs = self._make_inputs()  # made before memory is counted, because they are not the model's
        before = memory.resident()
        memory.reset_peak()
        opening = time.perf_counter()
        self.engine: Engine = open_engine(job.engine, job.source, job.threads)
        opened = time.perf_counter()
        fixed = batch_of(self.engine)
        if fixed is not None and fixed != job.batch:
            raise BadInput(
                f"the file takes batches of {fixed}, not {job.batch} — export it with --batch {job.batch} or "
                "--dynamic batch"
            )
        opening_first = time.perf_counter()
        outputs = self.engine.run(self._inputs[0])
        first = time.perf_counter()
        opened_from = job.source.checkpoint if parse(job.engine)[0] == "torch" else job.source.file
        self._memory = {
            "file": opened_from.stat().st_size if opened_from else 0,
            "rss_before_open": before,
            "rss": memory.resident(),
            "peak_rss_over_before": max(0, memory.peak() - before),
        }
        self._cold = {
            "import_s": imported - started,
            "open_s": opened - opening,
            "first_inference_s": first - opening_first,
        }
        self._check_alive(outputs)
        self.calls: dict[str, Callable[[], object]] = {}
        self.inferences = self.engine.info.inferences_per_call
        # The pipeline goes image by image, so that nothing would be in flight together.
        self.regions = REGIONS if self.inferences == 1 else REGIONS[:2]

    def _make_inputs(self) -> list[Feed]:
        card, batch = self.job.source.card, self.job.batch
        if self.job.contract.embedded:
            shape = (INPUTS, batch, card.input.height, card.input.width, 3)
            return [{CROPS: x} for x in np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)]
        return [noise(card, batch, seed) for seed in range(INPUTS)]

    def _check_alive(self, first: Arrays) -> None:
        """Refuse a model whose outputs are not finite or do not depend on the input. Raises BadInput."""
        second = self.engine.run(self._inputs[1])
        for name, array in first.items():
            if not np.isfinite(array.astype(np.float64)).all():
                raise BadInput(f"output {name} is not finite — the model is broken; check it before measuring it")
        if all(np.array_equal(first[n], second[n]) for n in first):
            raise BadInput(
                "the outputs are the same for different inputs — the model is dead; check it before measuring it"
            )

    def describe(self) -> Opened:
        """What was opened, and what that took."""
        info = self.engine.info
        return Opened(
            info=dataclasses.replace(info, memory={}),  # the row has every figure of memory in one place
            device=self.engine.device,
            cold=self._cold,
            memory={**self._memory, **info.memory},
            regions=self.regions,
            remark=getattr(self.engine, "remark", ""),
        )

    def layers(self) -> list[LayerTime] | None:
        """Milliseconds of each layer, in runs of their own; None where the engine cannot tell."""
        layer_times = getattr(self.engine, "layer_times", None)
        return None if layer_times is None else list(layer_times(self._inputs[0]))

    def _call(self, region: str) -> Callable[[], object]:
        """A call that makes one inference of the batch on the next input in rotation, or as many inferences as the
        engine keeps in flight together."""
        if region not in self.calls:
            if region == "compute":
                each: list[Callable[[], object]] = [self.engine.bind(f) for f in self._inputs]
            elif region == "end_to_end":
                each = [lambda f=f: run_all(self.engine, [f] * self.inferences) for f in self._inputs]  # type: ignore[misc]
            else:
                each = self._pipelines()
            turn = itertools.cycle(each)
            self.calls[region] = lambda: next(turn)()
        return self.calls[region]

    def _pipelines(self) -> list[Callable[[], object]]:
        """From uint8 images with one box each to the decoded results of a batch."""
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
        """Run until times are steady, for at least `floor` and at most `most` seconds. True where they became
        steady."""
        call, started = self._call(region), time.perf_counter()
        times: list[float] = []
        while True:
            begin = time.perf_counter()
            call()
            now = time.perf_counter()
            times.append(now - begin)
            recent = np.array(times[-STEADY_CALLS:])
            low, middle, high = np.quantile(recent, [0.1, 0.5, 0.9])
            steady = len(times) >= STEADY_CALLS and (high - low) / middle < STEADY_SPREAD
            if now - started >= floor and (steady or now - started >= most):
                return bool(steady)

    def measure(self, region: str, seconds: float, least: int) -> list[float]:
        """Milliseconds per inference of each call, for about `seconds` and at least `least` calls.

        A call that makes several inferences counts with its share. The first call of a turn is not timed, because it
        wakes threads and fills caches that other rows have used meanwhile.
        """
        call = self._call(region)
        times: list[float] = []
        call()
        end = time.perf_counter() + seconds
        while len(times) < least or time.perf_counter() < end:
            begin = time.perf_counter_ns()
            call()
            times.append((time.perf_counter_ns() - begin) / 1e6 / self.inferences)
        return times
