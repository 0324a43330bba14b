"""Makes frozen dataclasses from the values of a JSON or YAML file, and checks the type and the range of every field.

A field states its range where it is declared, `iou: float = within(0, 1, "a share", 0.5)`, so that every file that has
it is checked in the same way and the error names the unit.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hrnet_deploy.errors import BadInput

CHECK = "check"  # the key of a field's metadata
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value of a number, or of every number in a list or a group of fields, and what they
    are."""

    low: float
    high: float
    unit: str

    def check(self, path: str, value: Any) -> None:
        """Raises BadInput for a number outside of the range."""
        for number in _numbers(value):
            if not self.low <= number <= self.high:
                bounds = f"{self.low:g} to {self.high:g}" if math.isfinite(self.high) else f"{self.low:g} or more"
                raise BadInput(f"{path} is {number:g} — it is {self.unit}, {bounds}")


@dataclass(frozen=True)
class Choice:
    """The values that a field can have."""

    values: tuple[Any, ...]

    def check(self, path: str, value: Any) -> None:
        """Raises BadInput for another value."""
        if value not in self.values:
            raise BadInput(f"{path} is {_shown(value)} — it is one of {', '.join(map(str, self.values))}")


def within(low: float, high: float, unit: str, default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field whose numbers are from `low` to `high`. `unit` says what they are: "a share", "pixels"."""
    return dataclasses.field(default=default, metadata={CHECK: Range(low, high, unit)})


def among(*values: Any, default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field that has one of these values."""
    return dataclasses.field(default=default, metadata={CHECK: Choice(values)})


def made(kind: Any, value: Any, path: str) -> Any:
    """A value of JSON or YAML, as the type with which a field is declared: dataclasses and tuples, also nested.

    Args:
        kind: the type. None and Any accept everything.
        value: what the file has.
        path: the name of the field in error messages, such as "input.mean".

    Raises:
        BadInput: a value has another type or is out of its range, or a field is missing or unknown.
    """
    if isinstance(kind, types.UnionType):
        return _one_of(typing.get_args(kind), value, path)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, path)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return _tuple(inner, value, path)
    if origin is list:
        return list(_tuple((*inner, Ellipsis), value, path))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise BadInput(f"{path} is {_shown(value)} — it is names with values")
        return {made(inner[0], k, path): made(inner[1], v, f"{path}.{k}") for k, v in value.items()}
    if origin is typing.Literal:
        if value not in inner:
            raise BadInput(f"{path} is {_shown(value)} — it is one of {', '.join(map(str, inner))}")
        return value
    if kind in KINDS:
        return _plain(kind, value, path)
    return tuple(made(None, v, path) for v in value) if isinstance(value, (list, tuple)) else value


def _plain(kind: Any, value: Any, path: str) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = (number and (kind is float or isinstance(value, int))) if kind in (int, float) else isinstance(value, kind)
    if not fits:
        quotes = ", so put it in quotes" if kind is str and isinstance(value, (bool, int, float)) else ""
        raise BadInput(f"{path} is {_shown(value)} — it is {KINDS[kind]}{quotes}")
    if number and not math.isfinite(value):
        raise BadInput(f"{path} is {value} — it is a finite number")
    if kind is str and any("\ud800" <= c <= "\udfff" for c in value):
        raise BadInput(f"{path} has half a character, \\ud800 to \\udfff — it is text of whole ones")
    return value


def _tuple(inner: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise BadInput(f"{path} is {_shown(value)} — it is a list")
    if Ellipsis not in inner:
        if len(value) != len(inner):
            raise BadInput(f"{path} has {len(value)} entries — it has {len(inner)}")
        return tuple(made(k, v, f"{path}[{i}]") for i, (k, v) in enumerate(zip(inner, value, strict=True)))
    return tuple(made(inner[0], v, f"{path}[{i}]") for i, v in enumerate(value))


def _one_of(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    others = [k for k in kinds if k is not types.NoneType]
    fitting = [k for k in others if isinstance(value, Mapping) and set(value) <= _names(k)]
    return made((fitting or others)[0], value, path)


def _dataclass(kind: Any, value: Any, path: str) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise BadInput(f"{path} is {_shown(value)} — it is a group of fields: {', '.join(sorted(_names(kind)))}")
    place = f"{path}." if path else ""
    for name in value:
        if name not in _names(kind):
            near = difflib.get_close_matches(str(name), _names(kind), 1, 0.5)
            cure = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(_names(kind)))}"
            raise BadInput(f"there is no field {place}{str(name)[:40]} — {cure}")
    hints = typing.get_type_hints(kind)
    found = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            found[field.name] = made(hints.get(field.name), value[field.name], f"{place}{field.name}")
            if CHECK in field.metadata:
                field.metadata[CHECK].check(f"{place}{field.name}", found[field.name])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BadInput(f"{place}{field.name} is missing — give it a value")
    return kind(**found)


def _names(kind: Any) -> set[str]:
    return {f.name for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()


def _numbers(value: Any) -> Iterator[float]:
    """Every number in a value, also in lists and groups of fields."""
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _numbers(getattr(value, field.name))
    elif isinstance(value, (int, float)):
        yield value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a group of fields"
    return "a list" if isinstance(value, (list, tuple)) else repr(value)[:40]
