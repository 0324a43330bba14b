"""What a file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.files import require_file, sha256
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.graph.plan import is_plan, read_manifest


def inspect(name: Path) -> dict[str, Any]:
    """Facts of a checkpoint, an ONNX file or a plan, the first of them a sentence."""
    if name.suffix.lower() == ".onnx":
        require_file(name)
        return _onnx(name)
    if is_plan(name):
        require_file(name)
        return _plan(name)
    return _checkpoint(name)


def _plan(path: Path) -> dict[str, Any]:
    manifest, found = read_manifest(path), read_description(path)
    return {
        "what": f"{found.card.architecture.title}, TensorRT plan {found.precision}",
        "file": f"TensorRT {manifest.tensorrt} plan, {path.stat().st_size / 1e6:.1f} MB",
        **_card(found.card),
        "fits": ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in manifest.identity.items()),
        "built of": f"{manifest.onnx['name']}, sha256 {manifest.onnx['sha256']}",
        "takes": [f"{n} {' : '.join('x'.join(map(str, b)) for b in bounds)}" for n, bounds in manifest.profiles.items()]
        or "static shapes",
        "layers": ", ".join(f"{n} {kind}" for kind, n in manifest.layers.items()) or "not told",
        "precision": found.precision,
        "rebuild": manifest.rebuild(path),
    }


def _checkpoint(name: Path) -> dict[str, Any]:
    from hrnet_deploy import checkpoints

    found = checkpoints.load(name)
    parameters = sum(
        t.numel()
        for n, t in found.state.items()
        if not n.endswith(("running_mean", "running_var", checkpoints.COUNTER))
    )
    return {
        "what": found.summary,
        "file": f"checkpoint, {found.path.stat().st_size / 1e6:.1f} MB",
        **_card(found.card),
        **_published(found.card, found.sha256),
        **({"assumed": found.assumption} if found.assumption else {}),
        "parameters": f"{parameters / 1e6:.2f} M",
        "sha256": found.sha256,
    }


def _onnx(path: Path) -> dict[str, Any]:
    from collections import Counter

    from hrnet_deploy.graph.metadata import description_of, load_model

    model = load_model(path)
    found = description_of(model, path)
    operators = Counter(n.op_type for n in model.graph.node).most_common(5)
    return {
        "what": f"{found.card.architecture.title}, ONNX {found.precision}",
        "file": f"ONNX opset {_opset(model)}, {path.stat().st_size / 1e6:.1f} MB",
        **_card(found.card),
        **_published(found.card, found.provenance.get("checkpoint", "?")),
        "takes": ", ".join(_tensor(v) for v in model.graph.input),
        "gives": ", ".join(_tensor(v) for v in model.graph.output),
        "nodes": f"{len(model.graph.node)}: {', '.join(f'{n} {o}' for o, n in operators)}",
        "precision": found.precision,
        "made by": [_step(h) for h in found.history],
        "made from": dict(found.provenance),
        "sha256": sha256(path),
    }


def _card(card: ModelCard) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "card": card.name,
        "task": card.task,
        "input": f"{card.input.size} (height x width), {card.input.colour}",
    }
    facts["trained on"] = card.dataset
    return facts


def _published(card: ModelCard, digest: str) -> dict[str, str]:
    """Where a file is one that others publish: what they say it reaches."""
    known = card.published_as(digest)
    if known is None:
        return {}
    figure = f"{known.metric} {known.value:g} on " if known.value is not None else ""
    return {"published": f"{figure}{known.data}, {known.url.rpartition('/')[2]}"}


def _opset(model: Any) -> int:
    return int(next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")))


def _tensor(value: Any) -> str:
    import onnx

    kind = value.type.tensor_type
    dims = "x".join(d.dim_param or str(d.dim_value) for d in kind.shape.dim)
    return f"{value.name} {onnx.TensorProto.DataType.Name(kind.elem_type).lower()} {dims}"


def _step(step: Any) -> str:
    facts = ", ".join(f"{k} {v}" for k, v in step.items() if k != "step")
    return f"{step['step']} ({facts})"
