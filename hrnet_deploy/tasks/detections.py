"""The boxes of a detector: COCO's list of results, in which every entry names its image by a number or by its name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.annotations import cleaned

# what a file of another form raises where a field is read
UNFIT = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
WHOLE_NUMBER = re.compile("[0-9]+")
NUMBER_IN_NAME = re.compile("(?<![0-9])[0-9]+$")  # at the end of a name
NMS = 0.9  # two results are of one object if they are more alike than this (official: TEST.OKS_THRE)

ByImage = dict[int | str, list[Mapping[str, Any]]]  # detections by the number or the name of their image


@dataclass(frozen=True)
class Boxes:
    """The boxes of a detector, in which results are looked for.

    Attributes:
        file: COCO's list of results with image_id, category_id, bbox and score, or a COCO annotation file.
        threshold: boxes with a lower score are left out.
        nms: of two results in one image that are more alike than this, the one with the lower score is left out.
    """

    file: Path
    threshold: float = 0.0
    nms: float = NMS

    def __post_init__(self) -> None:
        for option, value in (("--box-threshold", self.threshold), ("--nms", self.nms)):
            if not (math.isfinite(value) and 0 <= value <= 1):
                raise BadInput(f"{option} {value:g} cannot be used — give a number from 0 to 1")

    def arguments(self) -> list[str]:
        """The command-line options that give these boxes."""
        return ["--boxes", str(self.file), "--box-threshold", f"{self.threshold:g}", "--nms", f"{self.nms:g}"]

    def kept(self, found: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
        """The boxes of one image that reach the threshold. A box without a score counts as certain."""
        return tuple(d for d in found if d.get("score", 1.0) >= self.threshold)


def detections_by_image(content: Sequence[Any], source: Path) -> ByImage:
    """The entries of a list of results. Raises BadInput, naming `source`, where one has no image_id or no bbox."""
    found: ByImage = {}
    try:
        for detection in content:
            image = _number_or_name(detection["image_id"])
            found.setdefault(image, []).append(cleaned(detection, source, image))
    except UNFIT as error:
        raise BadInput(
            f"{source} is not a list of COCO detections ({error!r}) — each needs image_id and bbox"
        ) from error
    return found


def paths_of(by_image: ByImage, paths: Sequence[Path], source: Path) -> dict[int | str, Path]:
    """The image file of every number or name, as far as it is among `paths`.

    COCO's own images are named by their numbers (000000397133.jpg, COCO_val2014_000000397133.jpg). Raises BadInput
    where two files have the same number in their names.
    """
    found: dict[int | str, Path] = {}
    for path in sorted(paths, key=lambda p: not WHOLE_NUMBER.fullmatch(p.stem)):
        digits = NUMBER_IN_NAME.search(path.stem)
        for key in (int(digits[0]) if digits else None, path.stem, path.name):
            if key not in by_image or key is None:
                continue
            if key in found and WHOLE_NUMBER.fullmatch(found[key].stem) and not WHOLE_NUMBER.fullmatch(path.stem):
                continue  # a name that is the number goes before one that ends with it
            if key in found:
                raise BadInput(
                    f"{found[key].name} and {path.name} have both the image_id {key} of {source} in their names — give "
                    "the folder of one part of the data set"
                )
            found[key] = path
    return found


def _number_or_name(image_id: Any) -> int | str:
    """An image's id in a list of detections: a number, also as text, or the name of the image."""
    if isinstance(image_id, str) and not WHOLE_NUMBER.fullmatch(image_id):
        return image_id
    return int(image_id)
