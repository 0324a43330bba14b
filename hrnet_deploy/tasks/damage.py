"""What is wrong with the bytes of an image file that a decoder would not say. OpenCV's decoders of some versions fill
what is missing of a JPEG with grey, take the first frame of an animation, and turn the colours of some CMYK images into
their opposites."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from hrnet_deploy.tasks.png import SIGNATURE

CUT_OFF = "is cut off: the file ends before the image does — copy or download it again"
ANIMATED = "is an animation of several frames — save the frame that is meant as an image, or convert it to a video"
CMYK = (
    "is a CMYK image without Adobe's marker, so that its colours may be stored as they are or inverted — "
    "convert it to RGB"
)
JPEG, SOF, SOS, EOI, ADOBE = b"\xff\xd8\xff", {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}, 0xDA, 0xD9, 0xEE
IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # the marker that ends the compressed data of a scan


def damage_of(data: bytes) -> str:
    """What is wrong with an image file, as the end of a sentence that begins with its name; empty if nothing is."""
    if not data:
        return "is not an image: the file is empty — copy or download it again"
    if data.startswith(JPEG):
        return _of_jpeg(data)
    if data.startswith(SIGNATURE):
        names = [name for name, _ in _png_chunks(data)]
        return ANIMATED if b"acTL" in names else "" if b"IEND" in names else CUT_OFF
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        if len(data) < 8 + int.from_bytes(data[4:8], "little"):
            return CUT_OFF
        return ANIMATED if data[12:16] == b"VP8X" and data[20] & 2 else ""
    return _of_gif(data) if data.startswith((b"GIF87a", b"GIF89a")) else ""


def _of_jpeg(data: bytes) -> str:
    """Walk through the markers to the one that ends the image."""
    at, components, adobe = 2, 0, False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == EOI:
            break
        length = int.from_bytes(data[at + 2 : at + 4])
        if marker in SOF and at + 10 <= len(data):
            components = data[at + 9]
        adobe = adobe or (marker == ADOBE and data[at + 4 : at + 9] == b"Adobe")
        at += 2 + length
        if marker == SOS:
            found = IN_SCAN.search(data, at)
            if found is None:
                return CUT_OFF
            at = found.start()
    if data[at : at + 2] != b"\xff\xd9":
        return CUT_OFF if at + 4 > len(data) else ""  # the decoder says what else is wrong
    return CMYK if components == 4 and not adobe else ""


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The name and the position of each chunk that is complete."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if at + 12 + length > len(data):
            return
        yield data[at + 4 : at + 8], at
        at += 12 + length


def _of_gif(data: bytes) -> str:
    """Walk through the blocks and count the frames."""
    at = 13 + _palette(data[10]) if len(data) > 13 else len(data)
    frames = 0
    while at + 1 < len(data) and data[at] in (0x21, 0x2C):
        if data[at] == 0x2C and at + 9 < len(data):
            frames += 1
            at += 11 + _palette(data[at + 9])
        else:
            at += 2
        while at < len(data) and data[at]:  # sub-blocks, each with its length before it
            at += 1 + data[at]
        at += 1
    return ANIMATED if frames > 1 else "" if at < len(data) else CUT_OFF


def _palette(flags: int) -> int:
    """The bytes of a table of colours whose size these flags give."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
