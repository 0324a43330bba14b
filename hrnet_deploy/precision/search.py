"""Which parts of a network may be integers: graphs tried on images, and what each block costs alone."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
from numpy.typing import NDArray

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Arrays, Engine, Source, run_rows
from hrnet_deploy.graph import backbone
from hrnet_deploy.graph import quantize as graph
from hrnet_deploy.graph.calibrate import with_outputs
from hrnet_deploy.graph.metadata import save_model
from hrnet_deploy.graph.ranges import Range
from hrnet_deploy.parity import TensorComparison, as_figures, compare_on_images, judge
from hrnet_deploy.results.figures import Budget, Check, TaskFigures, all_passed
from hrnet_deploy.tasks.base import Feed, Task
from hrnet_deploy.workflow.findings import SavedFindings
from hrnet_deploy.workflow.split import Parts

Say = Callable[[str], None]
Progress = Callable[[int], Callable[[], None]]
On = Literal["validation", "test"]  # images: those a search chooses by, or those that nothing was chosen by


@dataclass(frozen=True)
class Block:
    """What quantizing one part of the network alone costs where the network ends: signal to quantization noise in dB."""

    pattern: str
    convolutions: int
    sqnr_db: float


@dataclass(frozen=True)
class Trial:
    """One graph: what stayed in float, and how the rest does on images, of which `on` says what part they play."""

    excluded: Sequence[str]
    convolutions: int
    figures: TaskFigures
    checks: Sequence[Check]
    on: On = "test"

    @property
    def passed(self) -> bool:
        return all_passed(self.checks)


@dataclass(frozen=True)
class Recipe:
    """How a float graph becomes an int8 one, but for what is excluded."""

    model: onnx.ModelProto
    target: graph.Target
    ranges: Mapping[str, Range]
    reduced: bool
    left: Sequence[str] = ()  # operators in float in any case

    def placement(self, excluded: Collection[str]) -> graph.Placement:
        return graph.place(self.model, self.target, [*excluded, *self.left])

    def made(self, excluded: Collection[str]) -> onnx.ModelProto:
        return graph.quantize(self.model, self.target, self.placement(excluded), self.ranges, self.reduced)


class Workbench:
    """A float model opened, and whatever graph is made of it, in a folder of their own."""

    def __init__(self, folder: Path, model: onnx.ModelProto, card: ModelCard, threads: int | None) -> None:
        self.folder, self.model, self.card, self.threads = folder, model, card, threads
        self.reference = self.opened(model, "reference")

    def opened(self, model: onnx.ModelProto, name: str) -> Engine:
        path = self.folder / f"{name}.onnx"
        save_model(model, path)
        return open_engine("ort", Source(self.card, path), self.threads)

    def tapped(self, names: Sequence[str], model: onnx.ModelProto | None = None) -> Callable[[Feed], list[NDArray]]:
        """What gives those tensors of a model, the float one unless given, for an input."""
        engine = self.opened(with_outputs(model or self.model, names), "tapped")

        def run(feed: Feed) -> list[NDArray]:
            outputs: Arrays = {**run_rows(engine, feed), **feed}
            return [outputs[n] for n in names]

        return run


class Search:
    """Everything quantized; where that is too much and a drop is asked for, ever more of the worst blocks in float.

    A search chooses by `parts.validation`, and what it has chosen is judged once on `parts.test`. Trials and blocks are
    noted, by what the graphs hold, so that a search goes on where it was interrupted.
    """

    def __init__(
        self,
        bench: Workbench,
        recipe: Recipe,
        task: Task,
        parts: Parts,
        budget: Budget,
        notes: SavedFindings,
        say: Say,
        progress: Progress,
    ) -> None:
        self.bench, self.recipe, self.task, self.parts, self.budget = bench, recipe, task, parts, budget
        self.notes, self.say, self.progress = notes, say, progress
        self._of = {"parent": _digest(bench.model), "task": [type(task).__qualname__, task.protocol()]}

    def trial(self, excluded: Sequence[str], on: On) -> Trial:
        """One graph against the float one."""
        dataset = getattr(self.parts, on)
        made = self.recipe.made(excluded)

        def find() -> dict[str, Any]:
            self.say(f"judging on {len(dataset)} images")
            engine = self.bench.opened(made, "candidate")
            tick = self.progress(len(dataset))
            return dataclasses.asdict(
                compare_on_images(self.bench.reference, self.task, engine, self.task, dataset, tick)
            )

        found = self.notes.once({**self._of, "trial": _digest(made), "images": dataset.digest}, find)
        figures = as_figures(found)
        convolutions = len(self.recipe.placement(excluded).weighted)
        return Trial(tuple(excluded), convolutions, figures, judge(self.budget, [], figures), on)

    def blocks(self, excluded: Sequence[str], probes: Sequence[Feed]) -> list[Block]:
        """Each block quantized alone, held against the float model on the probes; in the order of the network."""
        self.say("looking for what costs most")
        names = [graph.block_of(n) for n in self.recipe.placement(excluded).weighted]
        patterns = list(dict.fromkeys(names))
        inputs = hashlib.sha256(b"".join(v.tobytes() for p in probes for v in p.values())).hexdigest()
        tick = self.progress(len(patterns))
        wanted = self._at_ends(self.bench.model, probes)
        found = []
        for pattern in patterns:
            made = self.recipe.made([*excluded, *(p for p in patterns if p != pattern)])
            key = {**self._of, "block": _digest(made), "inputs": inputs}
            sqnr = self.notes.once(key, functools.partial(self._sqnr, made, probes, wanted))
            found.append(Block(pattern, names.count(pattern), sqnr))
            tick()
        return found

    def _at_ends(self, made: onnx.ModelProto, probes: Sequence[Feed]) -> list[list[list[NDArray]]]:
        """The tensors in which a network ends, for each probe: those of the input, then those of regions."""
        inputs, regions = backbone.backbone_outputs(self.bench.model)
        run = self.bench.tapped([*inputs, *regions], made)
        given = [run(p) for p in probes]
        return [[g[: len(inputs)] for g in given], [g[len(inputs) :] for g in given]]

    def _sqnr(
        self, made: onnx.ModelProto, probes: Sequence[Feed], wanted: Sequence[Sequence[Sequence[NDArray]]]
    ) -> float:
        """Over all tensors the network ends in together, in dB; infinite where nothing differs. What is said of regions counts
        only where they are the same regions, as they are where nothing before differs."""
        for want, got in zip(wanted, self._at_ends(made, probes), strict=True):
            sums = TensorComparison()
            for a, b in zip(want, got, strict=True):
                for x, y in zip(a, b, strict=True):
                    sums.add(x, y)
            sqnr = sums.figures("", "").sqnr_db
            if sqnr is not None:
                return sqnr
        return float("inf")

    def run(
        self, exclude: Sequence[str], searching: bool, probes: Sequence[Feed], table: bool
    ) -> tuple[list[Trial], list[Block]]:
        """Every trial, the verdict last where a search came to one; and the blocks, where `table` asks for them or
        something failed."""
        if not searching:
            trials = [self.trial(exclude, "test")]
            return trials, self.blocks(exclude, probes) if table or not trials[0].passed else []
        trials = [self.trial(exclude, "validation")]
        blocks = self.blocks(exclude, probes) if table or not trials[0].passed else []
        more = self._more(exclude, blocks)
        while not trials[-1].passed and (excluded := next(more, None)):
            trials.append(self.trial(excluded, "validation"))
        if trials[-1].passed:
            trials.append(self.trial(trials[-1].excluded, "test"))
            if not trials[-1].passed and not blocks:
                blocks = self.blocks(exclude, probes)
        return trials, blocks

    def _more(self, exclude: Sequence[str], blocks: Sequence[Block]) -> Iterator[Sequence[str]]:
        """The worst 1, 2, 3, 5, 8, ... blocks, and never all."""
        patterns = [b.pattern for b in worst_first(blocks)]
        count, following = 1, 2
        while count < len(patterns):
            yield [*exclude, *patterns[:count]]
            count, following = following, count + following


def worst_first(blocks: Sequence[Block]) -> list[Block]:
    return sorted(blocks, key=lambda b: b.sqnr_db)


def _digest(model: onnx.ModelProto) -> str:
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
