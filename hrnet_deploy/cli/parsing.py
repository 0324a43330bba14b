"""Parses values of the command line: sizes, bounds and lists."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hrnet_deploy.errors import BadInput

if TYPE_CHECKING:
    from hrnet_deploy.tasks.detections import Boxes

T = TypeVar("T")


def parse_size(text: str) -> tuple[int, int]:
    """`256x192` -> (256, 192): height, then width. Raises BadInput if the text is not a size."""
    found = re.fullmatch(r"(\d+)[xX×](\d+)", text.strip())
    if not found or not int(found[1]) or not int(found[2]):
        raise BadInput(f"--size {text} is not a size — give HEIGHTxWIDTH, for example 256x192")
    return int(found[1]), int(found[2])


def optional_size(text: str | None) -> tuple[int, int] | None:
    """The same as `parse_size`, but None gives None."""
    return None if text is None else parse_size(text)


def parse_bounds(text: str | None, each: Callable[[str], T], name: str) -> tuple[T, T, T] | None:
    """`1:4:16` -> the three values, each parsed by `each`. One value alone is used for all three; None gives None."""
    if text is None:
        return None
    parts = [each(part) for part in text.split(":")]
    if len(parts) not in (1, 3):
        raise BadInput(
            f"{name} {text} is not a bound — give one value, or the smallest, the one to tune for and the largest: "
            "MIN:OPT:MAX"
        )
    return (parts * 3)[0], (parts * 3)[1], (parts * 3)[2]


def parse_count(text: str) -> int:
    """A whole number of 1 or more."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise BadInput(f"{text!r} is not a count — give a whole number of 1 or more")
    return int(text)


def parse_factors(text: str) -> tuple[float, ...]:
    """`0.5,1` -> (0.5, 1.0)."""
    try:
        return tuple(float(part) for part in parse_list(text))
    except ValueError:
        raise BadInput(f"{text!r} is not a list of factors — give numbers separated by commas, 0.5,1,1.5") from None


def parse_list(text: str) -> list[str]:
    """`a, b` -> ["a", "b"]."""
    return [t.strip() for t in text.split(",") if t.strip()]


def detector_boxes(file: Path | None, threshold: float | None, nms: float | None) -> Boxes | None:
    """The values of --boxes, --box-threshold and --nms. Raises BadInput if one of the last two stands alone."""
    if file is None:
        if threshold is not None or nms is not None:
            raise BadInput("--box-threshold and --nms need the boxes of a detector — give them with --boxes")
        return None
    from hrnet_deploy.tasks.detections import NMS, Boxes

    return Boxes(file, 0.0 if threshold is None else threshold, NMS if nms is None else nms)
