"""Checkpoint to a simplified, verified, self-describing ONNX file."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_deploy.architecture import require_same, with_known
from hrnet_deploy.cards import ModelCard, card
from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.files import atomic_write, check_output
from hrnet_deploy.parity import budget_for, compare_on_images, compare_tensors, judge
from hrnet_deploy.results.figures import Check, TaskFigures, TensorFigures, all_passed
from hrnet_deploy.tasks.base import Contract, embedding_of, noise, task_of
from hrnet_deploy.tasks.registry import task_entry

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from hrnet_deploy.checkpoints import Checkpoint
    from hrnet_deploy.engines.base import Source
    from hrnet_deploy.graph.metadata import Description
    from hrnet_deploy.tasks.dataset import Dataset

Say = Callable[[str], None]
IMAGES = 8  # real images a verification looks at


@dataclass(frozen=True)
class ExportOptions:
    """What a graph is to be. `size` None is the card's; with `flip_test` an embedded graph averages in the mirror;
    `align_corners` says how a segmentation network upsamples, where its source is known better than the tensors tell."""

    size: tuple[int, int] | None = None
    batch: int = 1
    dynamic: Collection[str] = ()
    opset: int | None = None
    exporter: str = "dynamo"
    simplify: bool = True
    embed: bool = False
    flip_test: bool = False
    align_corners: bool | None = None


@dataclass(frozen=True)
class Exported:
    """What was written and how it compares with PyTorch."""

    path: Path
    summary: str
    description: Description
    tensors: Sequence[TensorFigures]
    task: TaskFigures
    checks: Sequence[Check]
    engine: dict[str, Any]  # what it was verified on
    assumption: str = ""

    @property
    def passed(self) -> bool:
        return all_passed(self.checks)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "kind": "export",
            "passed": self.passed,
            "path": str(self.path),
            "summary": self.summary,
            "assumption": self.assumption,
            "card": self.description.card.name,
            "input_size": self.description.card.input.size,
            "history": list(self.description.history),
            "provenance": dict(self.description.provenance),
            "tensors": [dataclasses.asdict(t) for t in self.tensors],
            "task": dataclasses.asdict(self.task),
            "engine": self.engine,
            "checks": [dataclasses.asdict(c) for c in self.checks],
        }


def export(
    checkpoint: str,
    output: Path,
    options: ExportOptions,
    images: Path | None = None,
    card_name: str = "",
    force: bool = False,
    say: Say = lambda _: None,
) -> Exported:
    """Export a checkpoint file, or the weights of a card that comes with some. The file is written also where
    verification fails, marked so, for somebody to look into."""
    from hrnet_deploy import checkpoints
    from hrnet_deploy.engines.base import Source
    from hrnet_deploy.graph.metadata import describe, save_model
    from hrnet_deploy.tasks.dataset import load_dataset
    from hrnet_deploy.tasks.samples import sample_images

    check_output(output, force)
    need("torch", "export")
    dataset = load_dataset(images, limit=IMAGES) if images else sample_images()
    dataset = dataset.unjudged()  # a handful says nothing of a metric; `check` scores a dataset
    say("reading the checkpoint")
    found = _with_given_facts(checkpoints.load(checkpoint), card_name, options)
    chosen = _card(found, card_name, options)
    model, description = export_network(found.network(), chosen, options, {"checkpoint": found.sha256}, say)
    say("verifying against PyTorch")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "graph.onnx")
        save_model(model, path)
        source = Source(chosen, path, found.path)
        tensors, task, checks, engine = verify(source, description, dataset)
    verified = all_passed(checks)
    on = ["noise", "images"] if tensors else ["images"]
    description = description.with_step("verify", against="torch", on=on, passed=verified)
    describe(model, description)
    with atomic_write(output) as part:
        save_model(model, part)
    assumption = "" if card_name else found.assumption  # a card names the labels and the upsampling
    return Exported(output, found.summary, description, tensors, task, checks, engine, assumption)


def _with_given_facts(found: Checkpoint, card_name: str, options: ExportOptions) -> Checkpoint:
    """The checkpoint as the network that a card or a flag says it is."""
    if card_name:
        found = found.with_known(card(card_name).architecture)
    if options.align_corners is None:
        return found
    shape = found.architecture
    if shape.open_upsampling is None:
        raise BadInput(f"{found.path} is {shape.title}, which has no align_corners — leave --align-corners out")
    rule = dataclasses.replace(shape.open_upsampling, align_corners=options.align_corners)
    return found.with_known(shape.with_upsampling(rule))


def _card(found: Checkpoint, card_name: str, options: ExportOptions) -> ModelCard:
    chosen = found.card
    if card_name:
        named = card(card_name)
        named = dataclasses.replace(named, architecture=with_known(named.architecture, found.architecture))
        cure = "leave --card out, or choose another"
        require_same(found.path, found.architecture, f"the card {card_name}", named.architecture, cure)
        chosen = named
    return chosen.resized(*(options.size or (chosen.input.height, chosen.input.width)))


def export_network(
    network: nn.Module, chosen: ModelCard, options: ExportOptions, provenance: dict[str, str], say: Say = lambda _: None
) -> tuple[onnx.ModelProto, Description]:
    """A network to a described ONNX model, not yet verified."""
    from hrnet_deploy.graph.embed import embed
    from hrnet_deploy.graph.export import OPSET, export_graph
    from hrnet_deploy.graph.metadata import Description, describe
    from hrnet_deploy.graph.simplify import simplify

    torch = need("torch", "export")
    if options.batch < 1:
        raise BadInput(f"a batch of {options.batch} is none — give --batch 1 or more")
    if options.flip_test and not options.embed:
        raise BadInput("--flip-test is for --embed; without it `predict` and `check` take --flip-test themselves")
    if options.embed and options.dynamic:
        raise BadInput("--embed needs static shapes — leave --dynamic out and fix the batch with --batch")
    if options.embed:
        embedding_of(chosen)  # refuse a task without one before the work, not after it
        if options.flip_test:
            task_entry(chosen.task).require("--flip-test", chosen.name)
    batch = options.batch * 2 if options.flip_test else options.batch
    say(f"exporting with torch's {options.exporter} exporter")
    opset = options.opset or OPSET
    model = export_graph(network, chosen, batch, options.dynamic, opset, options.exporter)  # type: ignore[arg-type]
    facts = {
        "exporter": options.exporter,
        "torch": torch.__version__.partition("+")[0],
        "opset": opset,
        "batch": "dynamic" if "batch" in options.dynamic else options.batch,
        "dynamic": sorted(options.dynamic),
    }
    description = Description(chosen, Contract(), "fp32", provenance).with_step("export", **facts)
    if options.simplify:
        say("simplifying")
        rows = 2 if "batch" in options.dynamic else batch
        model, done = simplify(model, noise(chosen, rows, seed=0))
        description = description.with_step("simplify", **done)
    if options.embed:
        model = embed(model, chosen, options.flip_test)
        contract = Contract(embedded=True, flip_test=options.flip_test)
        description = dataclasses.replace(description, contract=contract).with_step(
            "embed", flip_test=options.flip_test
        )
    describe(model, description)
    return model, description


def verify(
    source: Source, description: Description, dataset: Dataset
) -> tuple[list[TensorFigures], TaskFigures, list[Check], dict[str, Any]]:
    """ONNX Runtime against PyTorch: seeded noise at every batch and size the graph takes, and real images."""
    from hrnet_deploy.engines import open_engine

    reference, engine = open_engine("torch", source), open_engine("ort", source)
    theirs = task_of(source.card, flip_test=description.contract.flip_test)
    task = task_of(source.card, description.contract)
    tensors: list[TensorFigures] = []
    if not description.contract.embedded and task.comparable:
        shapes = list(_shapes(source.card, engine.inputs[0].shape))
        for number, (batch, height, width) in enumerate(shapes):
            label = "noise" if len(shapes) == 1 else f"noise {batch}x{height}x{width}"
            feed = noise(source.card, batch, seed=number, height=height, width=width)
            tensors += compare_tensors(reference.run, engine, [feed], label)
    figures = compare_on_images(reference, theirs, engine, task, dataset)
    return (
        tensors,
        figures,
        judge(budget_for(description.precision, task), tensors, figures),
        {"name": engine.name, **engine.facts},
    )


def _shapes(chosen: ModelCard, declared: Sequence[int | str]) -> Iterator[tuple[int, int, int]]:
    """Batch, height and width to try: the fixed ones, and where an axis is open three values of it."""
    height, width = chosen.input.height, chosen.input.width
    batches = [declared[0]] if isinstance(declared[0], int) else [1, 2, 3]
    yield from ((int(b), height, width) for b in batches)
    step = max(chosen.architecture.divisor, 1)
    tall, wide = isinstance(declared[2], str), isinstance(declared[3], str)
    for change in (-step, step):
        h, w = height + change * tall, width - change * wide
        if (tall or wide) and min(h, w) >= step:
            yield int(batches[0]), h, w
