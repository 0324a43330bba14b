"""Writes small files of MATLAB 5, as MPII has them: arrays, text, cells and structures."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

HEADER = b"MATLAB 5.0 MAT-file, written by a test".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
KINDS = {"f8": (9, 6), "u1": (2, 9), "i4": (5, 12)}  # of a type: its number in a file, and its class


def mat_file(variables: dict[str, Any], compressed: bool = False) -> bytes:
    """The bytes of a file. Lists of dicts become structures, other lists cells, str text, and the rest arrays."""
    found = [matrix(name, value) for name, value in variables.items()]
    if compressed:
        found = [element(15, zlib.compress(m), padded=False) for m in found]
    return HEADER + b"".join(found)


def element(kind: int, content: bytes, padded: bool = True) -> bytes:
    """One element: small ones are packed into 8 bytes, as MATLAB does."""
    if 0 < len(content) <= 4 and kind not in (14, 15):
        return struct.pack("<HH", kind, len(content)) + content.ljust(4, b"\0")
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8 if padded else 0)


def matrix(name: str, value: Any) -> bytes:
    """A variable, or a field of a structure where the name is empty."""
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        fields = list(value[0])
        names = b"".join(f.encode().ljust(32, b"\0") for f in fields)
        rest = element(5, struct.pack("<i", 32)) + element(1, names)
        rest += b"".join(matrix("", v.get(f, np.zeros((0, 0)))) for v in value for f in fields)
        return _matrix(name, 2, (1, len(value)), rest)
    if isinstance(value, list):
        return _matrix(name, 1, (1, len(value)), b"".join(matrix("", v) for v in value))
    if isinstance(value, str):
        return _matrix(name, 4, (1, len(value)), element(4, value.encode("utf-16-le")))
    array = np.atleast_2d(np.asarray(value))
    array = array.astype("f8") if array.dtype.str[1:] not in KINDS else array
    kind, of = KINDS[array.dtype.str[1:]]
    return _matrix(name, of, array.shape, element(kind, array.tobytes(order="F")))


def _matrix(name: str, kind: int, shape: tuple[int, ...], content: bytes) -> bytes:
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, head + element(1, name.encode()) + content)
