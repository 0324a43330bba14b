"""What `doctor` finds on this machine. It is not saved as a file, so it has no kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hrnet_deploy.results.base import Cpu


@dataclass(frozen=True)
class EngineState:
    """An engine: its description, and why it cannot be used here together with what to do (empty if it can be used)."""

    title: str
    missing: str = ""


@dataclass(frozen=True)
class Machine:
    """Processor, libraries, and what can be used.

    Attributes:
        int8, bf16: what the processor's instructions mean for that precision, in a sentence.
        gpu: name and driver, or "none".
        libraries: version by name of the package.
        engines: by name.
        extras: for each optional extra, what is missing together with what to do; empty if nothing is.
    """

    cpu: Cpu
    int8: str
    bf16: str
    gpu: str
    libraries: Mapping[str, str]
    engines: Mapping[str, EngineState]
    extras: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """What `doctor --json` prints."""
        return dataclasses.asdict(self)
