"""Drawing one image of faces with their annotations. The same seed and index always give the same image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawn.face import Face
from drawn.objects import OBJECTS, paint_background, paint_object
from drawn.paint import Canvas, Rng
from drawn.scene import photograph


@dataclass
class Portrait:
    """A drawn image of faces.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        annotations: the faces in COCO's format, with `center` and `scale` as the public data sets of faces have them.
    """

    image: NDArray[np.uint8]
    annotations: list[dict[str, Any]] = field(default_factory=list)


def portrait(seed: int, index: int) -> Portrait:
    """Draw image `index` of the series `seed`: one face or two."""
    rng = np.random.default_rng([seed, 77, index])
    height, width = int(rng.integers(180, 300)), int(rng.integers(180, 360))
    canvas = Canvas.blank(height, width)
    paint_background(canvas, rng)
    count = 2 if width > 300 and rng.random() < 0.6 else 1
    annotations = []
    for number in range(count):
        scale = height * rng.uniform(0.17, 0.4) * (0.75 if count == 2 else 1.0)
        left, right = (number * width / count, (number + 1) * width / count)
        reach = np.array([min(scale * 1.02, (right - left) / 2), min(scale * 1.02, height / 2)])
        at = rng.uniform((left + reach[0], reach[1]), (right - reach[0] + 1, height - reach[1] + 1))
        face = Face(rng, at, scale)
        face.paint(canvas, rng)
        annotations.append(_annotation(face, rng))
    if rng.random() < 0.25:  # something in front, which may cover a part of a face
        where, size = rng.uniform((0, height * 0.55), (width, height)), height * rng.uniform(0.1, 0.3)
        paint_object(canvas, rng, str(rng.choice(OBJECTS)), where[0], where[1], size, 0)
    return Portrait(photograph(canvas.rgb, rng), annotations)


def _annotation(face: Face, rng: Rng) -> dict[str, Any]:
    """The annotation of a face. Its box is that of the landmarks, grown as by a detector that is not quite certain."""
    points = face.landmarks()
    low, high = points.min(0), points.max(0)
    size = float((high - low).max()) * rng.uniform(1.0, 1.2)
    middle = (low + high) / 2 + rng.normal(0, 0.03, 2) * size
    flat = np.column_stack([points, np.full(len(points), 2)]).round(2).ravel().tolist()
    box = [*(middle - size / 2), size, size]
    return {
        "category_id": 1,
        "keypoints": flat,
        "num_keypoints": len(points),
        "bbox": [round(float(v), 2) for v in box],
        "center": [round(float(v), 2) for v in middle],
        "scale": round(size / 200, 4),
        "area": round(size * size, 1),
        "iscrowd": 0,
    }
