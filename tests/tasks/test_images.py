"""Images of every kind as RGB of 8 bits, or a sentence; and arrays that programs give."""

from __future__ import annotations

import io
import socket
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_deploy.errors import BadInput, Damaged, Unavailable
from hrnet_deploy.tasks.channels import checked_image
from hrnet_deploy.tasks.images import VideoWriter, read_image, read_unchanged

RNG = np.random.default_rng(2)


def written(folder: Path, name: str, pixels: NDArray) -> Path:
    assert cv2.imwrite(str(folder / name), pixels)
    return folder / name


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp"])
def test_grey_and_transparent_images_become_rgb(suffix: str, tmp_path: Path) -> None:
    grey = RNG.integers(0, 256, (5, 7), np.uint8)
    assert np.array_equal(read_image(written(tmp_path, "g" + suffix, grey)), np.dstack([grey] * 3))
    colours = RNG.integers(0, 256, (5, 7, 3), np.uint8)
    clear = np.dstack([colours[..., ::-1], RNG.integers(0, 256, (5, 7), np.uint8)])
    if suffix != ".bmp":
        assert np.array_equal(read_image(written(tmp_path, "c" + suffix, clear)), colours)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_become_eight(suffix: str, tmp_path: Path) -> None:
    wanted = RNG.integers(0, 256, (5, 7, 3), np.uint8)
    wanted[0, 0] = 255
    assert np.array_equal(
        read_image(written(tmp_path, "a" + suffix, wanted[..., ::-1].astype(np.uint16) * 257)), wanted
    )
    grey = wanted[..., 0].astype(np.uint16) * 257
    assert np.array_equal(read_image(written(tmp_path, "g" + suffix, grey)), np.dstack([wanted[..., 0]] * 3))


@pytest.mark.parametrize("bits", [1, 8, 10, 12, 14])
def test_a_camera_of_fewer_bits_is_not_taken_for_a_dark_image(bits: int, tmp_path: Path) -> None:
    values = np.full((4, 4, 3), (1 << bits) - 1, np.uint16)
    with pytest.raises(
        BadInput, match=f"16 bits a colour and no value above {(1 << bits) - 1}, as cameras .*convert it"
    ):
        read_image(written(tmp_path, "a.png", values))


@pytest.mark.parametrize("pixels", [np.ones((4, 4), np.float32), np.ones((4, 4, 3), np.float32), np.ones((4, 4), int)])
def test_values_of_no_known_range_are_refused(pixels: NDArray, tmp_path: Path) -> None:
    path = written(tmp_path, "a.tiff", pixels.astype(np.int32) if pixels.dtype == int else pixels)
    with pytest.raises(BadInput, match=r"has values of (float|int)32, whose range is not known — convert it"):
        read_image(path)


def test_what_cannot_be_read_is_damaged_so_that_commands_leave_it_out(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("text")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
        for name, sentence in (
            ("none.jpg", "none.jpg does not exist — check the path"),
            ("text.jpg", "text.jpg is not an image that this machine can read"),
            ("socket.jpg", r"socket.jpg cannot be read \(.*\) — check the disk that it is on"),
        ):
            for read in (read_image, read_unchanged):
                with pytest.raises(Damaged, match=sentence):
                    read(tmp_path / name)


def test_a_video_that_opencv_cannot_write_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="this build of OpenCV cannot write MP4 — pass --no-pictures"):
        VideoWriter(tmp_path / "a.unknown", 12.0).write(np.zeros((96, 64, 3), np.uint8))


def test_a_palette_and_cmyk_become_their_colours(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    whole = np.tile(np.array([200, 30, 90], np.uint8), (16, 16, 1))
    image = pillow.fromarray(whole)
    for name, mode, near in (("a.png", "P", 0), ("b.jpg", "CMYK", 3), ("c.tiff", "CMYK", 3), ("d.png", "RGBA", 0)):
        buffer = io.BytesIO()
        image.convert(mode, palette=pillow.Palette.ADAPTIVE).save(
            buffer, {"png": "PNG", "jpg": "JPEG", "tiff": "TIFF"}[name[2:]]
        )
        (tmp_path / name).write_bytes(buffer.getvalue())
        assert np.abs(read_image(tmp_path / name).astype(int) - whole).max() <= near, name


def test_the_rotation_of_a_photograph_is_applied_where_asked_for(tmp_path: Path) -> None:
    plain = cv2.imencode(".jpg", np.tile(np.arange(0, 240, 10, dtype=np.uint8)[None, :, None], (16, 1, 3)))[1].tobytes()
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)  # turned by a quarter
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    (tmp_path / "a.jpg").write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:])
    stored, upright = read_image(tmp_path / "a.jpg"), read_image(tmp_path / "a.jpg", upright=True)
    assert stored.shape == (16, 24, 3)
    assert np.array_equal(upright, np.rot90(stored, -1))


def test_more_pixels_than_opencv_reads_is_said(tmp_path: Path) -> None:
    def part(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = part(b"IHDR", struct.pack(">IIBBBBB", 36000, 30000, 8, 0, 0, 0, 0))
    data = part(b"IDAT", zlib.compress(b"\0" * 100)) + part(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + data)
    with pytest.raises(BadInput, match="more pixels than OpenCV reads.*or set OPENCV_IO_MAX_IMAGE_PIXELS"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("image", "cure"),
    [
        (np.ones((8, 8, 3), np.float32), "scale its values to 0..255"),
        (np.ones((8, 8, 3), np.uint16), "scale its values to 0..255"),
        (np.ones((8, 8), np.uint8), "three equal channels"),
        (np.ones((8, 8, 1), np.uint8), "three equal channels"),
        (np.ones((8, 8, 4), np.uint8), "leave the transparency out"),
        (np.ones((3, 8, 8), np.uint8), "put the channels last"),
        (np.ones((1, 8, 8, 3), np.uint8), "one image at a time"),
        (np.ones((0, 8, 3), np.uint8), "it has no pixels"),
        ([[[1, 2, 3]]], "convert it with numpy.asarray"),
        (None, "not NoneType"),
    ],
)
def test_an_array_of_another_kind_is_refused_with_the_cure(image: Any, cure: str) -> None:
    with pytest.raises(BadInput, match=cure) as refusal:
        checked_image(image)
    assert str(refusal.value).count(" — ") == 1
    good = np.ones((8, 8, 3), np.uint8)
    assert checked_image(good) is good
