"""Drawing one image with its annotations. The same seed and index always give the same image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from drawn.body import Body
from drawn.objects import OBJECTS, paint_background, paint_object
from drawn.paint import Canvas, Rng
from drawn.person import KEYPOINTS, LABEL, PART_OF, PARTS, Person

CATEGORIES = ("person", *OBJECTS)
SMALLEST = 60  # an instance with fewer visible pixels is not annotated


@dataclass
class Scene:
    """A drawn image.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        parts: (H, W) uint8, the part of a body that each pixel shows, as an index into PARTS.
        annotations: the people and objects in COCO's format.
    """

    image: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    annotations: list[dict[str, Any]] = field(default_factory=list)

    @property
    def people(self) -> list[dict[str, Any]]:
        """The annotations of people."""
        return [a for a in self.annotations if a["category_id"] == 1]


def scene(seed: int, index: int) -> Scene:
    """Draw image `index` of the series `seed`."""
    rng = np.random.default_rng([seed, index])
    height, width = int(rng.integers(240, 400)), int(rng.integers(240, 460))
    canvas = Canvas.blank(height, width)
    paint_background(canvas, rng)
    people: dict[int, Person] = {}
    objects: dict[int, str] = {}
    boxes: list[NDArray] = []
    kinds = ["person"] * int(rng.choice([1, 2, 3, 4], p=[0.42, 0.33, 0.17, 0.08]))
    kinds += [str(rng.choice(OBJECTS)) for _ in range(int(rng.integers(0, 5)))]
    rng.shuffle(kinds)
    for owner, kind in enumerate(kinds, start=1):
        if kind == "person":
            placed = _place_person(rng, width, height, boxes)
            if placed is not None:
                people[owner], box = placed
                people[owner].paint(canvas, owner)
                boxes.append(box)
        else:
            size = rng.uniform(0.08, 0.42) * height
            x, y = rng.uniform(0.03, 0.97, 2) * (width, height)
            box = np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2])
            if _covered(box, boxes) < 0.4:  # an object may cover a part of a person, but not most of them
                objects[owner] = kind
                paint_object(canvas, rng, kind, x, y, size, owner)
                boxes.append(box)
    annotations = [_annotate_person(canvas, owner, p) for owner, p in people.items()]
    annotations += [_annotate(canvas, owner, CATEGORIES.index(kind) + 1) for owner, kind in objects.items()]
    image = photograph(canvas.rgb, rng)
    return Scene(image, PART_OF[canvas.part], [a for a in annotations if a is not None])


def _place_person(rng: Rng, width: int, height: int, boxes: list[NDArray]) -> tuple[Person, NDArray] | None:
    """A person of random pose and size at a place where they cover little of others, and their box in pixels.

    One in five may be cut off by the border. The result is None if there is no such place.
    """
    body = Body.sample(rng)
    low, high = body.extent()
    for _ in range(12):
        scale = rng.uniform(0.35, 1.05) * height
        span = (high - low) * scale
        if rng.random() < 0.2:
            centre = rng.uniform(0.05, 0.95, 2) * (width, height)
        elif span[0] < width and span[1] < height:
            centre = rng.uniform(span / 2, np.array([width, height]) - span / 2)
        else:
            continue
        box = np.concatenate([centre - span / 2, centre + span / 2])
        inside = np.minimum(box[2:], (width, height)) - np.maximum(box[:2], 0)
        if (inside <= 0.4 * span).any() or _covered(box, boxes) > 0.3:
            continue
        return Person(rng, body, centre - (low + high) / 2 * scale, scale), box
    return None


def _covered(box: NDArray, others: list[NDArray]) -> float:
    """The largest share of the area of one of `others` that `box` covers."""
    worst = 0.0
    for other in others:
        overlap = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
        worst = max(worst, float(np.prod(np.maximum(overlap, 0)) / np.prod(other[2:] - other[:2])))
    return worst


def _annotate(canvas: Canvas, owner: int, category: int) -> dict[str, Any] | None:
    """The annotation of an instance from its visible pixels, or None if there are too few."""
    rows, columns = np.nonzero(canvas.owner == owner)
    if len(rows) < SMALLEST:
        return None
    x, y = int(columns.min()), int(rows.min())
    box = [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1]
    return {"category_id": category, "bbox": box, "area": len(rows), "iscrowd": 0}


def _annotate_person(canvas: Canvas, owner: int, person: Person) -> dict[str, Any] | None:
    """The annotation of a person with keypoints, whose visibility is 2 if seen, 1 if hidden and 0 if not labelled."""
    annotation = _annotate(canvas, owner, 1)
    if annotation is None:
        return None
    height, width = canvas.owner.shape
    flat: list[float] = []
    for name in KEYPOINTS:
        (x, y), facing = person.keypoint(name)
        if not (0 <= x < width and 0 <= y < height) or facing < -0.6 or (facing < 0 and not name.endswith("ear")):
            flat += [0, 0, 0]  # COCO labels neither points outside the image nor features on the far side of the face
            continue
        row, column = int(y), int(x)
        seen = canvas.owner[row, column] == owner and canvas.part[row, column] in _OWN[name]
        flat += [round(float(x), 2), round(float(y), 2), 2 if seen else 1]
    annotation["keypoints"] = flat
    annotation["num_keypoints"] = sum(v > 0 for v in flat[2::3])
    return annotation


def _own_parts(keypoint: str) -> set[int]:
    """The labels of the parts that the pixel of a visible keypoint can show."""
    side, _, joint = keypoint.partition("_")
    if joint in ("", "eye", "ear"):
        names = {"face", "hair"}
    elif joint in ("shoulder", "elbow", "wrist"):
        names = {f"{side}_upper_arm", f"{side}_lower_arm"} | ({"torso"} if joint == "shoulder" else set())
    else:
        names = {f"{side}_upper_leg", f"{side}_lower_leg", f"{side}_shoe"} | ({"torso"} if joint == "hip" else set())
    return {LABEL[n] for n in names}


_OWN = {name: _own_parts(name) for name in KEYPOINTS}


def photograph(rgb: NDArray[np.float32], rng: Rng) -> NDArray[np.uint8]:
    """Make a painting resemble a photograph, with random brightness, colour cast, blur, noise and JPEG compression."""
    out: NDArray = rgb * rng.uniform(0.75, 1.2) + rng.uniform(-18, 18) + rng.normal(0, 6, 3).astype(np.float32)
    if rng.random() < 0.35:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.3)))
    if rng.random() < 0.6:
        noise = rng.standard_normal(out.shape, dtype=np.float32)
        out = out + noise * np.float32(rng.uniform(1, 11))
    image = np.ascontiguousarray(np.clip(out, 0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        quality = int(rng.integers(45, 95))
        ok, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert ok
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()
    return image


__all__ = ["CATEGORIES", "KEYPOINTS", "PARTS", "Scene", "scene"]
