"""Builds a plan from an ONNX file.

There is one code path for TensorRT 10.4 to 11 and for TensorRT for RTX. The network is strongly typed: precisions are
those of the graph, and no precision flag, which differ between versions, is needed. Everything that the ONNX file can
state is stated there and not here.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_deploy.engines.driver import Gpu
from hrnet_deploy.engines.trt import rtx, timing_cache
from hrnet_deploy.engines.trt.callbacks import Log, Monitor
from hrnet_deploy.engines.trt.flavour import Flavour
from hrnet_deploy.errors import BadInput, DeployError, Unavailable
from hrnet_deploy.graph.metadata import Description
from hrnet_deploy.graph.plan import BuildOptions
from hrnet_deploy.progress import SILENT, Progress

if TYPE_CHECKING:
    import tensorrt as trt

    from hrnet_deploy.cards import ModelCard

Profiles = dict[str, list[list[int]]]
TARGET = "trt"  # of `quantize`, and the beginning of all targets whose files can be built
BATCH = (1, 1, 16)  # bounds of an open batch if none are given


@dataclass(frozen=True)
class SerializedPlan:
    """A plan that has been built.

    Attributes:
        plan: its bytes.
        profiles: bounds of the open inputs: smallest, tuned for, largest.
        seconds: how long it took.
        compiled: the builder's lines about the layers that it compiled and about memory (see `compiled`).
    """

    plan: bytes
    profiles: Profiles
    seconds: float
    compiled: tuple[str, ...] = ()


def build_plan(
    flavour: Flavour,
    file: Path,
    description: Description,
    options: BuildOptions,
    gpu: Gpu | None,
    progress: Progress = SILENT,
    cache: Path | None = None,
) -> SerializedPlan:
    """Build a plan from an ONNX file.

    Args:
        flavour: the library that builds it.
        file: the ONNX file.
        description: of the file. The input size of its card is the default of an open height and width.
        options: bounds and settings.
        gpu: the GPU on which the plan is built; None for a portable plan that is built without one.
        progress: is notified of the phases of the builder.
        cache: the folder of kernel timings; that of the user unless given. A portable plan has no timings.

    Raises:
        BadInput: the library cannot read the file, or a bound does not fit it.
        Unavailable: the GPU does not have enough memory.
    """
    trt = flavour.api
    log, started = Log(flavour), time.monotonic()
    builder = _builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log.native)
    if not parser.parse_from_file(str(file)):
        raise BadInput(_refusal(flavour, file, description, parser))
    monitor = Monitor(flavour, progress)
    config = _configured(flavour, builder, options, monitor)
    profiles = _profiles(network, description.card, options)
    if profiles:
        profile = builder.create_optimization_profile()
        for name, (least, tuned, most) in profiles.items():
            profile.set_shape(name, least, tuned, most)
        config.add_optimization_profile(profile)
    if flavour.portable:
        rtx.aim(config, options.gpus)
        with _interrupts_wait(monitor):
            plan = builder.build_serialized_network(network, config)
    else:
        assert gpu is not None
        plan = _timed_build(flavour, builder, network, config, gpu, monitor, progress, cache)
    if plan is None:
        raise _why(flavour, file, log)
    return SerializedPlan(bytes(plan), profiles, time.monotonic() - started, tuple(log.compiled))


def _timed_build(
    flavour: Flavour,
    builder: trt.Builder,
    network: trt.INetworkDefinition,
    config: trt.IBuilderConfig,
    gpu: Gpu,
    monitor: Monitor,
    progress: Progress,
    cache: Path | None,
) -> Any:
    """The plan of a builder that times kernels on the GPU, or None if it fails. The timings are kept."""
    kept = timing_cache.path_of(gpu.identity, flavour.version, cache)
    progress.stage("waiting for other builds on this GPU")
    with timing_cache.locked(kept) as timings:
        known = config.create_timing_cache(timings)
        if known is None or not config.set_timing_cache(known, False):  # it belongs to another driver after all
            config.set_timing_cache(config.create_timing_cache(b""), False)
        with _interrupts_wait(monitor):
            plan = builder.build_serialized_network(network, config)
        found = config.get_timing_cache()
        if plan is not None and found is not None:
            timing_cache.keep(kept, bytes(found.serialize()))
    return plan


@contextlib.contextmanager
def _interrupts_wait(monitor: Monitor) -> Iterator[None]:
    """Ctrl-C stops the builder, and is raised once the builder has returned.

    Otherwise Python would raise it inside a call of the monitor. TensorRT prints such an exception and continues, or
    reports a failed build.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return

    def note(*_: object) -> None:
        monitor.interrupted = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if monitor.interrupted:
        raise KeyboardInterrupt


