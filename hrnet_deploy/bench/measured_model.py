"""One model in one engine, opened to be measured.

It runs in its own process and computes only while it answers a request. So rows can take turns: while one row is
measured, the others sleep.
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
from hrnet_deploy.graph.foreign.bare import random_inputs
from hrnet_deploy.results.base import EngineInfo
from hrnet_deploy.results.bench import LayerTime
from hrnet_deploy.tasks.base import CROPS, Feed, InputFormat, noise, task_of
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.samples import sample_images

INPUTS = 4  # distinct inputs in rotation: a cache must not see the same one twice in a row
REGIONS = ("compute", "end_to_end", "pipeline")
BARE_REMARK = "the file has no model card, so it was run on random inputs of its shapes"
STEADY_CALLS, STEADY_SPREAD = 12, 0.10  # times are steady once the last calls differ by no more than this share


@dataclass(frozen=True)
class MeasureSpec:
    """What to open and measure.

    Attributes:
        engine: with options, as on the command line.
        source: the file, or for PyTorch the checkpoint or random weights.
        input_format: what the file takes and gives.
        batch: images per inference.
        threads: for the engine.
    """

    engine: str
    source: Source
    input_format: InputFormat
    batch: int
    threads: int

    def open(self) -> MeasuredModel:
        return MeasuredModel(self)


@dataclass(frozen=True)
class Opened:
    """What was opened, and how much time and memory that took.

    Attributes:
        info: what the engine reports about itself, without its memory figures.
        device: "cpu" or "cuda".
        cold: seconds, by name.
        memory: bytes, by name: of the file, of the process before the model was opened and after the first inference,
            the peak in between, and what the engine reports for its device.
        regions: what can be measured.
        remark: what a reader must know to interpret the figures; may be empty.
    """

    info: EngineInfo
    device: str
    cold: Mapping[str, float]
    memory: Mapping[str, int]
    regions: tuple[str, ...]
    remark: str = ""


class MeasuredModel:
    """One model, opened in one engine. Its public methods are the requests."""

    def __init__(self, spec: MeasureSpec) -> None:
        self.spec = spec
        started = time.perf_counter()
        from hrnet_deploy.engines import ENGINES, open_engine, parse, require

        require(spec.engine)
        for module in ENGINES[parse(spec.engine)[0]].needs:
            importlib.import_module(module)
        imported = time.perf_counter()
        self._inputs = self._make_inputs()  # made before memory is counted, because they are not part of the model
        before = memory.resident()
        memory.reset_peak()
        opening = time.perf_counter()
        self.engine: Engine = open_engine(spec.engine, spec.source, spec.threads)
        opened = time.perf_counter()
        fixed = batch_of(self.engine)
        if fixed is not None and fixed != spec.batch:
            raise BadInput(
                f"the file takes batches of {fixed}, not {spec.batch} — export it with --batch {spec.batch} or "
                "--dynamic batch"
            )
        opening_first = time.perf_counter()
        outputs = self.engine.run(self._inputs[0])
        first = time.perf_counter()
        opened_from = spec.source.checkpoint if parse(spec.engine)[0] == "torch" else spec.source.file
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
        # The pipeline works image by image, so it never has several inferences in flight.
        self.regions = REGIONS if self.inferences == 1 and not self._bare else REGIONS[:2]

    @property
    def _bare(self) -> bool:
        """Whether this is a file without a card. It is run on random inputs of its shapes, and nothing is decoded."""
        return self.spec.source.given_card is None

    def _make_inputs(self) -> list[Feed]:
        source, batch = self.spec.source, self.spec.batch
        if self._bare:
            assert source.file is not None  # an ONNX file of another exporter
            return [random_inputs(source.file, batch, seed) for seed in range(INPUTS)]
        card = source.card
        if self.spec.input_format.embedded:
            shape = (INPUTS, batch, card.input.height, card.input.width, card.architecture.image_channels)
            return [{CROPS: x} for x in np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)]
        return [noise(card, batch, seed) for seed in range(INPUTS)]

    def _check_alive(self, first: Arrays) -> None:
        """Refuse a model whose outputs are not finite or do not depend on the input. Raises BadInput.

        The classes or boxes that another exporter's file gives may well be the same for two random inputs."""
        second = self.engine.run(self._inputs[1])
        for name, array in first.items():
            if not np.isfinite(array.astype(np.float64)).all():
                raise BadInput(
                    f"output {name} is not finite, so the model is broken — compare it with its checkpoint by "
                    "`hrnet-deploy check`"
                )
        if not self._bare and all(np.array_equal(first[n], second[n]) for n in first):
            raise BadInput(
                "the outputs are the same for different inputs, so the model is broken — compare it with its "
                "checkpoint "
                "by `hrnet-deploy check`"
            )

    def describe(self) -> Opened:
        """What was opened, and how much time and memory that took."""
        info = self.engine.info
        return Opened(
            info=dataclasses.replace(info, memory={}),  # the row has every figure of memory in one place
            device=self.engine.device,
            cold=self._cold,
            memory={**self._memory, **info.memory},
            regions=self.regions,
            remark=BARE_REMARK if self._bare else getattr(self.engine, "remark", ""),
        )

    def layers(self) -> list[LayerTime] | None:
        """Milliseconds of each layer, measured in separate runs; None if the engine cannot measure them."""
        layer_times = getattr(self.engine, "layer_times", None)
        return None if layer_times is None else list(layer_times(self._inputs[0]))

    def _call(self, region: str) -> Callable[[], object]:
        """A call that makes one inference of the batch on the next input in rotation. If the engine keeps several
        inferences in flight, the call makes that many."""
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
        task = task_of(self.spec.source.card, self.spec.input_format)
        spec = self.spec.source.card.input
        people = [
            (i.read(spec), Item(i.path, i.image_id, (a,))) for i in sample_images().items for a in i.annotations or ()
        ]
        people = [(image, item) for image, item in people if task.samples(image, item)]
        take = itertools.cycle(people)

        def one(batch: list[tuple[Any, Item]]) -> object:
            samples = [s for image, item in batch for s in task.samples(image, item)]
            return task.decode(run_samples(self.engine, [s.feed for s in samples]), samples)

        batches = [[next(take) for _ in range(self.spec.batch)] for _ in range(INPUTS)]
        return [lambda b=b: one(b) for b in batches]  # type: ignore[misc]

    def warm_up(self, region: str, floor: float, most: float) -> bool:
        """Run until times are steady, for at least `floor` and at most `most` seconds. Returns whether they became
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

        If a call makes several inferences, its time is divided by their number. The first call of a turn is not timed,
        because it wakes threads and fills caches that other rows have used in the meantime.
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
