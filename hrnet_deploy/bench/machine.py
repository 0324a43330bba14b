"""Facts about the machine that workers run on. They are requested through the launcher that starts workers there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

from hrnet_deploy.bench.launcher import LOCAL, Launcher
from hrnet_deploy.results.base import Environment


@dataclass(frozen=True)
class MachineSpec:
    """A worker that answers questions about the machine it runs on."""

    def open(self) -> OpenedMachine:
        return OpenedMachine()


class OpenedMachine:
    """Runs in the worker. Its methods are the requests."""

    def threads(self) -> int:
        from hrnet_deploy.threads import available_threads

        return available_threads()

    def unavailable_reasons(self, engines: tuple[str, ...]) -> dict[str, str]:
        from hrnet_deploy.engines import unavailable_reason

        return {engine: unavailable_reason(engine) for engine in engines}

    def free_memory(self, device: str) -> int:
        if device == "cpu":
            from hrnet_deploy.bench import memory

            return memory.available()
        from hrnet_deploy.engines.driver import probe

        return probe().memory

    def load_average(self) -> list[float]:
        from hrnet_deploy.bench.environment import load_average

        return load_average()

    def environment(self) -> Environment:
        from hrnet_deploy.bench.environment import environment

        return environment()


class Machine:
    """One machine, seen from the process that coordinates a measurement. Used in a `with` statement, or closed."""

    def __init__(self, launcher: Launcher = LOCAL) -> None:
        self.launcher = launcher
        self._session = launcher.start(MachineSpec())

    def threads(self) -> int:
        """How many threads a worker may use there."""
        found: int = self._session.call("threads")
        return found

    def unavailable_reasons(self, engines: Iterable[str]) -> Mapping[str, str]:
        """By engine (with options, as on the command line), why it cannot run there; empty text if it can."""
        found: dict[str, str] = self._session.call("unavailable_reasons", tuple(dict.fromkeys(engines)))
        return found

    def free_memory(self, device: str) -> int:
        """Bytes that can be allocated without swapping; for a GPU, its whole memory. 0 if that is not known."""
        found: int = self._session.call("free_memory", device)
        return found

    def load_average(self) -> list[float]:
        """Over 1, 5 and 15 minutes; empty if the system does not report it."""
        found: list[float] = self._session.call("load_average")
        return found

    def environment(self) -> Environment:
        """What a result file records about the machine."""
        found: Environment = self._session.call("environment")
        return found

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
