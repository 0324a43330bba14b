"""Reads images and videos as RGB uint8 arrays (H, W, 3), and writes them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.errors import BadInput, Damaged, Unavailable
from hrnet_deploy.files import atomic_write, require_file
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks import png
from hrnet_deploy.tasks.damage import damage_of

Image = NDArray[np.uint8]
Labels = NDArray[np.uint8]
Colours = Sequence[tuple[int, int, int]]  # red, green and blue of each class
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
ARRAY = ".npy"  # an image as an array (H, W, C) of uint8, for channels that no image file has
VIDEO_SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}


def read_image(path: Path, upright: bool = False) -> Image:
    """An image file as (H, W, 3) RGB uint8. `upright` applies the rotation in its EXIF data; annotations are of the
    image as stored. Grey, CMYK and palettes become RGB, transparency is left out, 16 bits become 8.

    Raises Damaged where the file is no whole image, or where the meaning of its values is not known.
    """
    data = _bytes_of(path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    bgr = _decoded(path, data, flags if upright else flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None and len(data):
        bgr = _decoded(path, data, cv2.IMREAD_UNCHANGED)
    if bgr is None:
        raise Damaged(f"{path} is not an image that this machine can read — expected JPEG, PNG, WebP, TIFF or BMP")
    if bgr.dtype == np.uint16:
        bgr = _of_16_bits(path, bgr)
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        what = f"values of {bgr.dtype}" if bgr.dtype != np.uint8 else f"pixels of shape {bgr.shape[2:]}"
        raise Damaged(f"{path} has {what}, whose range is not known — convert it to RGB or grey of 8 bits")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def read_unchanged(path: Path) -> NDArray:
    """An image file with all its channels, (H, W, C): colours as red, green, blue, and a fourth channel after them. It
    is uint8 unless the file has values of another kind than 8 or 16 bits.

    Raises Damaged where the file is no image.
    """
    image = _decoded(path, _bytes_of(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise Damaged(f"{path} is not an image that this machine can read — expected JPEG, PNG, WebP, TIFF or BMP")
    if image.dtype == np.uint16:
        image = _of_16_bits(path, image)
    image = image.reshape(*image.shape[:2], -1)
    return image[..., (2, 1, 0, 3)[: image.shape[2]]] if image.shape[2] in (3, 4) else image


def _bytes_of(path: Path) -> NDArray[np.uint8]:
    """The content of an image file. Raises Damaged where it cannot be read or is not complete."""
    try:
        require_file(path)
        data = np.fromfile(path, np.uint8)
    except BadInput as error:
        raise Damaged(str(error)) from error
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror}) — check the disk that it is on") from error
    if wrong := damage_of(data.tobytes()):
        raise Damaged(f"{path} {wrong}")
    return data


def _decoded(path: Path, data: NDArray[np.uint8], flags: int) -> NDArray | None:
    """What OpenCV makes of the bytes of an image, None where it makes nothing. Raises BadInput above its limit."""
    try:
        return cv2.imdecode(data, flags)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" not in str(error):
            return None
        raise Damaged(
            f"{path} has more pixels than OpenCV reads, 2^30 and 2^20 a side unless set otherwise — cut it into tiles, "
            "or set OPENCV_IO_MAX_IMAGE_PIXELS (_WIDTH, _HEIGHT) to a larger number"
        ) from error


def _of_16_bits(path: Path, image: NDArray[np.uint16]) -> Image:
    """An image of 16 bits with 8. Raises BadInput where it fills a part of the range alone: cameras write 10 to 14 bits
    like that, and it would be almost black."""
    bits = int(image.max()).bit_length()
    if bits <= 14:
        raise Damaged(
            f"{path} has 16 bits a colour and no value above {image.max()}, as cameras of 10 to 14 bits write it — "
            "convert it to 8 bits with the range that its camera has"
        )
    return np.asarray((image.astype(np.uint32) * 255 + 32767) // 65535, np.uint8)


def read_labels(path: Path, colours: Colours = ()) -> Labels:
    """A label map (H, W): a PNG file whose pixels are class numbers, grey or with a palette, of 1 to 16 bits. One bit
    gives 0 and 1, and a palette its numbers. A map of colours is read where every one of them is that of a class.

    Raises BadInput where the file is none.
    """
    data = _bytes_of(path).tobytes()
    header = png.header_of(data)
    wanted = "expected a PNG whose pixels are class numbers, grey or with a palette"
    if header is None:
        raise BadInput(f"{path} is no label map: it is not a PNG — {wanted}")
    if header.colour == png.RGB and len(colours):
        return _numbers_of(path, read_image(path), colours)
    if header.colour not in (png.GREY, png.PALETTE):
        raise BadInput(f"{path} is no label map: its pixels are colours — {wanted}; write the number of each colour")
    found = _decoded(path, np.frombuffer(png.as_numbers(data), np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.ndim != 2:
        raise Damaged(f"{path} is no label map: it is damaged — {wanted}")
    if header.bits < 8:  # OpenCV spreads them over 0..255
        found = found // (255 // (2**header.bits - 1))
    if (most := int(found.max())) > 255:
        raise BadInput(
            f"{path} is no label map: it has pixels up to {most} (numbers of instances, or an ignored value?) — "
            "write class numbers up to 255"
        )
    return np.asarray(found, np.uint8)


def labels_size(path: Path) -> tuple[int, int] | None:
    """The height and the width of a label map, from its header; None where it is no PNG file that can be read."""
    try:
        with path.open("rb") as file:
            header = png.header_of(file.read(64))
    except OSError:
        return None
    return None if header is None else (header.height, header.width)


def _numbers_of(path: Path, image: Image, colours: Colours) -> Labels:
    """The class of each pixel of a map of colours. Raises BadInput where a colour is that of no class, or of two."""
    red, green, blue = (image[..., i].astype(np.uint32) for i in range(3))
    codes = [r << 16 | g << 8 | b for r, g, b in colours]
    found, places = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
    wrong = next((int(c) for c in found if codes.count(int(c)) != 1), None)
    if wrong is not None:
        of = f"({wrong >> 16}, {wrong >> 8 & 255}, {wrong & 255})"
        raise BadInput(
            f"{path} is a map of colours, and {of} is that of {'two classes' if wrong in codes else 'no class'} of the "
            "model — write the number of each class, and 255 for what is not scored"
        )
    return np.asarray([codes.index(int(c)) for c in found], np.uint8)[places].reshape(image.shape[:2])


def normalised(image: Image, spec: Input) -> NDArray[np.float32]:
    """An image (H, W, C) uint8 as a network takes it: (1, C, H, W) float32, in the order of channels, and normalised by
    the mean and the standard deviation, of `spec`."""
    mean, scale = np.asarray(spec.mean, np.float32) * 255, 1 / (np.asarray(spec.std, np.float32) * 255)
    order = spec.order
    ordered = image if order == tuple(range(len(order))) else image[..., order]
    return np.ascontiguousarray(((ordered.astype(np.float32) - mean) * scale).transpose(2, 0, 1)[None])


def is_visible(path: Path, suffixes: Collection[str]) -> bool:
    """Whether a path is a file of one of these suffixes, and none of the hidden ones that other systems leave beside it
    (._photo.jpg)."""
    return path.suffix.lower() in suffixes and not path.name.startswith(".") and not path.is_dir()


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name, or its .npy files where there are no others. Raises BadInput if
    there are none."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder — give a folder of images")
    found = sorted(p for p in folder.iterdir() if is_visible(p, IMAGE_SUFFIXES))
    found = found or sorted(p for p in folder.iterdir() if is_visible(p, {ARRAY}))
    if not found:
        raise BadInput(
            f"there are no images in {folder} — expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return found


def write_image(path: Path, image: Image | Labels) -> None:
    """Write an image (H, W, 3) RGB, or a label map (H, W). The suffix of `path` decides the format."""
    if not cv2.haveImageWriter(path.name):
        raise BadInput(f"cannot write {path} — name a .png or .jpg")
    _, data = cv2.imencode(path.suffix, np.ascontiguousarray(image[..., ::-1] if image.ndim == 3 else image))
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
