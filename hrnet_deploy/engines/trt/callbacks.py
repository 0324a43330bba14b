"""What the library calls while it works: a logger, a monitor of the builder's progress, and a profiler.

The library wants subclasses of its own classes, and there are two libraries. So each class here is plain Python, and
`native` is the object that the library is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrnet_deploy.engines.trt.flavour import Flavour
from hrnet_deploy.progress import Progress

if TYPE_CHECKING:
    import tensorrt as trt

COMPILED = "LayerType: "  # in the line that describes a compiled layer
TOTALS = ("Total Activation Memory: ", "Total Weights Memory: ")


class Log:
    """Keeps errors for our own error messages, and what the builder says of the graph that it has compiled.

    Attributes:
        errors: what was logged as an error.
        compiled: the lines that describe compiled layers and total memory.
    """

    def __init__(self, flavour: Flavour) -> None:
        self.flavour = flavour
        self.errors: list[str] = []
        self.compiled: list[str] = []
        self.native = _logger(flavour.api, self)

    def take(self, message: str, is_error: bool) -> None:
        if is_error:
            self.errors.append(message)
        elif COMPILED in message or message.startswith(TOTALS):
            self.compiled += message.splitlines()

    @property
    def last(self) -> str:
        return f" ({' '.join(self.errors[-1].split())[:300]})" if self.errors else ""


class Monitor:
    """Passes the builder's progress on to ours. Once `interrupted` is set, it stops the builder.

    Phases of the builder contain others. The innermost phase that has begun last is the stage.
    """

    def __init__(self, flavour: Flavour, progress: Progress) -> None:
        self._progress = progress
        self._phase = ""
        self.interrupted = False
        self.native = _monitor(flavour.api, self)

    def start(self, phase: str, steps: int) -> None:
        self._phase = phase
        self._progress.stage(f"building: {phase}", steps or None)

    def step(self, phase: str) -> bool:
        """Returns whether the builder shall continue."""
        if phase == self._phase:
            self._progress.advance()
        return not self.interrupted

    def finish(self, phase: str) -> None:
        if phase == self._phase:
            self._phase = ""


class Profiler:
    """Milliseconds of each layer, added up over all profiled runs."""

    def __init__(self, flavour: Flavour) -> None:
        self.times: dict[str, float] = {}
        self.native = _profiler(flavour.api, self.times)


def _logger(trt: Any, log: Log) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            log.take(msg, severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR))

    return Logger()


def _monitor(trt: Any, monitor: Monitor) -> Any:
    class ProgressMonitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            monitor.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return monitor.step(phase_name)

        def phase_finish(self, phase_name: str) -> None:
            monitor.finish(phase_name)

    return ProgressMonitor()


def _profiler(trt: Any, times: dict[str, float]) -> Any:
    class LayerProfiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times[layer_name] = times.get(layer_name, 0.0) + ms

    return LayerProfiler()
