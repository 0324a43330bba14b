"""Images with the channels that a network takes: colours, grey, or colours and more.

An image is an array (H, W, C) uint8. The colours come first, as red, green, blue, and then the other channels in the
order of the card. `images.normalised` brings them into the order of the network.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.errors import BadInput, Damaged
from hrnet_deploy.image_input import COLOURS, Input
from hrnet_deploy.tasks.images import ARRAY, Image, read_image, read_unchanged

PICTURE = Input(0, 0)  # of the three colours


def is_colour(spec: Input) -> bool:
    """Whether the channels are the three colours, in any order."""
    return sorted(spec.channel_names) == sorted(COLOURS)


def read_channels(path: Path, spec: Input, upright: bool = False, filled: bool = False) -> Image:
    """An image file with the channels of an input, (H, W, C) uint8.

    A network of one channel gets the grey of a colour image, or one colour where its channel is called so. More than
    the three colours come from a PNG or TIFF file with as many channels, or from an array (H, W, C) of uint8 in a .npy
    file. With `filled`, channels that a colour image lacks are its grey: enough to compare two engines, but not to
    score them. Raises BadInput where the file has other channels.
    """
    names = spec.channel_names
    if path.suffix.lower() == ARRAY:
        return checked_image(read_array(path), spec, str(path))
    if is_colour(spec) or len(names) == 1:
        return of_picture(read_image(path, upright), spec)
    if filled:
        picture = read_image(path, upright)
        missing = max(0, len(names) - 3)
        return np.dstack([picture[..., : len(names)], *([_grey(picture)] * missing)])
    return _all_of(path, names)


def of_picture(picture: Image, spec: Input) -> Image:
    """A picture (H, W, 3) RGB with the channels of an input. Raises BadInput where a picture lacks them."""
    names = spec.channel_names
    if is_colour(spec):
        return picture
    if len(names) > 1:
        raise BadInput(
            f"the network takes {len(names)} channels ({', '.join(names)}), and a picture has red, green, blue — give "
            "images that have them: PNG or TIFF with four channels, or .npy"
        )
    if names[0] in COLOURS:
        return np.ascontiguousarray(picture[..., COLOURS.index(names[0])][..., None])
    return _grey(picture)


def as_picture(image: Image) -> Image:
    """An image (H, W, C) as a picture (H, W, 3) to draw on: grey as three equal channels, and of more than three the
    first three."""
    if image.shape[2] < 3:
        return np.repeat(image[..., :1], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def checked_image(image: object, spec: Input = PICTURE, what: str = "an image") -> Image:
    """An array that a program gives as an image. Raises BadInput, with the cure, unless it is (H, W, C) uint8. Grey
    may also be (H, W)."""
    names = spec.channel_names
    count, title = len(names), "RGB" if is_colour(spec) else ", ".join(names)
    if not isinstance(image, np.ndarray):
        kind = type(image).__name__
        raise BadInput(
            f"{what} is a numpy array (H, W, {count}) of uint8, {title}, not {kind} — convert it with numpy.asarray"
        )
    if count == 1 and image.ndim == 2:
        image = image[..., None]
    cure = _cure(image, count)
    if cure:
        raise BadInput(
            f"{what} is an array (H, W, {count}) of uint8, {title}, not {image.shape} of {image.dtype} — {cure}"
        )
    return image


def _cure(image: NDArray, count: int) -> str:
    """What makes an array an image of `count` channels; empty where it is one."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8:
        return "scale its values to 0..255 and convert them with astype(numpy.uint8)"
    if image.ndim == 3 and image.shape[0] == count != channels:
        return "put the channels last, image.transpose(1, 2, 0)"
    if count == 3 and image.ndim in (2, 3) and channels == 1:
        return "give grey as three equal channels, numpy.dstack([image] * 3)"
    if count == 3 and image.ndim == 3 and channels == 4:
        return "leave the transparency out, image[..., :3]"
    if count == 1 and image.ndim == 3 and channels == 3:
        return "convert it to grey, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)"
    if image.ndim != 3 or channels != count:
        return f"give one image at a time, with its {'three' if count == 3 else count} channels last"
    return "" if image.size else "it has no pixels; check the file or the crop that it is from"


def _grey(picture: Image) -> Image:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]


def read_array(path: Path) -> NDArray:
    """The array in a .npy file. It is mapped and not read, so a file that declares more than it holds takes no
    memory. Raises Damaged where it is none."""
    try:
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise Damaged(f"{path} is not a .npy file of an image — save it with numpy.save, as uint8 (H, W, C)") from error


def _all_of(path: Path, names: tuple[str, ...]) -> Image:
    """A file with all its channels, which must be as many as `names`."""
    image = read_unchanged(path)
    found = image.shape[2]
    if image.dtype != np.uint8 or found != len(names):
        raise BadInput(
            f"{path} has {found} channels of {image.dtype}, and the network takes {len(names)} of uint8 "
            f"({', '.join(names)}) — give PNG or TIFF files with that many, or .npy arrays (H, W, {len(names)})"
        )
    return np.ascontiguousarray(image, np.uint8)
