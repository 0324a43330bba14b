"""The origin of figures: the command, the machine, its load and its libraries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from hrnet_deploy.results.base import Environment, Result, Setting
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.document import Code, Element, Facts, Section, Text
from hrnet_deploy.results.wording import said

R = TypeVar("R", bound=Result)


def origin(
    result: Result, name: str, settings: Mapping[str, Setting] | None = None, reproduce: bool = False
) -> Section:
    """How to make a result again, when and how it was measured, and the load of the machine.

    Args:
        name: the name of the result file in the report; empty if there is no file.
        settings: other settings that the figures depend on.
        reproduce: whether a terminal shows the command too, because the figures are likely to be quoted.
    """
    facts = {"result file": name} if name else {}
    facts |= {k.replace("_", " "): said(v) for k, v in (settings or {}).items()}
    if result.started:
        facts["measured"] = result.started
    if result.environment is not None and result.environment.commit:
        facts["commit"] = result.environment.commit
    elements: list[Element] = [Facts(facts, detail=True)] if facts else []
    if isinstance(result, BenchResult) and result.load_before and result.load_after:
        before, after = (" ".join(map(str, load)) for load in (result.load_before, result.load_after))
        elements.append(Text(f"Load average {before} before, {after} after.", "note"))
    if result.command:
        elements.append(Text("Reproduce with:", "note", detail=not reproduce))
        elements.append(Code(result.command, detail=not reproduce))
    return Section("", elements, key="origin")


def nested(result: R, outer: Result) -> R:
    """A part of a result. Its command, time and machine are those of the whole result if it has none itself."""
    return replace(
        result,
        command=result.command or outer.command,
        started=result.started or outer.started,
        environment=result.environment or outer.environment,
    )


def machines(results: Iterable[tuple[str, Result]]) -> Section:
    """Every machine once, with the results that were measured on it, and the results that do not record theirs."""
    found: list[tuple[Environment, list[str]]] = []
    unknown = []
    for name, result in results:
        environment = environment_of(result)
        if environment is None:
            unknown.append(name)
            continue
        same = next((names for e, names in found if replace(e, commit="") == replace(environment, commit="")), None)
        if same is None:
            found.append((environment, [name]))
        else:
            same.append(name)
    sections = []
    for environment, names in found:
        shown = ", ".join(filter(None, names))
        facts = {**({"results": shown} if shown else {}), **details(environment)}
        sections.append(Section(machine(environment), [Facts(facts)]))
    listed = ", ".join(filter(None, unknown)) or "this result"
    elements: list[Element] = [Text(f"The machine is not recorded in {listed}.", "note")] if unknown else []
    return Section("Where this was measured", elements, sections, key="machines", detail=True)


def environment_of(result: Result) -> Environment | None:
    """The environment of a result, or that of the measurement in it."""
    part = getattr(result, "result", None)
    return result.environment or (part.environment if isinstance(part, Result) else None)


def machine(environment: Environment) -> str:
    """The hardware in a few words."""
    cpu, gpu = environment.cpu, environment.gpu
    return f"{cpu.model}, {cpu.threads_available} threads" + ("" if gpu == "none" else f", {gpu}")


def details(environment: Environment) -> dict[str, str]:
    """Everything about a machine that could explain a difference."""
    cpu = environment.cpu
    quota = f", cgroup quota {cpu.cgroup_quota:g}" if cpu.cgroup_quota else ""
    return {
        "processor": cpu.model,
        "cores": f"{cpu.threads_available} usable of {cpu.cores}{quota}",
        "instructions": ", ".join(cpu.features) or "none that matter",
        "governor": cpu.governor,
        "memory": f"{cpu.memory_gib} GiB",
        "GPU": environment.gpu,
        "system": f"{environment.system}, Python {environment.python}",
        "libraries": ", ".join(f"{k} {v}" for k, v in environment.libraries.items()),
        "variables": ", ".join(f"{k}={v}" for k, v in environment.variables.items()) or "none set",
    }
