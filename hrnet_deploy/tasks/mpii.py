"""MPII's annotations, a list with one entry per person, as the content of a COCO file.

Source: HRNet-Human-Pose-Estimation, lib/dataset/mpii.py: coordinates begin at 1, `scale` is the height of a person in
units of 200 pixels, and the box is moved down by 15 pixels of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput

FIELDS = {"image", "center", "scale"}
UNIT, LOWER = 200, 15  # pixels of the official scale; by how many of its units of one pixel a box is moved down


def is_mpii(content: Any) -> bool:
    """Whether this is a list of people as in MPII's train.json and valid.json."""
    return isinstance(content, list) and bool(content) and isinstance(content[0], Mapping) and set(content[0]) >= FIELDS


def as_coco(content: Sequence[Mapping[str, Any]], source: Path) -> dict[str, Any]:
    """The same people as COCO annotations, whose boxes are used as they are. Raises BadInput, naming `source`, where
    one cannot be read."""
    numbers: dict[str, int] = {}
    annotations = []
    for place, person in enumerate(content):
        try:
            image = numbers.setdefault(str(person["image"]), len(numbers) + 1)
            annotations.append({"id": place + 1, "image_id": image, "category_id": 1, **_person(person)})
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise BadInput(
                f"{source} is a list of people as MPII has it, but entry {place} cannot be read ({error!r}) — each "
                "needs image, center, scale, joints and joints_vis"
            ) from error
    images = [{"id": number, "file_name": name} for name, number in numbers.items()]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def _person(person: Mapping[str, Any]) -> dict[str, Any]:
    side = UNIT * float(person["scale"])
    x, y = (float(v) for v in person["center"])
    if x != -1:
        y += LOWER * float(person["scale"])
    made: dict[str, Any] = {"bbox": [x - 1 - side / 2, y - 1 - side / 2, side, side], "unclipped": True}
    if "joints" in person:
        seen = [float(v) for v in person.get("joints_vis") or [1] * len(person["joints"])]
        made["keypoints"] = [
            v for (px, py), s in zip(person["joints"], seen, strict=True) for v in (px - 1, py - 1, 2 * (s > 0))
        ]
    return made | ({"headbox": person["headbox"]} if "headbox" in person else {})
