"""An ONNX file into a plan of TensorRT, with its manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.engines import open_engine, require
from hrnet_deploy.engines.base import Source
from hrnet_deploy.engines.driver import probe
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import check_output, sha256
from hrnet_deploy.graph.metadata import description_of, load_model, to_values
from hrnet_deploy.graph.plan import SUFFIXES, BuildOptions, Manifest, manifest_path, write_plan
from hrnet_deploy.graph.width import width_warning

Say = Callable[[str], None]
ENGINE = "trt"


@dataclass(frozen=True)
class Built:
    """What `build` made: the manifest, and what the engine says of the plan."""

    output: str
    size: int
    manifest: Manifest
    facts: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"schema": 1, "kind": "build", **dataclasses.asdict(self)}


def build(model: Path, output: Path, options: BuildOptions, force: bool = False, say: Say = lambda _: None) -> Built:
    """Build, open what was built and run it once; only then it gets its name. Raises Unavailable where TensorRT is not."""
    if output.suffix.lower() not in SUFFIXES:
        raise BadInput(f"a plan is called .plan, not {output.suffix or output.name} — name the output X.plan")
    _check_options(options)
    graph = load_model(model)
    description = description_of(graph, model)
    check_output(output, force)
    check_output(manifest_path(output), force)
    require(ENGINE)
    from hrnet_deploy.engines.trt.build import build as built_of

    gpu = probe()
    made = built_of(model, description.card, options, gpu, say)
    say("opening the plan")
    manifest = Manifest(
        onnx={"name": str(model), "sha256": sha256(model)},
        plan=hashlib.sha256(made.plan).hexdigest(),
        tensorrt=_version(),
        identity=gpu.identity,
        options=dataclasses.asdict(options),
        profiles=made.profiles,
        description=to_values(description),
        build_seconds=round(made.seconds, 2),
        warning=width_warning(graph, description.precision),
    )
    facts = _tried(made.plan, manifest, description.card, output)
    manifest = dataclasses.replace(manifest, layers=facts["layer_counts"])
    write_plan(output, made.plan, manifest)
    return Built(str(output), len(made.plan), manifest, facts)


def _tried(plan: bytes, manifest: Manifest, card: Any, output: Path) -> dict[str, Any]:
    """What the engine says of the plan, opened from a temporary file beside the output."""
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as place:
        trial = Path(place, "trial.plan")
        write_plan(trial, plan, manifest)
        engine = open_engine(ENGINE, Source(card, trial))
        try:
            return dict(engine.facts)
        finally:
            engine.close()


def _version() -> str:
    import tensorrt

    return str(tensorrt.__version__)


def _check_options(options: BuildOptions) -> None:
    for name, bounds in (("--batch", options.batch), ("--size", options.size)):
        if bounds is None:
            continue
        low, middle, high = ((b, b) if isinstance(b, int) else b for b in bounds)
        if not all(0 < a <= b <= c for a, b, c in zip(low, middle, high, strict=True)):
            raise BadInput(f"{name} wants least, tuned for and most, each at least the one before — for example 1:4:16")
    if not 0 <= options.level <= 5:
        raise BadInput(f"--level {options.level} is none of TensorRT's builder levels — choose 0 to 5")
    if options.workspace is not None and options.workspace < 2**20:
        raise BadInput("--workspace is in MB — give 1 or more")
