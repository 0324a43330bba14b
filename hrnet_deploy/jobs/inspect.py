"""Reads what a file is: a checkpoint, an ONNX file or a plan."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from hrnet_deploy.cards import ModelCard, publication
from hrnet_deploy.engines.trt.flavour import FLAVOURS
from hrnet_deploy.files import require_file
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.graph.plan import Manifest, is_plan, read_manifest
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results import codec
from hrnet_deploy.results.compiled import CompiledGraph
from hrnet_deploy.results.documents.compiled import facts
from hrnet_deploy.results.inspection import Inspection
from hrnet_deploy.results.wording import megabytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

    from hrnet_deploy.results.base import Setting


@dataclass(frozen=True)
class InspectRequest:
    """The file to look at: a checkpoint (or the name of a card that comes with weights), an ONNX file or a plan.

    `weights_key` says which weights of a checkpoint, where it holds several.
    """

    file: Path
    weights_key: str = ""


class _CardFacts(TypedDict):
    card: str
    task: str
    input: str
    trained_on: str


def inspect(request: InspectRequest, progress: Progress = SILENT) -> Inspection:
    """Facts about a checkpoint, an ONNX file or a plan. Raises BadInput if the file is none of these."""
    name = request.file
    progress.stage(f"reading {name.name}")
    if name.suffix.lower() == ".onnx":
        require_file(name)
        return _onnx(name)
    if is_plan(name):
        require_file(name)
        return _plan(name)
    return _checkpoint(name, request.weights_key)


def _plan(path: Path) -> Inspection:
    manifest, found = read_manifest(path), read_description(path)
    bounds = [f"{n} {' : '.join('x'.join(map(str, b)) for b in three)}" for n, three in manifest.profiles.items()]
    layers = ", ".join(f"{n} {kind}" for kind, n in manifest.layers.items()) or "not known"
    title = FLAVOURS[manifest.engine].title if manifest.engine in FLAVOURS else manifest.engine
    return Inspection(
        what=f"{found.card.architecture.title}, {title} plan {found.precision}",
        file=f"{title} {manifest.tensorrt} plan, {_megabytes(path)}",
        **_card(found.card),
        fits=", ".join(f"{k.replace('_', ' ')} {v}" for k, v in manifest.identity.items()),
        built_of=f"{manifest.onnx['name']}, sha256 {manifest.onnx['sha256']}",
        takes=bounds or "static shapes",
        layers=None if manifest.compiled else layers,
        **_compiled(manifest),
        precision=found.precision,
        rebuild=manifest.rebuild(path),
    )


class _Compiled(TypedDict):
    compiled: Sequence[str] | None
    blocks: Sequence[str] | None


def _compiled(manifest: Manifest) -> _Compiled:
    """What the compiler made of the graph, as lines of text."""
    if not manifest.compiled:
        return {"compiled": None, "blocks": None}
    graph = codec.convert(manifest.compiled, CompiledGraph, "the manifest of the plan")
    blocks = [
        f"{b.name}: {b.kernels}" + ("" if b.bytes is None else f", {megabytes(b.bytes)} MB") for b in graph.blocks
    ]
    return {"compiled": [f"{name} {value}" for name, value in facts(graph).items()], "blocks": blocks}


def _checkpoint(name: Path, weights_key: str) -> Inspection:
    from hrnet_deploy import checkpoints

    found = checkpoints.load(name, weights_key)
    parameters = sum(
        t.numel()
        for n, t in found.state.items()
        if not n.endswith(("running_mean", "running_var", checkpoints.COUNTER))
    )
    return Inspection(
        what=found.summary,
        file=f"checkpoint, {_megabytes(found.path)}",
        **_card(found.card),
        published=_published(found.card, found.sha256),
        assumed=found.assumption or None,
        parameters=f"{parameters / 1e6:.2f} M",
        sha256=found.sha256,
    )


def _onnx(path: Path) -> Inspection:
    from collections import Counter

    from hrnet_deploy.graph.metadata import description_of, file_digest, is_bare, load_model

    model = load_model(path)
    operators = Counter(n.op_type for n in model.graph.node).most_common(5)
    nodes = f"{len(model.graph.node)}: {', '.join(f'{n} {o}' for o, n in operators)}"
    if is_bare(path):
        return _bare(path, model, nodes)
    found = description_of(model, path)
    return Inspection(
        what=f"{found.card.architecture.title}, ONNX {found.precision}",
        file=f"ONNX opset {_opset(model)}, {_megabytes(path)}",
        **_card(found.card),
        published=_published(found.card, found.provenance.get("checkpoint", "")),
        takes=", ".join(_tensor(v) for v in model.graph.input),
        gives=", ".join(_tensor(v) for v in model.graph.output),
        nodes=nodes,
        precision=found.precision,
        made_by=[_step(h) for h in found.history],
        made_from=dict(found.provenance),
        sha256=file_digest(path),
    )


def _bare(path: Path, model: onnx.ModelProto, nodes: str) -> Inspection:
    """A file of another exporter: what its graph shows without a card."""
    from hrnet_deploy.graph.foreign.bare import inputs_of, precision_of
    from hrnet_deploy.graph.metadata import file_digest

    producer = " ".join(filter(None, (model.producer_name, model.producer_version))) or "another exporter"
    return Inspection(
        what=f"ONNX {precision_of(path)} of {producer}, without a model card",
        file=f"ONNX opset {_opset(model)}, {_megabytes(path)}",
        takes=", ".join(_tensor(v) for v in inputs_of(model)),
        gives=", ".join(_tensor(v) for v in model.graph.output),
        nodes=nodes,
        precision=precision_of(path),
        adopt=f"hrnet-deploy adopt {shlex.quote(str(path))} --card NAME -o adopted.onnx",
        sha256=file_digest(path),
    )


def _card(card: ModelCard) -> _CardFacts:
    return {
        "card": card.name,
        "task": card.task,
        "input": f"{card.input.size} (height x width), {card.input.title}",
        "trained_on": card.dataset,
    }


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


def _published(card: ModelCard, digest: str) -> str | None:
    """The published figure of the same weights, and their file; None if the weights are not known."""
    known = publication(card, digest)
    return None if known is None else f"{known.figure or known.data}, {known.url.rpartition('/')[2]}"


def _opset(model: onnx.ModelProto) -> int:
    return int(next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0))


def _tensor(value: onnx.ValueInfoProto) -> str:
    import onnx

    kind = value.type.tensor_type
    dims = "x".join(d.dim_param or str(d.dim_value or "?") for d in kind.shape.dim)
    names = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
    return f"{value.name} {names.get(kind.elem_type, 'of an unknown type')} {dims}"


def _step(step: Mapping[str, Setting]) -> str:
    facts = ", ".join(f"{k} {v}" for k, v in step.items() if k != "step")
    return f"{step['step']} ({facts})"
