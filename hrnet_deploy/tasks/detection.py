"""Detection: a whole image in, boxes with a class and a score out.

Source of the test protocol: mmdetection's configurations for COCO (configs/_base_/datasets/coco_detection.py) with mmcv's
imrescale: the image scaled as it is, bilinearly, its size rounded; normalised; filled up with zeros to the right and below.
There an upright image gets an upright input; here an input is fixed, and an upright image is scaled to fit in it, or gets
the frame of a second file (`frames`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.architecture import IMAGE_SIZE, INPUT
from hrnet_deploy.cards import Classes, ModelCard
from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.results.figures import Distance
from hrnet_deploy.tasks.average_precision import Matches
from hrnet_deploy.tasks.base import Contract, Feed, Outputs, Sample, Task
from hrnet_deploy.tasks.box_drawing import draw_boxes
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import Image, normalised
from hrnet_deploy.tasks.twins import compare_found

SHOWN = 0.3  # a box of a lower score is not drawn


@dataclass(frozen=True)
class Placed:
    """An image in the network's input: how many of its pixels, across and down, one of the image takes."""

    image_id: int
    zoom: tuple[float, float]


@dataclass(frozen=True)
class Found:
    """What is on one image, the surest first: boxes (n, 4) as x1, y1, x2, y2 in pixels of the image, in_input the same in
    pixels of the network's input, scores (n,), labels (n,). `full`: the network gives no more than these."""

    image_id: int
    boxes: NDArray[np.float64]
    in_input: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    full: bool


class DetectionTask(Task):
    """See `tasks.base.Task`. A prediction is all that was found on an image."""

    metric = "AP"
    comparable = False
    # missing and extra: shares of detections over 0.3 without a twin in the other; pixels of the input. With integers before
    # it, now and then another of two overlapping boxes survives: that is what the largest distances are, so means are bounded
    limits: Mapping[str, Mapping[str, float]] = {
        "fp32": {"missing": 0.0, "extra": 0.0, "pixels_max": 0.05, "score_max": 1e-3},
        "fp16": {"missing": 0.01, "extra": 0.01, "pixels_mean": 0.2, "score_mean": 0.01},
        "bf16": {"missing": 0.02, "extra": 0.02, "pixels_mean": 1.0, "score_mean": 0.03},
        "int8": {"missing": 0.05, "extra": 0.05, "pixels_mean": 2.0, "score_mean": 0.05},
    }

    def __init__(self, card: ModelCard, contract: Contract, flip_test: bool = False) -> None:
        self.card, self.contract = card, contract
        self.classes = card.classes or Classes(())
        if flip_test:
            raise BadInput(
                "a detector's boxes are not averaged with those of the mirror image — run without the flip test"
            )
        if card.input.fit != "pad":
            raise BadInput(
                f"{card.name} does not say how an image is brought to {card.input.size} — its input needs `fit: pad`"
            )
        self.frames: tuple[tuple[int, int], ...] = ((card.input.height, card.input.width),)

    def samples(self, image: Image, item: Item) -> list[Sample]:
        height, width = image.shape[:2]
        feed = self.feed(image)
        rows, columns = (float(v) for v in feed[IMAGE_SIZE][0])
        return [Sample(item.image_id, feed, Placed(item.image_id, (columns / width, rows / height)))]

    def feed(self, image: Image) -> Feed:
        """An image (H, W, 3) RGB uint8 as the network takes it, in the frame where it is largest, and how much of it it fills."""
        spec = self.card.input
        height, width = image.shape[:2]
        rows, columns = max(self.frames, key=lambda f: min(f[0] / height, f[1] / width))
        zoom = min(rows / height, columns / width)
        if spec.longest is not None:
            zoom = min(zoom, spec.longest / max(height, width))
        used = min(rows, max(1, int(height * zoom + 0.5))), min(columns, max(1, int(width * zoom + 0.5)))
        scaled = np.asarray(cv2.resize(image, (used[1], used[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
        whole = np.zeros((1, 3, rows, columns), np.float32)
        whole[..., : used[0], : used[1]] = normalised(scaled, spec)
        return {INPUT: whole, IMAGE_SIZE: np.array([used], np.float32)}

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Found]:
        return [self._found(o, s.context) for o, s in zip(outputs, samples, strict=True)]

    def _found(self, outputs: Outputs, placed: Placed) -> Found:
        count, most = int(outputs["count"][0]), len(outputs["scores"][0])
        boxes, scores, labels = (np.asarray(outputs[n][0][:count]) for n in ("boxes", "scores", "labels"))
        return Found(placed.image_id, boxes / np.tile(placed.zoom, 2), boxes, scores, labels, count == most)

    def compare(self, reference: Sequence[Found], other: Sequence[Found]) -> Distance:
        """How far detections lie from their twins in the other, in pixels of the network's input."""
        return compare_found(reference, other)

    def protocol(self) -> dict[str, Any]:
        shape = self.card.architecture
        kept = getattr(shape, "detections", None)
        sizes = " or ".join(f"{rows}x{columns}" for rows, columns in self.frames)
        return {"input": sizes} | ({"score_over": kept.score, "nms_iou": kept.iou, "kept": kept.kept} if kept else {})

    @property
    def _own_ids(self) -> tuple[int, ...]:
        return self.classes.ids or tuple(range(1, len(self.classes.names) + 1))

    def _ids(self, truth: Mapping[str, Any]) -> tuple[int, ...]:
        """A dataset's number of every class: by its name, where the dataset names all of them, else the card's."""
        named = {c["name"]: int(c["id"]) for c in truth.get("categories", ()) if "name" in c}
        if set(self.classes.names) <= named.keys():
            return tuple(named[n] for n in self.classes.names)
        return self._own_ids

    def unscorable_reason(self, dataset: Dataset) -> str:
        if dataset.truth is None:
            return "nothing is annotated"
        known = set(self._ids(dataset.truth))
        if not any(a.get("category_id") in known for a in dataset.truth["annotations"]):
            return "the annotations are of none of its classes"
        need("pycocotools", "eval")
        return ""

    def score(self, predictions: Sequence[Found], dataset: Dataset) -> Matches:
        if reason := self.unscorable_reason(dataset):
            raise BadInput(f"{self.card.name} cannot be scored: {reason} — give COCO annotations of these images")
        assert dataset.truth is not None
        ids = self._ids(dataset.truth)
        return Matches(dataset.truth, self._records(predictions, ids), ids)

    def records(self, predictions: Sequence[Found]) -> list[dict[str, Any]]:
        return self._records(predictions, self._own_ids)

    def _records(self, predictions: Sequence[Found], ids: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {
                "image_id": found.image_id,
                "category_id": ids[label],
                "bbox": [round(float(v), 3) for v in (x1, y1, x2 - x1, y2 - y1)],
                "score": round(float(score), 6),
            }
            for found in predictions
            for (x1, y1, x2, y2), score, label in zip(found.boxes, found.scores, found.labels, strict=True)
        ]

    def draw(self, image: Image, predictions: Sequence[Found]) -> Image:
        out = image.copy()
        for found in predictions:
            sure = found.scores > SHOWN
            draw_boxes(out, found.boxes[sure], found.scores[sure], found.labels[sure], self.classes)
        return out