def started_by(log: Log, kind: Callable[[Any], Any]) -> Any:
    """The library's builder or runtime (`kind`). Raises Unavailable if it does not start."""
    try:
        return kind(log.native)
    except TypeError:  # the bindings raise it if the library returns nothing; the log has the reason
        raise Unavailable(
            f"{log.flavour.title} {log.flavour.version} does not start on this machine{log.last} — use another of its "
            "versions, or --engine ort"
        ) from None


def _builder(log: Log) -> trt.Builder:
    return started_by(log, log.flavour.api.Builder)


def _configured(flavour: Flavour, builder: trt.Builder, options: BuildOptions, monitor: Monitor) -> trt.IBuilderConfig:
    trt = flavour.api
    config = builder.create_builder_config()
    config.builder_optimization_level = options.level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.progress_monitor = monitor.native
    if options.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
    if options.aux_streams is not None:
        config.max_aux_streams = options.aux_streams
    if options.tf32:
        config.set_flag(trt.BuilderFlag.TF32)
    else:
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default: float32 then means less than it says
    return config


def _refusal(flavour: Flavour, file: Path, description: Description, parser: trt.OnnxParser) -> str:
    """The message about a file that the parser does not read."""
    said = []
    for index in range(parser.num_errors):
        error: trt.ParserError = parser.get_error(index)
        node = f"{error.node_operator()} node {error.node_name() or error.node()}"
        said.append((node, " ".join(error.desc().split())[:200]))
    target = description.step("quantize").get("target", "")
    if said and target and not target.startswith(TARGET):
        return (
            f"{flavour.title} cannot read {file}, which was quantized for {target}: it refuses the {said[0][0]} — "
            f"quantize the fp32 file with --target {TARGET}"
        )
    reasons = "; ".join(f"{node}: {text}" for node, text in said[:3]) or "it does not say why"
    return f"{flavour.title} cannot read {file}: {reasons} — export it again, or use --engine ort"


def _profiles(network: trt.INetworkDefinition, card: ModelCard, options: BuildOptions) -> Profiles:
    """Bounds (smallest, tuned for, largest) of every input with an open axis. Axis 0 is the batch, axes 2 and 3 of an
    image are its height and width."""
    found: Profiles = {}
    opened = set()
    size = options.size or ((card.input.height, card.input.width),) * 3
    for index in range(network.num_inputs):
        tensor: trt.ITensor = network.get_input(index)
        shape = [int(d) for d in tensor.shape]
        if -1 not in shape:
            continue
        bounds = []
        for batch, (height, width) in zip(options.batch or BATCH, size, strict=True):
            full = {0: batch, 2: height, 3: width}
            bounds.append([full.get(axis, d) if d == -1 else d for axis, d in enumerate(shape)])
        opened |= {axis for axis, d in enumerate(shape) if d == -1}
        found[tensor.name] = bounds
    if options.batch and 0 not in opened:
        raise BadInput(
            "--batch is for an open batch, but the file has a fixed one — leave it out, or export with --dynamic batch"
        )
    if options.size and not opened & {2, 3}:
        raise BadInput(
            "--size is for an open height and width, but those of the file are fixed — leave it out, or export with "
            "--dynamic height,width"
        )
    return found


def _why(flavour: Flavour, file: Path, log: Log) -> DeployError:
    said = log.last
    if "memory" in said.lower():
        return Unavailable(
            f"the GPU does not have enough memory to build {file}{said} — limit it with --workspace, or use a smaller "
            "--batch"
        )
    return BadInput(f"{flavour.title} cannot build {file}{said} — try --level 2, or use --engine ort")


def reported_options(options: BuildOptions) -> dict[str, str]:
    """How a plan was built, as text for `EngineInfo.options`."""
    streams = "TensorRT's choice" if options.aux_streams is None else str(options.aux_streams)
    return {"level": str(options.level), "aux_streams": streams, "tf32": str(options.tf32)}
