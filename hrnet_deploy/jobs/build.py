"""Builds a TensorRT plan and its manifest from an ONNX file."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines import open_engine, require
from hrnet_deploy.engines.base import Source
from hrnet_deploy.engines.driver import probe
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import check_output, temporary_folder
from hrnet_deploy.graph.metadata import description_of, file_digest, load_model, to_values
from hrnet_deploy.graph.plan import SUFFIXES, BuildOptions, Manifest, manifest_path, write_plan
from hrnet_deploy.graph.width import width_warning
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.base import EngineInfo
from hrnet_deploy.results.build import BuildResult
from hrnet_deploy.workflow.arguments import require_suffix

ENGINE = "trt"


@dataclass(frozen=True)
class BuildRequest:
    """What to build.

    Attributes:
        model: the ONNX file.
        output: the plan to write; its manifest is written next to it.
        options: bounds and settings of the builder.
        force: whether existing files are replaced.

    Raises BadInput if the output does not have the suffix of a plan, or an option is out of range.
    """

    model: Path
    output: Path
    options: BuildOptions = field(default_factory=BuildOptions)
    force: bool = False

    def __post_init__(self) -> None:
        require_suffix(self.output, SUFFIXES, "a plan")
        _check_options(self.options)


def build(request: BuildRequest, progress: Progress = SILENT) -> BuildResult:
    """Build a plan, open it and run it once. Only then are the files written under their names.

    Raises:
        BadInput: TensorRT cannot read the file, or a bound does not fit it.
        Unavailable: TensorRT cannot run here, or the GPU does not have enough memory.
    """
    model, output, options = request.model, request.output, request.options
    graph = load_model(model)
    description = description_of(graph, model)
    check_output(output, request.force)
    check_output(manifest_path(output), request.force)
    require(ENGINE)
    from hrnet_deploy.engines.trt.build import build_plan

    gpu = probe()
    made = build_plan(model, description.card, options, gpu, progress)
    progress.stage("opening the plan")
    manifest = Manifest(
        onnx={"name": str(model), "sha256": file_digest(model)},
        plan=hashlib.sha256(made.plan).hexdigest(),
        tensorrt=_version(),
        identity=gpu.identity,
        options=dataclasses.asdict(options),
        profiles=made.profiles,
        description=to_values(description),
        build_seconds=round(made.seconds, 2),
        warning=width_warning(graph, description.precision),
    )
    info = _try_plan(made.plan, manifest, description.card, output)
    manifest = dataclasses.replace(manifest, layers=info.layer_counts)
    write_plan(output, made.plan, manifest)
    return BuildResult(
        output=str(output),
        size=len(made.plan),
        card=description.card.name,
        precision=description.precision,
        onnx=manifest.onnx,
        builder=f"TensorRT {manifest.tensorrt}",
        identity=manifest.identity,
        profiles=manifest.profiles,
        build_seconds=manifest.build_seconds,
        engine_info=info,
        warning=manifest.warning,
    )


def _try_plan(plan: bytes, manifest: Manifest, card: ModelCard, output: Path) -> EngineInfo:
    """What the engine reports about the plan, opened from a temporary file next to the output."""
    with temporary_folder(output.absolute().parent) as place:
        trial = place / "trial.plan"
        write_plan(trial, plan, manifest)
        engine = open_engine(ENGINE, Source(card, trial))
        try:
            return engine.info
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
            raise BadInput(
                f"{name} needs MIN:OPT:MAX in rising order — for example "
                + ("1:4:16" if name == "--batch" else "256x192:256x192:512x384")
            )
    if not 0 <= options.level <= 5:
        raise BadInput(f"--level {options.level} is not a builder level of TensorRT — choose 0 to 5")
    if options.workspace is not None and options.workspace < 2**20:
        raise BadInput("--workspace is in MB — give 1 or more")
    if options.aux_streams is not None and options.aux_streams < 0:
        raise BadInput(f"--aux-streams {options.aux_streams} is not a number of streams — give 0 or more")
