"""Files that a decoder would fill up, or read in another way than they are meant, are named; whole files are not."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_deploy.tasks.damage import ANIMATED, CMYK, CUT_OFF, OVERWRITTEN, PAGES, damage_of

PIXELS = cv2.resize(np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8), (96, 64))


def encoded(suffix: str, *options: int) -> bytes:
    return bytes(cv2.imencode(suffix, PIXELS, options)[1])


FILES = {
    "baseline": encoded(".jpg"),
    "progressive": encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": encoded(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "png": encoded(".png"),
    "webp": encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_ends_early_is_cut_off(name: str) -> None:
    data = FILES[name]
    assert damage_of(data) == ""
    assert damage_of(data + bytes(100)) == ""  # telephones append data of their own
    for share in (0.4, 0.7, 0.95):
        assert damage_of(data[: int(share * len(data))]) == CUT_OFF
    assert damage_of(data[:-2]) == CUT_OFF


def test_a_jpeg_whose_end_was_never_written_is_cut_off() -> None:
    data = FILES["baseline"]
    assert damage_of(data[: len(data) // 2] + bytes(len(data) // 2)) == CUT_OFF


def middle(data: bytes, change: bytes, replaced: int) -> bytes:
    """A file whose middle has other bytes in place of some of its own."""
    at = len(data) * 3 // 4
    return data[:at] + change + data[at + replaced :]


@pytest.mark.parametrize("name", ["baseline", "restarts"])
@pytest.mark.parametrize(
    "change",
    [
        bytes(600),  # a hole, as downloads in several pieces leave it
        np.random.default_rng(0).integers(0, 256, 600, np.uint8).tobytes(),  # a piece of another file
        b"\xff" * 600 + b"\x12",
        b"\xff\x02",  # a marker that does not belong there
        b"\xff\xd5",  # a restart marker that does not follow on the one before
    ],
)
def test_a_piece_that_was_overwritten_is_damage(name: str, change: bytes) -> None:
    """OpenCV reads on, and fills up with grey."""
    data = middle(FILES[name], change, len(change))
    assert damage_of(data) == OVERWRITTEN
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_a_lost_piece_is_seen_by_the_numbers_of_restart_markers() -> None:
    data = FILES["restarts"]
    lost = data.index(b"\xff\xd2")
    assert damage_of(data[:lost] + data[data.index(b"\xff\xd5", lost) :]) == OVERWRITTEN


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_OPTIMIZE, 1), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_even_area_is_no_hole(value: int, options: tuple[int, ...]) -> None:
    """With tables of its own, its compressed data is zeros alone."""
    data = bytes(cv2.imencode(".jpg", np.full((1200, 1600, 3), value, np.uint8), options)[1])
    assert damage_of(data) == ""


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image() -> None:
    data, small = FILES["baseline"], encoded(".jpg")[:5000] + b"\xff\xd9"
    exif = b"\xff\xe1" + struct.pack(">H", 2 + len(small)) + small
    assert damage_of(data[:2] + exif + data[2:]) == ""
    assert damage_of((data[:2] + exif + data[2:])[:-300]) == CUT_OFF


def test_animations_are_named() -> None:
    png, webp = FILES["png"], FILES["webp"]
    chunk = b"acTL" + struct.pack(">II", 2, 0)
    assert damage_of(png[:33] + struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]) == (
        ANIMATED
    )
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x02" + bytes(9)
    assert damage_of(b"RIFF" + struct.pack("<I", len(webp) + 10) + b"WEBP" + extended + webp[12:]) == ANIMATED
    header = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = (
        b"\x21\xf9\x04\x00\x0a\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    )
    assert damage_of(header + frame + b";") == ""
    assert damage_of(header + frame + frame + b";") == ANIMATED
    assert damage_of(header + frame) == CUT_OFF


@pytest.mark.parametrize("kind", ["II*\0", "MM\0*", "II+\0", "MM\0+"])
def test_a_tiff_of_several_pages_is_named_and_one_with_smaller_copies_is_not(kind: str) -> None:
    order, big = "<" if kind[0] == "I" else ">", kind[2] in "+" or kind[3] in "+"
    count, offset, entry = ("Q", "Q", "HHQQ") if big else ("H", "I", "HHII")

    def pages(*subfiles: int) -> bytes:
        head = kind.encode() + (struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8))
        data = head
        for number, subfile in enumerate(subfiles, start=1):
            value = subfile if order == "<" else subfile << (32 if big else 0)
            body = struct.pack(order + count, 1) + struct.pack(order + entry, 254, 4, 1, value)
            last = number == len(subfiles)
            data += body + struct.pack(order + offset, 0 if last else len(data) + len(body) + struct.calcsize(offset))
        return data

    assert damage_of(pages(0)) == damage_of(pages(0, 1)) == damage_of(pages(0, 1, 4)) == ""
    assert damage_of(pages(0, 0)) == damage_of(pages(2, 2)) == PAGES
    assert damage_of(pages(0, 0)[:-6]) in ("", PAGES)


def test_tiff_files_of_opencv_are_read_as_they_are(tmp_path: Path) -> None:
    several = tmp_path / "several.tiff"
    assert damage_of(encoded(".tiff")) == ""
    cv2.imwritemulti(str(several), [PIXELS, PIXELS])
    assert damage_of(several.read_bytes()) == PAGES


def test_cmyk_needs_the_marker_that_says_how_it_is_stored() -> None:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 20, 8, 1, 1, 4) + bytes(12)
    adobe = b"\xff\xee" + struct.pack(">H", 14) + b"Adobe" + bytes(7)
    scan = b"\xff\xda" + struct.pack(">H", 6) + bytes(4) + b"\x12\x34\xff\xd9"
    assert damage_of(b"\xff\xd8" + frame + scan) == CMYK
    assert damage_of(b"\xff\xd8" + adobe + frame + scan) == ""


def test_an_empty_file_is_no_image() -> None:
    assert damage_of(b"") == "is not an image: the file is empty — copy or download it again"
