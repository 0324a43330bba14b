"""Every kind of result file, as a section of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import read_json
from hrnet_deploy.jobs.compare import compare
from hrnet_deploy.report.document import Document, Section
from hrnet_deploy.report.sections import accuracy, changes, chosen, judged, measured, provenance, suite
from hrnet_deploy.results import codec

Made = TypeVar("Made")
SCHEMA = codec.SCHEMA
WANTED = "a result file of hrnet-deploy (-o, --report or --json)"
KINDS: dict[str, Callable[[Mapping[str, Any], str], Section]] = {
    "suite": suite.section,
    "bench": measured.section,
    "tune": chosen.tuned,
    "run": chosen.ran,
    "check": judged.checked,
    "export": judged.exported,
    "half": judged.halved,
    "quantize": judged.quantized,
    "sensitivity": judged.sensitive,
    "int8_accuracy": accuracy.section,
    "compare": changes.section,
}


def document(paths: Sequence[Path], compared: bool = False, title: str = "") -> Document:
    """A report of some result files, in their order; with `compared` what changed from the first to the second comes
    first. Raises BadInput for a file that is no result, one of another version, a damaged one."""
    if compared and len(paths) != 2:
        raise BadInput(f"--compare is of two results, not of {len(paths)} — name the base and the new one")
    results = [(path.name, read(path)) for path in paths]
    sections = [section_of(values, path, name) for (name, values), path in zip(results, paths, strict=True)]
    if compared:
        done = compare(paths[0], paths[1]).to_dict()
        sections.insert(0, changes.section(done, f"{paths[0].name} to {paths[1].name}"))
    machines = guarded(lambda: provenance.machines(results), ", ".join(map(str, paths)))
    return Document(title or "Results of hrnet-deploy", [*sections, machines])


def read(path: Path) -> Mapping[str, Any]:
    """A result file of a kind and version this program writes."""
    values = read_json(path, WANTED)
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        said = f"its kind is {str(kind)[:40]!r}" if kind else "it says no kind"
        raise BadInput(f"{path} is no result this version knows ({said}) — expected {WANTED}: {', '.join(KINDS)}")
    if values.get("schema") not in (1, SCHEMA):
        raise BadInput(
            f"{path} has schema {str(values.get('schema'))[:20]}, and this version reads 1 to {SCHEMA} — measure again"
        )
    return values


def section_of(values: Mapping[str, Any], path: Path, name: str) -> Section:
    """What one result says. `name` is what the report calls the file."""
    return guarded(lambda: KINDS[values["kind"]](values, name), str(path))


def guarded(make: Callable[[], Made], where: str) -> Made:
    """What `make` makes of result files. One that lacks something, or has it in another shape, is said to be damaged."""
    try:
        return make()
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, StopIteration) as error:
        raise BadInput(f"{where} is a damaged result ({error!r}) — expected {WANTED}") from error
