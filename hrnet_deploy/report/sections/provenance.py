"""Where figures come from: the command, the machine, its load and its libraries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hrnet_deploy.report.document import Block, Code, Facts, Section, Text
from hrnet_deploy.report.wording import said


def origin(values: Mapping[str, Any], where: str) -> list[Block]:
    """How one result is made again, when it was made, how, and what else the machine was doing."""
    facts = {"result file": where, **{k.replace("_", " "): said(v) for k, v in (values.get("settings") or {}).items()}}
    if started := values.get("started"):
        facts["measured"] = str(started)
    if commit := (values.get("environment") or {}).get("commit"):
        facts["commit"] = str(commit)
    for name, when in (("load_before", "before"), ("load_after", "after")):
        if load := values.get(name):
            facts[f"load average {when}"] = " ".join(map(str, load))
    made: list[Block] = [Facts(facts)]
    if command := values.get("command"):
        made += [Text("Reproduce with:", "note"), Code(str(command))]
    return made


def machines(results: Iterable[tuple[str, Mapping[str, Any]]]) -> Section:
    """Every machine once, with the results that were measured on it; and which results do not say."""
    found: list[tuple[Mapping[str, Any], list[str]]] = []
    unsaid = []
    for where, values in results:
        environment = environment_of(values)
        if environment is None:
            unsaid.append(where)
            continue
        same = next((names for e, names in found if _but_commit(e) == _but_commit(environment)), None)
        if same is None:
            found.append((environment, [where]))
        else:
            same.append(where)
    sections = [Section(machine(e), [Facts({"results": ", ".join(names), **details(e)})]) for e, names in found]
    blocks: Sequence[Block] = (
        [Text(f"Not recorded by results of this kind: {', '.join(unsaid)}.", "note")] if unsaid else []
    )
    return Section("Where this was measured", blocks, sections, key="machines")


def environment_of(values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The environment of a result, or of the measurement that is a part of it."""
    found = values.get("environment") or (values.get("result") or {}).get("environment")
    return found if isinstance(found, Mapping) and "cpu" in found else None


def machine(environment: Mapping[str, Any]) -> str:
    """The hardware in a few words."""
    cpu, gpu = environment["cpu"], environment.get("gpu", "none")
    return f"{cpu['model']}, {cpu['threads_available']} threads" + ("" if gpu == "none" else f", {gpu}")


def details(environment: Mapping[str, Any]) -> dict[str, str]:
    """Everything about a machine that could explain a difference."""
    cpu = environment["cpu"]
    quota = cpu.get("cgroup_quota")
    cores = f"{cpu['threads_available']} usable of {cpu['cores']}" + (f", cgroup quota {quota:g}" if quota else "")
    return {
        "processor": str(cpu["model"]),
        "cores": cores,
        "instructions": ", ".join(cpu.get("features", ())) or "none that matter",
        "governor": str(cpu.get("governor", "not shown")),
        "memory": f"{cpu['memory_gib']} GiB",
        "GPU": str(environment.get("gpu", "none")),
        "system": f"{environment['system']}, Python {environment['python']}",
        "libraries": ", ".join(f"{k} {v}" for k, v in environment["libraries"].items()),
        "variables": ", ".join(f"{k}={v}" for k, v in environment.get("variables", {}).items()) or "none set",
    }


def _but_commit(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in environment.items() if k != "commit"}
