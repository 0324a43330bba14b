"""Mutations of bytes, and of values as JSON and YAML have them."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable
from typing import Any

Random = random.Random
Mutate = Callable[[Random, bytes], bytes]

WHOLE = (0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, 10**30)
REAL = (0.5, -0.0, 1e-320, 1e38, 1e39, 1e308, 1e400, -1e400, float("nan"), 1.0000001, -3.7)
TEXT = ("", " ", "x", "5", "-1", "1e400", "nan", "null", "\0", "é", "\ud800", "../../etc", "a" * 5000, "%s{}", "[/red]")
LISTS: tuple[Any, ...] = ([], {}, [[]], [None], [0] * 3, ["x"], {"": None}, {"id": 1}, [[1, 2], [3, 4]], [1e400] * 4)


def odd_value(rng: Random) -> Any:
    """A value that few readers expect."""
    kind = rng.randrange(7)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return rng.choice(WHOLE) * rng.choice((1, 1, -1))
    if kind == 2:
        return rng.choice(REAL)
    if kind in (3, 4):
        return rng.choice(TEXT)
    if kind == 5:
        return copy.deepcopy(rng.choice(LISTS))
    nested: Any = 1
    for _ in range(rng.choice((2, 30, 900))):
        nested = [nested]
    return nested


def nudged(rng: Random, value: Any) -> Any:
    """A value that is almost the same: of another sign, size, type or length."""
    if isinstance(value, bool) or value is None:
        return rng.choice((not value, str(value), 1))
    if isinstance(value, (int, float)):
        made = (-value, value + 1, value - 1, value * 1000, value + 0.5, str(value), [value], 0, value / 1e6)
        return rng.choice(made)
    if isinstance(value, str):
        return rng.choice((value + "x", value[:-1], value.upper(), value * 2, [value], list(value), value + "\n"))
    if isinstance(value, list):
        made_lists = (value[:-1], value[1:], value * 2, [value], value[::-1], dict(enumerate(map(str, range(3)))))
        return copy.deepcopy(rng.choice(made_lists))
    if isinstance(value, dict):
        return rng.choice((list(value), list(value.values()), {k.upper(): v for k, v in value.items()}, [value], {}))
    return None


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a value with each of its keys."""
    found: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        at = left.pop()
        keys = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ()
        for key in keys:
            found.append((at, key))
            left.append(at[key])
    return found


def change_tree(rng: Random, tree: Any, times: int | None = None) -> Any:
    """A copy of a JSON value with a few odd values, missing or doubled entries, other keys, or exchanged parts."""
    tree = copy.deepcopy(tree)
    for _ in range(times or rng.choice((1, 1, 1, 2, 3, 5))):
        known = places(tree)
        if not known:
            return odd_value(rng)
        # a key is chosen before a place, so that a rare field is changed as often as one of every annotation
        key = rng.choice(sorted({k if isinstance(k, str) else -1 for _, k in known}, key=str))
        at, key = rng.choice([p for p in known if p[1] == key or (key == -1 and isinstance(p[1], int))])
        what = rng.randrange(8)
        if what < 3:
            at[key] = odd_value(rng)
        elif what < 5:
            at[key] = nudged(rng, at[key])
        elif what == 5:
            del at[key]
        elif what == 6:
            other, name = rng.choice(known)
            at[key] = copy.deepcopy(other[name]) if name in other or isinstance(other, list) else None
        elif isinstance(at, dict):
            at[rng.choice((key.upper(), key + "s", "", "id", odd_key(rng)))] = at.pop(key)
        else:
            at.insert(key, copy.deepcopy(at[key]))
    return tree if rng.random() > 0.02 else nudged(rng, tree)


def odd_key(rng: Random) -> str:
    return str(rng.choice(("x", "schema", "kind", "__class__", "a\0", "name")))


def change_bytes(rng: Random, data: bytes) -> bytes:
    """A copy with a few bytes or numbers changed, or with parts removed, doubled or cut off."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not made:
            return rng.randbytes(rng.randrange(64))
        # the beginning of a file says what it is, so it is changed more often
        at = rng.randrange(min(len(made), rng.choice((16, 128, 1024, len(made)))))
        what = rng.randrange(9)
        if what == 0:
            made[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            made[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif what in (2, 3):
            number = rng.choice(WHOLE) % 2**32
            made[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
        elif what == 4:
            made[at : at + 8] = struct.pack(rng.choice("<>") + "Q", rng.choice(WHOLE) % 2**64)
        elif what == 5:
            del made[at : at + rng.choice((1, 2, 8, 100))]
        elif what == 6:
            made[at:at] = made[at : at + rng.choice((1, 4, 64))]
        elif what == 7:
            made[at:at] = rng.randbytes(rng.choice((1, 3, 20)))
        else:
            del made[rng.randrange(len(made)) :]
    return bytes(made)


def json_file(rng: Random, data: bytes) -> bytes:
    """Another JSON file. Now and then its text is damaged too."""
    text = json.dumps(change_tree(rng, json.loads(data)))
    if rng.random() < 0.1:
        return change_bytes(rng, text.encode())
    if rng.random() < 0.03:
        return text.encode(rng.choice(("utf-8-sig", "utf-16", "utf-32")))
    return text.encode()


YAML_PARTS = (
    "&a [*a]",
    "&a {b: *a}",
    "!!python/object/apply:os.getcwd []",
    "2026-01-01",
    "!!binary aGk=",
    "? [1]",
    "0x10",
)


def yaml_file(rng: Random, data: bytes) -> bytes:
    """Another YAML file, of the same form or with a part that only YAML has."""
    import yaml

    values = change_tree(rng, yaml.safe_load(data))
    try:
        text = yaml.safe_dump(values, sort_keys=False)
    except yaml.YAMLError:
        text = json.dumps(values)
    if rng.random() < 0.15:
        lines = text.splitlines()
        at = rng.randrange(len(lines) or 1)
        if lines:
            lines[at] = f"{lines[at].partition(':')[0]}: {rng.choice(YAML_PARTS)}"
        text = "\n".join(lines)
    made = text.encode("utf-8", "surrogatepass")
    return change_bytes(rng, made) if rng.random() < 0.15 else made
