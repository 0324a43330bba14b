"""The machine that jobs run on, asked through the launcher that starts them there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

from hrnet_deploy.bench.launcher import LOCAL, Launcher
from hrnet_deploy.results.base import Environment


@dataclass(frozen=True)
class MachineJob:
    """Opens what answers questions about the machine where it runs."""

    def open(self) -> OpenedMachine:
        return OpenedMachine()


class OpenedMachine:
    """Runs on the machine that is asked about. Its methods are the requests."""

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
        self._session = launcher.start(MachineJob())

    def threads(self) -> int:
        """How many threads a job may use there."""
        found: int = self._session.ask("threads")
        return found

    def unavailable_reasons(self, engines: Iterable[str]) -> Mapping[str, str]:
        """By engine (with options, as on the command line), why it cannot run there; empty text where it can."""
        found: dict[str, str] = self._session.ask("unavailable_reasons", tuple(dict.fromkeys(engines)))
        return found

    def free_memory(self, device: str) -> int:
        """Bytes that can be taken without pushing anything out; of a GPU, all that it has. 0 where that is not
        known."""
        found: int = self._session.ask("free_memory", device)
        return found

    def load_average(self) -> list[float]:
        """Over 1, 5 and 15 minutes; empty where the system does not tell."""
        found: list[float] = self._session.ask("load_average")
        return found

    def environment(self) -> Environment:
        """What a result file records of the machine."""
        found: Environment = self._session.ask("environment")
        return found

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
