"""Reads and writes results as JSON files. Every field is validated when a file is read."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import read_json, write_json
from hrnet_deploy.results.base import Environment, Figure, Result
from hrnet_deploy.results.registry import KINDS
from hrnet_deploy.results.upgrade import upgraded

T = TypeVar("T")
R = TypeVar("R", bound=Result)
SCHEMA = 2
EXPECTED = "a result file of hrnet-deploy (-o, --report or --json)"


def to_dict(result: Result) -> dict[str, Any]:
    """A result as plain JSON values, with its derived values. `from_dict` is the inverse."""
    values = {f.name: _plain(getattr(result, f.name)) for f in dataclasses.fields(result)}
    return {"schema": SCHEMA, "kind": result.kind, **values, **result.derived()}


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return to_dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def from_dict(values: Any, where: object) -> Result:
    """A result from JSON values of this schema or an earlier one.

    Raises BadInput, with the path of the field, if the values are not a result, have an unknown kind or schema, or do
    not fit their kind. `where` names the file in the error.
    """
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str):
        raise BadInput(
            f"{where} is not a result: it has no kind — expected {EXPECTED}, of another command than inspect, "
            "doctor and models"
        )
    schema = values.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise BadInput(
            f"{where} has schema {str(schema)[:20]}, but this version reads 1 to {SCHEMA} — make the result again"
        )
    values = upgraded(values)
    if values["kind"] not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise BadInput(f"{where} is a result of the unknown kind {kind[:40]!r} — known kinds are {known}")
    return convert(values, KINDS[values["kind"]], where)


def convert(values: Any, cls: type[T], where: object) -> T:
    """JSON values as a typed dataclass. Raises BadInput that names the first field that does not fit."""
    import msgspec

    _require_finite(values, "", where)
    try:
        return msgspec.convert(values, cls, dec_hook=_figure)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        field = path.strip("`").removeprefix("$").lstrip(".")
        reason = f"{what[:1].lower()}{what[1:]}"
        place = f" at {field}" if field else ""
        raise BadInput(f"{where} is damaged{place}: {reason} — make the result again") from error


def _require_finite(value: Any, path: str, where: object) -> None:
    """Raises BadInput for NaN and infinity. JSON does not have them, but Python's reader accepts them."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"{where} is damaged at {path.lstrip('.')}: expected a finite number — make the result again")
    if isinstance(value, dict):
        for key, part in value.items():
            _require_finite(part, f"{path}.{key}", where)
    elif isinstance(value, list):
        for i, part in enumerate(value):
            _require_finite(part, f"{path}[{i}]", where)


def _figure(kind: type, value: Any) -> Any:
    """A number in a file; null is NaN."""
    if kind is not Figure or isinstance(value, bool) or not (value is None or isinstance(value, (int, float))):
        raise ValueError(f"Expected a number or null, got `{type(value).__name__}`")
    return Figure("nan" if value is None else value)


def write(path: Path, result: Result) -> None:
    """Write a result atomically: the file is either complete or not changed."""
    write_json(path, to_dict(result))


def read(path: Path) -> Result:
    """Read a result file of any kind. Raises BadInput with the reason (see `from_dict`)."""
    return from_dict(read_json(path, EXPECTED), path)


def read_as(path: Path, cls: type[R]) -> R:
    """Read a result file of one kind. Raises BadInput if it is of another kind."""
    found = read(path)
    if not isinstance(found, cls):
        raise BadInput(f"{path} is a result of `{found.kind}`, but one of `{cls.kind}` is needed — name another file")
    return found


def with_origin(result: R, command: str, environment: Environment) -> R:
    """The result with `command`, `started` and `environment`, unless the job has filled them in already."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return dataclasses.replace(
        result,
        command=result.command or command,
        started=result.started or now,
        environment=result.environment or environment,
    )
