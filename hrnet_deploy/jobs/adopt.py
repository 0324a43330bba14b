"""Adopts an ONNX file of another exporter: rewrites it to what `export` writes, and verifies the result."""

from __future__ import annotations

import dataclasses
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from hrnet_deploy.architecture import require_same, with_known
from hrnet_deploy.cards import ModelCard, card
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, check_output, temporary_folder
from hrnet_deploy.graph.foreign.adoption import rewrite, understand
from hrnet_deploy.graph.foreign.naming import LayerName, own_names, rename
from hrnet_deploy.graph.foreign.reading import WEIGHTED, Foreign, read_foreign
from hrnet_deploy.graph.foreign.rewriting import with_shapes
from hrnet_deploy.graph.foreign.weights import match_layers, require_layers
from hrnet_deploy.graph.metadata import WEIGHTS_STEP, Description, describe, file_digest, save_model
from hrnet_deploy.graph.names import strip_traces
from hrnet_deploy.graph.simplify import simplify
from hrnet_deploy.jobs.export import IMAGES, Verification, verify
from hrnet_deploy.parity import TENSORS
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.adoption import AdoptResult
from hrnet_deploy.results.export import ActivationFit
from hrnet_deploy.results.figures import Check, TensorFigures, all_passed
from hrnet_deploy.tasks.base import InputFormat, noise
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.readable import readable
from hrnet_deploy.tasks.samples import NAME, sample_images
from hrnet_deploy.workflow.arguments import ONNX, require_suffix
from hrnet_deploy.workflow.first_layers import activation_fit
from hrnet_deploy.workflow.source_runs import WholeInput, compared, settled

if TYPE_CHECKING:
    from hrnet_deploy.checkpoints import Checkpoint

PREPARED = 1e-3  # how far the graph's own preparation of an image may be from the card's, over its largest value
BUDGETS = {"": "fp32", "float64": "fp32", "float16": "fp16", "bfloat16": "bf16"}  # by the type of the file's weights


@dataclass(frozen=True)
class AdoptRequest:
    """What to adopt.

    Attributes:
        model: an ONNX file of another exporter.
        output: the ONNX file to write.
        card: the name or file of the card of its network; that of the checkpoint unless given.
        against: the checkpoint that the file was made from (or its card), to compare with.
        size: height and width, where the file leaves them open; those of the card unless given.
        tensor: the name of the tensor that holds the maps, where several could.
        images: a folder of images to compare on; the package's own samples unless given.
        force: whether an existing file is replaced.
        weights_key: which weights of the checkpoint, where it holds several.
        strict: whether an image that cannot be read is an error, not left out and listed.
    """

    model: Path
    output: Path
    card: str = ""
    against: str = ""
    size: tuple[int, int] | None = None
    tensor: str = ""
    images: Path | None = None
    force: bool = False
    weights_key: str = ""
    strict: bool = False

    def __post_init__(self) -> None:
        require_suffix(self.output, ONNX, "the adopted file")
        if not self.card and not self.against:
            raise BadInput(
                f"{self.model} does not say how images are prepared or what its outputs are called — name its model "
                "card with --card (`hrnet-deploy models` lists them), or its checkpoint with --against"
            )
        if self.images and not self.against:
            raise BadInput("--images are for the comparison with a checkpoint — give it with --against")


