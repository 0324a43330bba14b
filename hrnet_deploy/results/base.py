"""What all results share: the common fields, the machine they were measured on, and what an engine reports about
itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    Figure = float
else:

    class Figure(float):
        """A number that is NaN if it could not be computed. JSON has no NaN, so it is null there."""


Setting = str | int | float | bool | None | Sequence[str | int | float]  # a value of a protocol or of a history


@dataclass(frozen=True)
class Cpu:
    """The processor: how many cores this process may use, and the instructions that matter to int8 and bf16."""

    model: str
    cores: int | None
    affinity: int
    threads_available: int
    memory_gib: float
    cgroup_quota: float | None = None
    features: Sequence[str] = ()
    governor: str = "not shown"


@dataclass(frozen=True)
class Environment:
    """Everything about a machine that could explain a difference between two measurements."""

    cpu: Cpu
    python: str
    system: str
    libraries: Mapping[str, str]
    gpu: str = "none"
    commit: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineInfo:
    """What an engine reports about itself, for control flow and for the result file.

    Attributes:
        provider: the execution provider or device that is actually used.
        threads: number of threads that the engine may use.
        mode: how it runs, for example "eager", "compiled", "latency" or "throughput".
        precision: in which it computes, if that is not the precision of the file; empty otherwise.
        in_flight: inferences it keeps in flight together. If over 1, a time is a share of a queue and not a latency.
        inferences_per_call: inferences that one call of `Engine.bind` makes.
        options: every other option, by name, as text.
        note: a remark for readers of the figures.
        gpu: name of the GPU; empty on a CPU.
        memory: bytes by name, as the engine or its device reports them.
        layer_counts: number of compiled layers by kind.
        timings: milliseconds that the engine itself measured, by name.
    """

    provider: str = ""
    threads: int = 0
    mode: str = ""
    precision: str = ""
    in_flight: int = 1
    inferences_per_call: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    gpu: str = ""
    memory: Mapping[str, int] = field(default_factory=dict)
    layer_counts: Mapping[str, int] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """One line for a table: the settings, in the order of the fields."""
        named = {"provider": self.provider, "mode": self.mode, "gpu": self.gpu, "precision": self.precision}
        parts = [f"{name} {value}" for name, value in named.items() if value]
        parts.append(f"{self.threads} thread{'' if self.threads == 1 else 's'}")
        parts += [f"{name} {value}" for name, value in self.options.items()]
        if self.in_flight > 1:
            parts.append(f"{self.in_flight} in flight")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The fields of every result. `kind` is the name in the registry. `command` makes the result again. `started` is in
    UTC (ISO 8601).

    The command line fills in these fields when a job is done (`codec.with_origin`). A job that is called from Python
    may leave them empty.
    """

    kind: ClassVar[str]

    command: str = ""
    started: str = ""
    environment: Environment | None = None

    def derived(self) -> dict[str, Any]:
        """Values that are computed from the fields and written with them. They are ignored when the file is read."""
        passed = getattr(self, "passed", None)
        return {} if passed is None else {"passed": passed}


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and the reason, as the end of a sentence that begins with its name."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ImagesResult(Result):
    """A result on images. `skipped` are those that could not be read and are left out of everything else in it."""

    skipped: Sequence[Skipped] = ()
