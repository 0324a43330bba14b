"""Reads images and videos as RGB uint8 arrays (H, W, 3), and writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.cards import Input
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.files import atomic_write, require_file

Image = NDArray[np.uint8]
Labels = NDArray[np.uint8]
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
VIDEO_SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}


def read_image(path: Path, upright: bool = False) -> Image:
    """An image file as (H, W, 3) RGB. `upright` applies the rotation in its EXIF data; annotations refer to the image
    as stored.

    Raises BadInput if the file is not an image.
    """
    require_file(path)
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        bgr = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise BadInput(f"{path} is not an image that this machine can read — expected JPEG, PNG, WebP, TIFF or BMP")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def read_labels(path: Path) -> Labels:
    """A label map (H, W): a grey 8-bit PNG whose pixels are class numbers. Raises BadInput if the file is not one."""
    require_file(path)
    found = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED) if path.stat().st_size else None
    if found is None or found.ndim != 2 or found.dtype != np.uint8:
        raise BadInput(f"{path} is not a label map — expected a grey 8-bit PNG whose pixels are class numbers")
    return np.asarray(found, np.uint8)


def normalised(image: Image, spec: Input) -> NDArray[np.float32]:
    """An image (H, W, 3) RGB uint8 as a network takes it: (1, 3, H, W) float32, in the order of colours, and normalised
    by the mean and the standard deviation, of `spec`."""
    mean, scale = np.asarray(spec.mean, np.float32) * 255, 1 / (np.asarray(spec.std, np.float32) * 255)
    colours = image if spec.colour == "RGB" else image[..., ::-1]
    return np.ascontiguousarray(((colours.astype(np.float32) - mean) * scale).transpose(2, 0, 1)[None])


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name. Raises BadInput if there are none."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder — give a folder of images")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise BadInput(
            f"there are no images in {folder} — expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return found


def write_image(path: Path, image: Image | Labels) -> None:
    """Write an image (H, W, 3) RGB, or a label map (H, W). The suffix of `path` decides the format."""
    ok, data = cv2.imencode(path.suffix, np.ascontiguousarray(image[..., ::-1] if image.ndim == 3 else image))
    if not ok:
        raise BadInput(f"cannot write {path} — name a .png or .jpg")
    with atomic_write(path) as part:
        part.write_bytes(data.tobytes())


class Video:
    """The frames of a video file, one at a time, (H, W, 3) RGB. `count` is their number according to the file, or
    0 if the file does not state it."""

    def __init__(self, path: Path) -> None:
        require_file(path)
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise BadInput(f"{path} is not a video that this machine can read — expected MP4, AVI, MOV, MKV or WebM")
        self.frames_per_second = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        self.count = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def __iter__(self) -> Iterator[Image]:
        while True:
            ok, frame = self._capture.read()
            if not ok:
                self._capture.release()
                return
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)


class VideoWriter:
    """Writes frames (H, W, 3) RGB, all of the same size, to an MP4 file."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self._path, self._rate = path, frames_per_second
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: Image) -> None:
        if self._writer is None:
            size = (frame.shape[1], frame.shape[0])
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), codec, self._rate, size)
            if not self._writer.isOpened():
                raise Unavailable(
                    "this build of OpenCV cannot write MP4 — pass --no-pictures to write only the results"
                )
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()
