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
PAGES = "is a TIFF of several pages — save the page that is meant as an image of its own"
CMYK = (
    "is a CMYK image without Adobe's marker, so that its colours may be stored as they are or inverted — "
    "convert it to RGB"
)
OVERWRITTEN = "is damaged: a part of its compressed data was lost or overwritten — copy or download it again"
JPEG, SOF, SOS, EOI, ADOBE = b"\xff\xd8\xff", {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}, 0xDA, 0xD9, 0xEE
DHT, DRI, SEQUENTIAL = 0xC4, 0xDD, (0xC0, 0xC1)
AFTER_SCAN = {DHT, SOS, DRI, 0xDB, 0xDC, 0xFE, *range(0xE0, 0xF0)}  # tables, further scans and comments
IN_ORDER = re.compile(rb"\xff[\xd0-\xd7]")  # restart markers, which count from 0 to 7 again and again
# A hole in a file is read as zeros. Compressed data has that many only where they are the code of an even area.
HOLE, AC = bytes(512), 0x10
# by the first bytes of a TIFF: its byte order, an entry, the number of entries and an offset, as `struct` writes them
TIFF = {
    b"II*\0": ("<", "HHI4s", "H", "I"),
    b"MM\0*": (">", "HHI4s", "H", "I"),
    b"II+\0": ("<", "HHQ8s", "Q", "Q"),
    b"MM\0+": (">", "HHQ8s", "Q", "Q"),
}
SUBFILE, REDUCED, MASK = 254, 1, 4
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
    if data[:4] in TIFF:
        return PAGES if _tiff_pages(data) > 1 else ""
    return _of_gif(data) if data.startswith((b"GIF87a", b"GIF89a")) else ""


def _of_jpeg(data: bytes) -> str:
    """Walk through the markers to the one that ends the image. A decoder fills a scan that another marker ends, or that
    has lost a piece, with grey."""
    at, components, adobe, restarts, sequential, scans = 2, 0, False, False, False, 0
    first: dict[int, int] = {}
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == EOI:
            break
        if scans and marker not in AFTER_SCAN:
            return OVERWRITTEN
        length = int.from_bytes(data[at + 2 : at + 4])
        content = data[at + 4 : at + 2 + length]
        if marker in SOF and len(content) > 5:
            components, sequential = content[5], marker in SEQUENTIAL
        elif marker == DRI:
            restarts = any(content)
        elif marker == DHT:
            first |= _first_symbols(content)
        adobe = adobe or (marker == ADOBE and content[:5] == b"Adobe")
        at += 2 + length
        if marker == SOS:
            scans += 1
            found = IN_SCAN.search(data, at)
            if found is None:
                return CUT_OFF
            zeros_are_flat = not sequential or not any(s for table, s in first.items() if table & AC)
            if not _is_whole(data[at : found.start()], restarts, zeros_are_flat):
                return OVERWRITTEN
            at = found.start()
    if data[at : at + 2] != b"\xff\xd9":
        if at + 4 > len(data):
            return CUT_OFF
        return OVERWRITTEN if scans else ""  # before the first scan, the decoder says what is wrong
    return CMYK if components == 4 and not adobe else ""


def _is_whole(scan: bytes, restarts: bool, zeros_are_flat: bool) -> bool:
    """Whether the compressed data of a scan has its restart markers in order, and no hole."""
    numbers = IN_ORDER.findall(scan)
    ordered = numbers == [b"\xff" + bytes([0xD0 + i % 8]) for i in range(len(numbers))]
    return ordered and (restarts or not numbers) and (zeros_are_flat or HOLE not in scan)


def _first_symbols(content: bytes) -> dict[int, int]:
    """The symbol of each Huffman table whose code is all zeros, by the table's class and number."""
    found, at = {}, 0
    while at + 18 <= len(content):
        found[content[at]] = content[at + 17]
        at += 17 + sum(content[at + 1 : at + 17])
    return found


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The name and the position of each chunk that is complete."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if at + 12 + length > len(data):
            return
        yield data[at + 4 : at + 8], at
        at += 12 + length


def _tiff_pages(data: bytes) -> int:
    """The pages of a TIFF, without smaller copies of a page and masks."""
    order, entry, count, offset = TIFF[data[:4]]
    width, pages, seen = struct.calcsize(order + offset), 0, set[int]()
    at = int.from_bytes(data[width : 2 * width], "little" if order == "<" else "big")
    while at and at not in seen and at + struct.calcsize(order + count) <= len(data):
        seen.add(at)
        (entries,) = struct.unpack_from(order + count, data, at)
        first = at + struct.calcsize(order + count)
        end = first + entries * struct.calcsize(order + entry)
        if end + width > len(data):
            break
        tags = {tag: value for tag, *_, value in struct.iter_unpack(order + entry, data[first:end])}
        kind = int.from_bytes(tags.get(SUBFILE, b"")[:4], "little" if order == "<" else "big")
        pages += not kind & (REDUCED | MASK)
        (at,) = struct.unpack_from(order + offset, data, end)
    return pages


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