def adopt(request: AdoptRequest, progress: Progress = SILENT) -> AdoptResult:
    """Rewrite a file of another exporter to the contract of `export`, and compare it with that file and, if there is
    one, with the checkpoint. The result is written only if it passes.

    Raises BadInput, with the reason and the cure, if the file cannot be adopted.
    """
    check_output(request.output, request.force)
    progress.stage(f"reading {request.model.name}")
    foreign = read_foreign(request.model)
    checkpoint = _checkpoint(request, progress)
    chosen = _card(request, checkpoint)
    dataset = _images(request)
    progress.stage("looking for the network in the graph")
    understood = understand(foreign, chosen, request.size, request.tensor, request.model)
    progress.stage("rewriting the graph")
    understood, samples, figures = settled(understood, request.model)
    model, opset = rewrite(understood, samples[0].given, request.model)
    strip_traces(model)
    rows = 2 if isinstance(understood.batch, str) else understood.batch
    model, simplified = simplify(model, noise(understood.card, rows, seed=0))
    if importlib.util.find_spec("torch"):
        require_layers(model, understood.card, request.model)
    layers, remarks = _names(model, checkpoint, foreign)
    named = rename(model, layers)
    model = with_shapes(model, {}, understood.batch)
    found, changed = [*understood.found, *remarks], list(understood.changed)
    assumed = [*understood.assumed, *chosen.remarks]
    if opset != foreign.opset:
        changed.append(f"opset {foreign.opset} is converted to {opset}")
    provenance = {"onnx": file_digest(request.model)}
    if checkpoint is not None:
        provenance["checkpoint"] = checkpoint.sha256
    description = Description(understood.card, InputFormat(), "fp32", provenance).with_step(
        "adopt",
        producer=foreign.producer,
        opset=opset,
        batch="dynamic" if isinstance(understood.batch, str) else understood.batch,
        found=found,
        assumed=assumed,
        changed=changed,
    )
    if request.weights_key:
        description = description.with_step(WEIGHTS_STEP, key=request.weights_key)
    description = description.with_step("simplify", **simplified)
    describe(model, description)
    checks = [_limited(f, PREPARED) for f in figures]
    verified: Verification | None = None
    activations: ActivationFit | None = None
    with temporary_folder() as folder:
        path = folder / "graph.onnx"
        save_model(model, path)
        progress.stage("comparing with the file it was made from")
        same = compared(understood, samples, path)
        figures += same
        checks += [_limited(f, TENSORS["fp32"]) for f in same]
        if checkpoint is not None:
            source = Source(understood.card, path, checkpoint.path, weights_key=request.weights_key)
            at_budget = dataclasses.replace(description, precision=BUDGETS[foreign.floats])
            verified = verify(source, at_budget, dataset, progress, WholeInput)
            images = f"images of {request.images}" if request.images else NAME
            activations = activation_fit(checkpoint.network(), understood.card, dataset, images)
            figures += verified.tensors
            checks += verified.checks
    passed = all_passed(checks)
    against = "torch" if checkpoint is not None else "parent"
    description = description.with_step(
        "verify", against=against, on=["noise", "images"][: 2 if verified else 1], passed=passed
    )
    describe(model, description)
    result = AdoptResult(
        path=None,
        source=str(request.model),
        producer=foreign.producer,
        opset=foreign.opset,
        card=understood.card.name,
        input_size=understood.card.input.size,
        summary=understood.card.architecture.title,
        takes=foreign.takes,
        gives=foreign.gives,
        found=found,
        assumed=assumed,
        changed=changed,
        history=list(description.history),
        provenance=provenance,
        tensors=figures,
        checks=checks,
        named=named,
        layers=sum(n.op_type in WEIGHTED for n in model.graph.node),
        against=request.against,
        task=verified.task if verified else None,
        activations=activations,
        skipped=dataset.skipped,
    )
    if not passed:
        return result
    progress.stage("writing the file")
    with atomic_write(request.output) as part:
        save_model(model, part)
    return dataclasses.replace(result, path=str(request.output), size=request.output.stat().st_size)


def _checkpoint(request: AdoptRequest, progress: Progress) -> Checkpoint | None:
    if not request.against:
        return None
    from hrnet_deploy import checkpoints

    progress.stage("reading the checkpoint")
    found = checkpoints.load(request.against, request.weights_key)
    return found.with_known(card(request.card).architecture) if request.card else found


def _images(request: AdoptRequest) -> Dataset:
    """The images to compare on. A score on so few means nothing, so they have none."""
    if request.images is None:
        return sample_images().unjudged()
    return readable(load_dataset(request.images, limit=IMAGES), request.strict).unjudged()


def _card(request: AdoptRequest, checkpoint: Checkpoint | None) -> ModelCard:
    """The named card, or that of the checkpoint. Raises BadInput if the two are of two networks."""
    if not request.card:
        assert checkpoint is not None  # the request needs one of them
        return checkpoint.card
    named = card(request.card)
    if checkpoint is None:
        return named
    named = dataclasses.replace(named, architecture=with_known(named.architecture, checkpoint.architecture))
    cure = "give the card of this checkpoint, or leave --card out"
    require_same(request.against, checkpoint.architecture, f"the card {request.card}", named.architecture, cure)
    return named


def _limited(figures: TensorFigures, limit: float | None) -> Check:
    name = f"{figures.output} on {figures.inputs}: relative difference"
    assert limit is not None
    return Check(name, figures.relative, limit, bool(figures.finite and figures.relative <= limit))


def _names(
    model: onnx.ModelProto, checkpoint: Checkpoint | None, foreign: Foreign
) -> tuple[dict[str, LayerName], list[str]]:
    """The names of the layers, and a remark on how many of them are in the checkpoint."""
    own = own_names(model)
    if checkpoint is None:
        return own, []
    from torch import nn

    network = checkpoint.network()
    transposed = [f"{n}.weight" for n, m in network.named_modules() if isinstance(m, nn.ConvTranspose2d)]
    state = {n: t.numpy() for n, t in network.state_dict().items()}
    found, missing = match_layers(model, state, transposed, foreign.floats)
    every = len(found) + len(missing)
    if not missing:
        return found, [f"all {every} layers have the weights of the checkpoint"]
    remark = (
        f"{len(missing)} of {every} layers have other weights than those of the checkpoint (the first is {missing[0]})"
    )
    return {**{n: own[n] for n in missing if n in own}, **found}, [remark]
