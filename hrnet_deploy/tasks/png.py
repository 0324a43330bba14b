"""What the header of a PNG file says, and its pixels as numbers. OpenCV turns a palette into colours and one bit into 0
and 255, so the meaning of a label map would be lost."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE = 0, 2, 3  # types of colour; the others are grey with alpha (4) and RGB with alpha (6)
PIXELS = (b"IHDR", b"IDAT", b"IEND")  # the chunks that hold the pixels


@dataclass(frozen=True)
class Header:
    """The size of an image, the bits per number, and the type of colour."""

    width: int
    height: int
    bits: int
    colour: int


def header_of(data: bytes) -> Header | None:
    """The header of a PNG file, or None where the bytes are of another format."""
    if not data.startswith(SIGNATURE) or len(data) < 33 or data[12:16] != b"IHDR":
        return None
    return Header(*struct.unpack(">IIBB", data[16:26]))


def as_numbers(data: bytes) -> bytes:
    """The same PNG file as a grey image without transparency and gamma: a palette's numbers become grey values."""
    out, at = [SIGNATURE], len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if name == b"IHDR":
            content = content[:9] + bytes([GREY]) + content[10:]
        if name in PIXELS:
            out += [struct.pack(">I", len(content)), name, content, struct.pack(">I", zlib.crc32(name + content))]
        at += 12 + length
    return b"".join(out)
