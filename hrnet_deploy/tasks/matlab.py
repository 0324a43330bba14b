"""Reads MATLAB's files of version 5 to 7, in which MPII publishes its annotations.

Source: MathWorks, MAT-File Format (Level 5). Numbers, text, cells and structures are read; other classes are refused.
Every size is compared with the bytes that are there before anything is made of it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import require_file

HEADER, LARGEST = 128, 2**30  # bytes: of the header, and of everything in a file after decompression
DEEPEST = 24  # structures in structures
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXT = {4: "u2", 2: "u1", 16: "u1", 17: "u2", 18: "u4"}  # kinds of stored characters: in bytes, UTF-8, 16 and 32
MATRIX, COMPRESSED = 14, 15
CELL, STRUCTURE, CHARACTERS, NUMERIC = 1, 2, 4, range(6, 16)
COMPLEX = 0x0800


class _Unreadable(Exception):
    """What is wrong with a file."""


def read_mat(path: Path) -> dict[str, Any]:
    """The variables of a file by name. A structure is a list of dicts, one per element, a cell a list, text a str, a
    single number a scalar of NumPy, and anything else an array. Elements are in MATLAB's order, columns first.

    Raises BadInput with the reason."""
    require_file(path)
    data = path.read_bytes()
    if data[:8] == b"\x89HDF\r\n\x1a\n" or data[:10] == b"MATLAB 7.3":
        raise BadInput(f"{path} is a MATLAB file of version 7.3 — save it with -v7, or give the annotations as JSON")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128], "")
    if len(data) < HEADER or not order:
        raise BadInput(f"{path} is not a MATLAB file of version 5 to 7 — save it with -v7, or give annotations as JSON")
    try:
        return dict(_Reader(order).variables(data[HEADER:]))
    except (_Unreadable, struct.error, zlib.error, IndexError, ValueError, OverflowError) as error:
        raise BadInput(f"{path} is a damaged MATLAB file ({error}) — copy or download it again") from error


class _Reader:
    """Reads elements in one order of bytes (`<` or `>`)."""

    def __init__(self, order: str) -> None:
        self.order, self.left = order, LARGEST

    def variables(self, data: bytes) -> Iterator[tuple[str, Any]]:
        for kind, content in self._elements(memoryview(data)):
            if kind == COMPRESSED:
                inflater = zlib.decompressobj()
                whole = inflater.decompress(content, self.left)
                if inflater.unconsumed_tail or not inflater.eof:
                    raise _Unreadable(f"it is cut off, or has more than {LARGEST / 2**30:g} GiB")
                self.left -= len(whole)
                yield from self.variables(whole)
            elif kind == MATRIX:
                yield self._matrix(content, 0)

    def _elements(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """The kind and the content of each element. Small ones have both in 8 bytes."""
        at = 0
        while at < len(data):
            first, size = struct.unpack_from(f"{self.order}II", data, at)
            if first >> 16:
                kind, size, start, after = first & 0xFFFF, first >> 16, at + 4, at + 8
                if size > 4:
                    raise _Unreadable("a small element is not small")
            else:
                kind, start = first, at + 8
                after = start + size + (0 if kind == COMPRESSED else -size % 8)
            if start + size > len(data):
                raise _Unreadable("an element ends beyond the file")
            yield kind, data[start : start + size]
            at = after

    def _matrix(self, data: memoryview, depth: int) -> tuple[str, Any]:
        """The name and the value of a matrix."""
        if not len(data):
            return "", np.zeros((0, 0))
        if (number := self._single(data)) is not None:
            return "", number
        if depth > DEEPEST:
            raise _Unreadable("its structures are too deep")
        parts = self._elements(data)
        flags = int(self._numbers(*_next(parts))[0])
        shape = tuple(int(n) for n in self._numbers(*_next(parts)))
        name = bytes(_next(parts)[1]).decode("latin1")
        count = int(np.prod(shape, dtype=object)) if shape else 0
        if any(n < 0 for n in shape) or count > len(data):
            raise _Unreadable(f"{name or 'an array'} has more elements than bytes")
        kind = flags & 0xFF
        if kind == CELL:
            return name, [self._matrix(content, depth + 1)[1] for _, content in parts]
        if kind == STRUCTURE:
            return name, self._structure(parts, count, depth)
        stored, content = next(parts, (0, memoryview(b"")))
        if kind == CHARACTERS:
            codes = np.frombuffer(content, self.order + TEXT.get(stored, "u1"))
            return name, "".join(map(chr, codes))
        if kind not in NUMERIC or flags & COMPLEX:
            raise _Unreadable(f"{name or 'an array'} is of a class that is not read here")
        values = self._numbers(stored, content)
        if len(values) != count:
            raise _Unreadable(f"{name or 'an array'} has {len(values)} of {count} numbers")
        return name, values.reshape(shape, order="F")

    def _single(self, data: memoryview) -> Any:
        """The number of a matrix without a name that is one number; None for any other. MPII has a million of them, and
        they are written in few ways."""
        if len(data) not in (48, 56):
            return None
        head = struct.unpack_from(f"{self.order}12I", data)
        if head[:2] != (6, 8) or head[2] not in NUMERIC or head[4:10] != (5, 8, 1, 1, 1, 0):
            return None
        kind, size, start = (head[10] & 0xFFFF, head[10] >> 16, 44) if head[10] >> 16 else (head[10], head[11], 48)
        dtype = NUMBERS.get(kind)
        if dtype is None or size != int(dtype[1]) or start + size > len(data):
            return None
        return np.frombuffer(data, self.order + dtype, 1, start)[0]

    def _structure(self, parts: Iterator[tuple[int, memoryview]], count: int, depth: int) -> list[dict[str, Any]]:
        length = int(self._numbers(*_next(parts))[0])
        text = bytes(_next(parts)[1])
        if length < 1:
            raise _Unreadable("a structure has fields without names")
        fields = [text[i : i + length].split(b"\0")[0].decode("latin1") for i in range(0, len(text), length)]
        values = [self._matrix(content, depth + 1)[1] for _, content in parts]
        if len(values) != count * len(fields):
            raise _Unreadable("a structure lacks values")
        return [dict(zip(fields, values[i * len(fields) : (i + 1) * len(fields)], strict=True)) for i in range(count)]

    def _numbers(self, kind: int, content: memoryview) -> Any:
        if kind not in NUMBERS:
            raise _Unreadable(f"it has numbers of an unknown kind ({kind})")
        return np.frombuffer(content, self.order + NUMBERS[kind])


def _next(parts: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    found = next(parts, None)
    if found is None:
        raise _Unreadable("an array lacks a part")
    return found
