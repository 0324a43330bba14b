"""An ONNX file into a TensorRT plan.

One code path for TensorRT 10.4 to 11: the network is strongly typed, so precision is what the graph says and no switch of
a version is named. Nothing is decided here that the ONNX file could have said.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorrt as trt

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines.driver import Gpu
from hrnet_deploy.engines.trt import timing_cache
from hrnet_deploy.errors import BadInput, DeployError, Unavailable
from hrnet_deploy.graph.plan import BuildOptions

Say = Callable[[str], None]
Profiles = dict[str, list[list[int]]]
BATCH = (1, 1, 16)  # of an open axis nobody bounded


@dataclass(frozen=True)
class Built:
    plan: bytes
    profiles: Profiles
    seconds: float


class Log(trt.ILogger):  # type: ignore[misc]
    """Keeps errors for our own sentence instead of printing them."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.errors: list[str] = []

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
            self.errors.append(msg)

    @property
    def last(self) -> str:
        return f" ({' '.join(self.errors[-1].split())[:300]})" if self.errors else ""


class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
    """What the builder is at, as words. Once `interrupted` the builder is told to stop."""

    def __init__(self, say: Say) -> None:
        trt.IProgressMonitor.__init__(self)
        self._say = say
        self.interrupted = False
        self._steps: dict[str, int] = {}

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        self._steps[phase_name] = num_steps
        self._say(f"building: {phase_name}")

    def step_complete(self, phase_name: str, step: int) -> bool:
        self._say(f"building: {phase_name}, {step + 1} of {self._steps.get(phase_name, 0)}")
        return not self.interrupted  # go on

    def phase_finish(self, phase_name: str) -> None:
        self._steps.pop(phase_name, None)


def build(
    file: Path, card: ModelCard, options: BuildOptions, gpu: Gpu, say: Say = lambda _: None, cache: Path | None = None
) -> Built:
    """Raises BadInput where TensorRT cannot read the file or a bound does not fit it, Unavailable where the GPU's memory
    does not suffice. `cache` is another folder of timings than the user's."""
    log, started = Log(), time.monotonic()
    builder: trt.Builder = started_by(log, trt.Builder)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(file)):
        raise BadInput(f"TensorRT cannot read {file}: {_parser_errors(parser)} — export it again, or use --engine ort")
    monitor = Monitor(say)
    config = _configured(builder, options, monitor)
    profiles = _profiles(network, card, options)
    if profiles:
        profile = builder.create_optimization_profile()
        for name, (least, tuned, most) in profiles.items():
            profile.set_shape(name, least, tuned, most)
        config.add_optimization_profile(profile)
    kept = timing_cache.path_of(gpu.identity, trt.__version__, cache)
    say("waiting for other builds on this GPU")
    with timing_cache.locked(kept) as timings:
        known = config.create_timing_cache(timings)
        if known is None or not config.set_timing_cache(known, False):  # of another driver after all: begin anew
            config.set_timing_cache(config.create_timing_cache(b""), False)
        with _interrupts_wait(monitor):
            plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise _why(file, log)
        found = config.get_timing_cache()
        if found is not None:
            timing_cache.keep(kept, bytes(found.serialize()))
    return Built(bytes(plan), profiles, time.monotonic() - started)


@contextlib.contextmanager
def _interrupts_wait(monitor: Monitor) -> Iterator[None]:
    """Python would raise an interrupt in one of the monitor's calls, in the midst of TensorRT's, which prints it and goes on or
    calls it a failed build. So it is noted, stops the builder, and is raised when that has returned."""
    if threading.current_thread() is not threading.main_thread():  # no other gets signals
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


def started_by(log: Log, kind: Callable[[Log], Any]) -> Any:
    """TensorRT's builder or runtime. Its bindings raise a TypeError where one does not start, and the log has the reason."""
    try:
        return kind(log)
    except TypeError:
        raise Unavailable(
            f"TensorRT {trt.__version__} does not start on this GPU{log.last} — use another of its versions, or --engine ort"
        ) from None


def _configured(builder: trt.Builder, options: BuildOptions, monitor: Monitor) -> trt.IBuilderConfig:
    config = builder.create_builder_config()
    config.builder_optimization_level = options.level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.progress_monitor = monitor
    if options.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
    if options.aux_streams is not None:
        config.max_aux_streams = options.aux_streams
    if options.tf32:
        config.set_flag(trt.BuilderFlag.TF32)
    else:
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default: float32 then means less than it says
    return config


def _parser_errors(parser: trt.OnnxParser) -> str:
    said = []
    for index in range(parser.num_errors):
        error: trt.ParserError = parser.get_error(index)
        said.append(
            f"{error.node_operator()} node {error.node_name() or error.node()}: {' '.join(error.desc().split())[:200]}"
        )
    return "; ".join(said[:3]) or "it does not say why"


def _profiles(network: trt.INetworkDefinition, card: ModelCard, options: BuildOptions) -> Profiles:
    """Least, tuned for and most of every input with an open axis. The first axis is the batch, the last two of an image
    its height and width."""
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
            "--batch bounds an open batch, the file's is fixed — leave it out, or export with --dynamic batch"
        )
    if options.size and not opened & {2, 3}:
        raise BadInput(
            "--size bounds an open height and width, the file's are fixed — leave it out, or export with --dynamic height,width"
        )
    return found


def _why(file: Path, log: Log) -> DeployError:
    said = log.last
    if "memory" in said.lower():
        return Unavailable(
            f"the GPU's memory does not suffice to build {file}{said} — bound it with --workspace, or a smaller --batch"
        )
    return BadInput(f"TensorRT cannot build {file}{said} — try --level 2, or use --engine ort")


def reported_options(options: BuildOptions) -> dict[str, str]:
    """How a plan was built, as text for `EngineInfo.options`."""
    streams = "TensorRT's choice" if options.aux_streams is None else str(options.aux_streams)
    return {"level": str(options.level), "aux_streams": streams, "tf32": str(options.tf32)}
