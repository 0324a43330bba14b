"""Values of a file (JSON or YAML) as typed dataclasses. What does not fit is named by the path of its field."""

from __future__ import annotations

import dataclasses
import functools
import math
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

T = TypeVar("T")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 40
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


class FieldError(ValueError):
    """A value that does not fit its field. The message begins with the path of the field: input.mean[0]."""


def typed(kind: type[T], value: Any, path: str, **made: Any) -> T:
    """A value as the type with which a field is declared.

    Dataclasses are made from mappings, without unknown keys, and tuples from lists. Of several dataclasses the first is
    taken that has all the keys. Numbers must be finite, and text must be text in any encoding.

    Args:
        kind: a dataclass, a number, text, or a tuple, list, mapping, literal or union of these.
        value: as a reader of JSON or YAML gives it.
        path: the name of the field in its file, with which an error begins.
        made: fields of a dataclass that exist already, and are not in `value`.

    Raises:
        FieldError: the value does not fit.
    """
    found: T = _dataclass(kind, value, path, made) if made else _typed(kind, value, path)
    return found


def _typed(kind: Any, value: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, path)
    if origin is Literal:
        if not any(type(value) is type(a) and value == a for a in arguments):
            raise _unfit(value, path, " or ".join(map(str, arguments)))
        return value
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, path, {})
    if origin in (tuple, list):
        return _listed(origin, arguments, value, path)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {_typed(arguments[0], k, path): _typed(arguments[1], v, f"{path}.{k}") for k, v in _mapping(value, path)}
    return _plain(kind, value, path)


def _one_of(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    others = [k for k in kinds if k is not type(None)]
    if isinstance(value, Mapping):
        known = [k for k in others if dataclasses.is_dataclass(k)]
        others = [k for k in known if set(value) <= {f.name for f in dataclasses.fields(k)}] or known or others
    return _typed(others[0], value, path)


def _dataclass(kind: Any, value: Any, path: str, made: Mapping[str, Any]) -> Any:
    given, hints = dict(_mapping(value, path)), _hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init and f.name not in made}
    if unknown := [str(k)[:40] for k in given if k not in fields]:
        raise FieldError(f"{_of(path)} has the field {unknown[0]!r}, known are {', '.join(fields)}")
    for name, field in fields.items():
        if name not in given and field.default is field.default_factory is dataclasses.MISSING:
            raise FieldError(f"{path}.{name}".lstrip(".") + " is missing")
    return kind(**made, **{k: _typed(hints[k], v, f"{path}.{k}".lstrip(".")) for k, v in given.items()})


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _listed(origin: Any, arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise _unfit(value, path, "a list")
    open_end = origin is list or arguments[-1] is Ellipsis
    if not open_end and len(value) != len(arguments):
        raise _unfit(value, path, f"{len(arguments)} values")
    kinds = [arguments[0]] * len(value) if open_end else arguments
    return origin(_typed(k, v, f"{path}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))


def _mapping(value: Any, path: str) -> Any:
    if not isinstance(value, Mapping):
        raise _unfit(value, path, "names with values")
    return value.items()


def _plain(kind: Any, value: Any, path: str) -> Any:
    wanted = (int, float) if kind is float else kind
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        raise _unfit(value, path, _WORDS.get(kind, getattr(kind, "__name__", str(kind))))
    if isinstance(value, float) and not math.isfinite(value):
        raise _unfit(value, path, "a finite number")
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise _unfit(value, path, "text, and not half a character")
    return value


def _unfit(value: Any, path: str, wanted: str) -> FieldError:
    return FieldError(f"{_of(path)} is {_SHORT.repr(value)}, expected {wanted}")


def _of(path: str) -> str:
    return path or "it"
