"""Files that a decoder would fill up, or read in another way than they are meant, are named; whole files are not."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from hrnet_deploy.tasks.damage import ANIMATED, CMYK, CUT_OFF, damage_of

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


def test_cmyk_needs_the_marker_that_says_how_it_is_stored() -> None:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 20, 8, 1, 1, 4) + bytes(12)
    adobe = b"\xff\xee" + struct.pack(">H", 14) + b"Adobe" + bytes(7)
    scan = b"\xff\xda" + struct.pack(">H", 6) + bytes(4) + b"\x12\x34\xff\xd9"
    assert damage_of(b"\xff\xd8" + frame + scan) == CMYK
    assert damage_of(b"\xff\xd8" + adobe + frame + scan) == ""


def test_an_empty_file_is_no_image() -> None:
    assert damage_of(b"") == "is not an image: the file is empty — copy or download it again"
