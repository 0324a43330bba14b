"""The documents of `inspect`, `doctor` and `models`."""

from __future__ import annotations

from collections.abc import Mapping

from hrnet_deploy.results.document import Cell, Document, Facts, Line, Table
from hrnet_deploy.results.inspection import CardList, CheckpointList, Inspection
from hrnet_deploy.results.machine import Machine


def inspection(found: Inspection, name: str = "") -> Document:
    """What a file is."""
    facts = found.to_dict()
    title = facts.pop("what")
    return Document(title, [Facts({k: _lines(v) for k, v in facts.items()})])


def _lines(value: object) -> str:
    """The value of a fact as text. If it has several parts, each gets its own line."""
    if isinstance(value, Mapping):
        value = [f"{k} {v}" for k, v in value.items()]
    return str(value) if isinstance(value, str) else "\n".join(map(str, value))  # type: ignore[call-overload]


def machine(found: Machine, name: str = "") -> Document:
    """What this machine has, and what is missing together with what to do."""
    cpu = found.cpu
    quota = f", cgroup quota {cpu.cgroup_quota:g}" if cpu.cgroup_quota else ""
    usable = f"{cpu.threads_available} of {cpu.cores} cores usable{quota}, {cpu.memory_gib} GiB"
    libraries = ", ".join(f"{k} {v}" for k, v in found.libraries.items())
    facts = {"int8": found.int8, "bf16": found.bf16, "GPU": found.gpu, "libraries": libraries}
    rows: list[Line] = [[name, _state(e.missing), e.missing or e.title] for name, e in found.engines.items()]
    rows += [[f"extra {name}", _state(missing), missing] for name, missing in found.extras.items()]
    table = Table("Engines and extras", ["engine", "state", "what it is, or what is missing"], rows, "lll")
    return Document(f"{cpu.model}, {usable}", [Facts(facts), table])


def _state(missing: str) -> Cell:
    return Cell("not here", tone="warning") if missing else Cell("ready", tone="good")


def card_list(found: CardList, name: str = "") -> Document:
    """The model cards."""
    rows: list[Line] = [[c.name, c.network, c.input_size, c.published] for c in found.cards]
    return Document("Model cards", [Table("Every card", ["card", "network", "input", "published"], rows, "llll")])


def checkpoint_list(found: CheckpointList, name: str = "") -> Document:
    """The published checkpoints."""
    rows: list[Line] = [
        [c.name, c.published, Cell("yes", tone="good") if c.here else "", c.url.rsplit("/", 1)[-1]]
        for c in found.checkpoints
    ]
    table = Table("Every checkpoint that can be downloaded", ["name", "published", "here", "file"], rows, "llll")
    return Document("Published checkpoints", [table])
