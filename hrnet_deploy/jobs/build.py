"""Builds a plan of TensorRT, or of TensorRT for RTX, and its manifest from an ONNX file."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_deploy.engines import open_engine, require, unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.engines.driver import Gpu, probe
from hrnet_deploy.engines.trt.flavour import FLAVOURS, Flavour
from hrnet_deploy.engines.trt.missing import rtx_build_obstacle
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.files import check_output, temporary_folder
from hrnet_deploy.graph.backbone import REGION_POOLING
from hrnet_deploy.graph.fp16 import to_fp16
from hrnet_deploy.graph.metadata import Description, description_of, file_digest, load_model, save_model, to_values
from hrnet_deploy.graph.plan import SUFFIXES, BuildOptions, Manifest, manifest_path, misfits, options_of, write_plan
from hrnet_deploy.graph.unquantize import unquantized
from hrnet_deploy.graph.width import width_warning
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.base import EngineInfo
from hrnet_deploy.results.build import BuildResult
from hrnet_deploy.results.compiled import CompiledGraph
from hrnet_deploy.workflow.arguments import require_suffix

if TYPE_CHECKING:
    import onnx

    from hrnet_deploy.cards import ModelCard
    from hrnet_deploy.engines.trt.build import SerializedPlan


@dataclass(frozen=True)
class BuildRequest:
    """What to build.

    Attributes:
        model: the ONNX file.
        output: the plan to write; its manifest is written next to it.
        options: bounds and settings of the builder.
        force: whether existing files are replaced.
        engine: "trt", or "trt-rtx", whose plans are built without a GPU.
        layers: whether an int8 file is also compiled in fp16, so that the two can be compared.

    Raises BadInput if the output does not have the suffix of a plan, or an option is out of range.
    """

    model: Path
    output: Path
    options: BuildOptions = field(default_factory=BuildOptions)
    force: bool = False
    engine: str = "trt"
    layers: bool = False

    def __post_init__(self) -> None:
        require_suffix(self.output, SUFFIXES, "a plan")
        if self.engine not in FLAVOURS:
            raise BadInput(f"the {self.engine} engine has no plans — choose among {', '.join(FLAVOURS)}")
        _check_options(self.options)


def build(request: BuildRequest, progress: Progress = SILENT) -> BuildResult:
    """Build a plan, open it and run it once if it can run here. Only then are the files written under their names.

    Raises:
        BadInput: the library cannot read the file, or a bound does not fit it.
        Unavailable: the library cannot build the file here, or the GPU does not have enough memory.
    """
    model, output, options = request.model, request.output, request.options
    graph = load_model(model)
    description = description_of(graph, model)
    check_output(output, request.force)
    check_output(manifest_path(output), request.force)
    flavour = FLAVOURS[request.engine]
    gpu = _gpu_to_build_on(flavour, graph, model)
    fits = flavour.fits(gpu, options.gpus)
    from hrnet_deploy.engines.trt.build import build_plan

    made = build_plan(flavour, model, description, options, gpu, progress)
    compiled = _compiled(made)
    in_fp16 = None
    if request.layers and compiled is not None and description.precision == "int8":
        in_fp16 = _compiled_in_fp16(flavour, graph, description, options, gpu, progress)
    manifest = Manifest(
        onnx={"name": str(model), "sha256": file_digest(model)},
        plan=hashlib.sha256(made.plan).hexdigest(),
        tensorrt=flavour.version,
        identity=fits,
        options=dataclasses.asdict(options),
        profiles=made.profiles,
        description=to_values(description),
        build_seconds=round(made.seconds, 2),
        warning=width_warning(graph, description.precision),
        engine=flavour.engine,
        compiled={} if compiled is None else dataclasses.asdict(compiled),
    )
    reason = unavailable_reason(flavour.engine)
    if not reason and misfits(manifest, probe().identity):
        reason = "the GPU of this machine is not among those that it is for"
    if reason:  # only a portable plan gets here
        info = _from_the_builder(manifest, compiled, reason)
    else:
        progress.stage("opening the plan")
        info = _try_plan(made.plan, manifest, description.card, output)
    manifest = dataclasses.replace(manifest, layers=info.layer_counts)
    write_plan(output, made.plan, manifest)
    return BuildResult(
        output=str(output),
        size=len(made.plan),
        card=description.card.name,
        precision=description.precision,
        onnx=manifest.onnx,
        builder=f"{flavour.title} {manifest.tensorrt}",
        identity=manifest.identity,
        profiles=manifest.profiles,
        build_seconds=manifest.build_seconds,
        engine_info=info,
        warning=manifest.warning,
        compiled=compiled,
        layers=request.layers,
        in_fp16=in_fp16,
    )


def _gpu_to_build_on(flavour: Flavour, graph: onnx.ModelProto, file: Path) -> Gpu | None:
    """The GPU of this machine; None if there is none and a portable plan can be built without.

    Raises Unavailable if the library is not here, or needs a GPU to build this graph.
    """
    if not flavour.portable:
        require(flavour.engine)
        return probe()
    if reason := rtx_build_obstacle():
        raise Unavailable(f"the {flavour.engine} engine cannot build here: {reason}")
    pooling = next((n for n in graph.graph.node if n.op_type == REGION_POOLING), None)
    if pooling is not None and unavailable_reason(flavour.engine):  # its plugin stops the process without a GPU
        raise Unavailable(
            f"{flavour.title} reads the {REGION_POOLING} node {pooling.name} of a detector with a plugin that needs a "
            f"GPU, and {unavailable_reason(flavour.engine).partition(' — ')[0]} — build {file} on a machine with a GPU "
            "that it supports"
        )
    return None


def _compiled(made: SerializedPlan) -> CompiledGraph | None:
    from hrnet_deploy.engines.trt.compiled import read_compiled

    tuned = [bounds[1][0] for bounds in made.profiles.values()]
    return read_compiled(made.compiled, tuned[0] if tuned else 1)


def _compiled_in_fp16(
    flavour: Flavour,
    graph: onnx.ModelProto,
    description: Description,
    options: BuildOptions,
    gpu: Gpu | None,
    progress: Progress,
) -> CompiledGraph | None:
    """What the compiler makes of the network of an int8 graph in fp16."""
    from hrnet_deploy.engines.trt.build import build_plan

    plain = unquantized(graph)
    if not description.step("half"):
        plain, _ = to_fp16(plain)
    with temporary_folder() as folder:
        path = folder / "fp16.onnx"
        save_model(plain, path)
        return _compiled(build_plan(flavour, path, description, options, gpu, progress))


def _from_the_builder(manifest: Manifest, compiled: CompiledGraph | None, reason: str) -> EngineInfo:
    """What is known of a plan that cannot be opened here."""
    from hrnet_deploy.engines.trt.build import reported_options

    return EngineInfo(
        provider=f"{FLAVOURS[manifest.engine].title} {manifest.tensorrt}",
        options=reported_options(options_of(manifest.options)),
        note=f"the plan has not been opened, because {reason.partition(' — ')[0]}",
        memory={} if compiled is None else {"activations": compiled.activations, "weights": compiled.weights},
        layer_counts={} if compiled is None else compiled.kernels,
        timings={"build_ms": round(1e3 * manifest.build_seconds, 1)},
    )


def _try_plan(plan: bytes, manifest: Manifest, card: ModelCard, output: Path) -> EngineInfo:
    """What the engine reports about the plan, opened from a temporary file next to the output."""
    with temporary_folder(output.absolute().parent) as place:
        trial = place / "trial.plan"
        write_plan(trial, plan, manifest)
        engine = open_engine(manifest.engine, Source(card, trial))
        try:
            return engine.info
        finally:
            engine.close()


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
