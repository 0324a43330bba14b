"""Annotations as people's tools write them, made into COCO's form: empty fields are left out, and numbers that are text
become numbers. What cannot be a number is refused by the name of its field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput

MORE_KEYPOINTS = "_kpts"  # ends the names of the lists that COCO-WholeBody has besides keypoints
LARGEST = 2**63  # larger than any coordinate, area or number of a category
NUMBERS = {"area": float, "score": float, "box_size": float, "category_id": int, "iscrowd": int, "num_keypoints": int}


def cleaned(annotation: Any, source: Path, image: object) -> dict[str, Any]:
    """One annotation or detection. Raises BadInput with the name of a field that cannot be read."""
    made = {k: v for k, v in annotation.items() if v is not None}
    if "bbox" not in made:
        raise KeyError("bbox")
    made["bbox"] = numbers(made["bbox"], "bbox", source, image)
    if len(made["bbox"]) != 4 or not all(math.isfinite(v) for v in made["bbox"]):
        raise BadInput(f"{source} has a box {made['bbox']} in image {image} — expected x, y, width, height")
    for name, kind in NUMBERS.items():
        if name in made:
            made[name] = _number(made[name], name, source, image, whole=kind is int)
    if made.get("iscrowd", 0) not in (0, 1):
        raise _refusal(made["iscrowd"], "iscrowd", source, image, "0 or 1")
    for name in made:
        if name == "keypoints" or name.endswith(MORE_KEYPOINTS):
            made[name] = numbers(made[name], name, source, image)
    if "headbox" in made:
        made["headbox"] = numbers(made["headbox"], "headbox", source, image)
        if len(made["headbox"]) != 4:
            raise _refusal(made["headbox"], "headbox", source, image, "x1, y1, x2, y2")
    return made


def numbers(values: Any, name: str, source: Path, image: object) -> list[float]:
    """A list of numbers. One list of pairs or triples becomes one list; null and NaN are 0, as for a keypoint that
    nobody placed."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise _refusal(values, name, source, image, "a list of numbers")
    flat = [v for each in values for v in each] if values and all(isinstance(v, list) for v in values) else values
    unplaced = name == "keypoints" or name.endswith(MORE_KEYPOINTS)
    return [_number(0 if unplaced and (v is None or v != v) else v, name, source, image) for v in flat]  # NaN != NaN


def _number(value: Any, name: str, source: Path, image: object, whole: bool = False) -> Any:
    """A number as it is, or read from text; `whole` ones must be integers."""
    try:
        read = float(value)
        if not abs(read) < LARGEST:  # NaN is not, either
            raise ValueError
        if type(value) is int or (type(value) is float and not whole):
            return value
        if not whole:
            return read
        if read != int(read):
            raise ValueError
        return int(read)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = "a whole number" if whole else "a number"
        raise _refusal(value, name, source, image, wanted) from error


def _refusal(value: Any, name: str, source: Path, image: object, wanted: str) -> BadInput:
    return BadInput(f"{source} has {name} {str(value)[:40]!r} in image {image} — expected {wanted}, or leave it out")


def cleaned_categories(content: Mapping[str, Any], source: Path) -> list[dict[str, Any]]:
    """The categories of a COCO file. Raises BadInput where one has no number."""
    found = content.get("categories")
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(c, Mapping) for c in found):
        raise BadInput(f"{source} has categories that are no list of id and name — write them as COCO does")
    made = []
    for number, category in enumerate(found):
        if category.get("id") is None:
            named = f" ({category['name']})" if category.get("name") else ""
            raise BadInput(
                f"{source} has no id in categories[{number}]{named} — give it the category_id of its annotations"
            )
        made.append({**category, "id": _number(category["id"], "categories[].id", source, "any", whole=True)})
    return made


def tool_of(content: Any) -> str:
    """The annotation tool whose own format this is, empty where it is none that is known."""
    if isinstance(content, list):
        first = content[0] if content and isinstance(content[0], Mapping) else {}
        if "data" in first and ("annotations" in first or "completions" in first):
            return "Label Studio"
        return "CreateML" if "image" in first and "annotations" in first else ""
    if not isinstance(content, Mapping) or isinstance(content.get("images"), list):
        return ""
    if any(key.startswith("_via_") for key in content) or _of_via(content):
        return "the VGG Image Annotator (VIA)"
    if "shapes" in content and ("imagePath" in content or "imageData" in content):
        return "LabelMe"
    if isinstance(content.get("objects"), list) and isinstance(content.get("size"), Mapping):
        return "Supervisely"
    return "Cityscapes" if isinstance(content.get("objects"), list) and "imgHeight" in content else ""


def _of_via(content: Mapping[str, Any]) -> bool:
    """Whether every entry is an image with regions, as VIA exports them without its settings."""
    entries = list(content.values())
    return bool(entries) and all(isinstance(e, Mapping) and {"filename", "regions"} <= e.keys() for e in entries)
