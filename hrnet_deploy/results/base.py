"""What all results share: the envelope, the machine they were measured on, and what an engine says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    Figure = float
else:

    class Figure(float):
        """A number that may be NaN, where it could not be computed. JSON has no NaN: there it is null."""


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
    """What an engine says of itself, for control flow and for the record.

    Attributes:
        provider: the execution provider or device that is really used.
        threads: number of threads the engine was given.
        mode: how it runs, for example "eager", "compiled", "latency" or "throughput".
        precision: what it computes in, where that is not the precision of the file; empty otherwise.
        in_flight: inferences it keeps in flight together. Over 1, a time is a share of a queue and not a latency.
        inferences_per_call: inferences that one call of `Engine.bind` makes.
        options: every other option, by name, as text.
        note: a remark for whoever reads the figures.
        gpu: name of the GPU; empty on a CPU.
        memory: bytes by name, as the engine or its device declares them.
        layer_counts: number of compiled layers by kind.
        timings: milliseconds by name that the engine measured itself.
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
        """One line for a table: what was set, in the order of the fields."""
        named = {"provider": self.provider, "mode": self.mode, "gpu": self.gpu, "precision": self.precision}
        parts = [f"{name} {value}" for name, value in named.items() if value]
        parts.append(f"{self.threads} thread{'' if self.threads == 1 else 's'}")
        parts += [f"{name} {value}" for name, value in self.options.items()]
        if self.in_flight > 1:
            parts.append(f"{self.in_flight} in flight")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The envelope. `kind` is the name in the registry; `command` makes the result again; `started` is in UTC
    (ISO 8601).

    The command line fills the envelope in when a job is done (`codec.with_origin`); a job called from Python may leave
    it empty.
    """

    kind: ClassVar[str]

    command: str = ""
    started: str = ""
    environment: Environment | None = None

    def derived(self) -> dict[str, Any]:
        """What is written beside the fields because it follows from them; reading ignores it."""
        passed = getattr(self, "passed", None)
        return {} if passed is None else {"passed": passed}
