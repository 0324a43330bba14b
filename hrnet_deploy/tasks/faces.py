"""The CSV files with annotations of faces that the official repository of facial landmarks publishes, as the content of
a COCO file.

A row has the path of an image, the scale of the face in units of 200 pixels, for AFLW the size by which errors are
divided, the centre of the face, and x and y of every landmark. The first row names the columns.

Source: HRNet-Facial-Landmark-Detection, lib/datasets/face300w.py, wflw.py and aflw.py.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import require_file

CSV, FIRST_ROW = ".csv", 2**20  # bytes in which a first row ends
UNIT = 200  # pixels of the official scale
BEFORE = 4  # columns before the landmarks; AFLW has one more
LARGEST = 2**24  # of a coordinate


def is_faces(source: Path) -> bool:
    """Whether a file is a CSV file of faces: its first row has columns for a landmark. A list of images and classes has
    two columns."""
    if source.suffix.lower() != CSV or not source.is_file():
        return False
    with source.open("rb") as file:
        return file.readline(FIRST_ROW).count(b",") >= BEFORE + 1


def read_faces(source: Path) -> dict[str, Any]:
    """The faces of a CSV file as COCO annotations, with `center`, `scale` and for AFLW `box_size`. Raises BadInput,
    naming `source`, where a row cannot be read."""
    require_file(source)
    try:
        rows = [r for r in csv.reader(io.StringIO(source.read_text(encoding="utf-8-sig"))) if r]
    except (ValueError, csv.Error) as error:  # other encodings are a ValueError
        raise BadInput(f"{source} is not a CSV file ({error}) — expected one row for each face") from error
    numbers: dict[str, int] = {}
    annotations: list[dict[str, Any]] = []
    for line, row in enumerate(rows[1:], start=2):
        try:
            image = numbers.setdefault(row[0], len(numbers) + 1)
            annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": 1, **_face(row, rows[0])})
        except (ValueError, IndexError) as error:
            raise BadInput(
                f"{source} has a row {line} that cannot be read ({error}) — expected image_name, scale, center_w, "
                "center_h, and x and y of every landmark"
            ) from error
    if not annotations:
        raise BadInput(f"{source} has no faces — expected a row with names, and one row for each face")
    images = [{"id": number, "file_name": name} for name, number in numbers.items()]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "face"}]}


def _face(row: Sequence[str], header: Sequence[str]) -> dict[str, Any]:
    if len(row) != len(header) or len(row) < BEFORE + 2:
        raise ValueError(f"it has {len(row)} columns, the first row has {len(header)}")
    scale, *rest = (float(v) for v in row[1:])
    if any(not abs(v) < LARGEST for v in (scale, *rest)):  # a NaN is not, either
        raise ValueError("a number is too large, or none")
    made: dict[str, Any] = {"box_size": rest.pop(0)} if len(row) % 2 else {}
    x, y, *points = rest
    side = UNIT * scale
    if side <= 0 or made.get("box_size", 1) <= 0:
        raise ValueError("a size is not above zero")
    flat = [v for px, py in zip(points[::2], points[1::2], strict=True) for v in (px, py, 2)]
    made |= {"keypoints": flat, "num_keypoints": len(flat) // 3, "center": [x, y], "scale": scale}
    return {**made, "bbox": [x - side / 2, y - side / 2, side, side], "area": side * side, "iscrowd": 0}
