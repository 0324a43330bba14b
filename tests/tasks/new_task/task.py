"""What is done with images and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.architecture import INPUT
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.figures import Distance
from hrnet_deploy.tasks.base import CROPS, NO_OPTIONS, InputFormat, Outputs, Sample, Task, TaskOptions
from hrnet_deploy.tasks.classes import Classes
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import Image, normalised
from hrnet_deploy.tasks.input_graph import HEADER

from . import ENTRY


@dataclass(frozen=True)
class Brightness:
    """The class of one image, and the score of each class (of an embedded file: 1 and 0)."""

    image_id: int
    label: int
    scores: NDArray[np.float32]


class Accuracy:
    """See `tasks.base.Score`. correct: (images,) bool."""

    def __init__(self, correct: NDArray[np.bool_]) -> None:
        self.correct = correct

    def figures(self) -> dict[str, float]:
        return {ENTRY.metric: float(self.correct.mean()) if len(self.correct) else float("nan")}

    def difference(self, base: Accuracy) -> tuple[float, float, float]:
        change = self.figures()[ENTRY.metric] - base.figures()[ENTRY.metric]
        return change, change, change


class BrightnessTask(Task):
    """See `tasks.base.Task`."""

    metric = ENTRY.metric
    limits: Mapping[str, Mapping[str, float]] = {
        "fp32": {"changed": 0.0, "score_max": 1e-3},
        "fp16": {"changed": 0.0, "score_max": 1e-2},
        "bf16": {"changed": 0.05, "score_max": 0.1},
        "int8": {"changed": 0.1, "score_max": 0.5},
    }

    def __init__(self, card: ModelCard, input_format: InputFormat, options: TaskOptions = NO_OPTIONS) -> None:
        self.card, self.input_format = card, input_format
        self.classes = card.labels_as(Classes)

    def samples(self, image: Image, item: Item) -> list[Sample]:
        size = (self.card.input.width, self.card.input.height)
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        feed = {CROPS: small[None]} if self.input_format.embedded else {INPUT: normalised(small, self.card.input)}
        return [Sample(item.image_id, feed, None)]

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Brightness]:
        found = []
        for given, sample in zip(outputs, samples, strict=True):
            if self.input_format.embedded:
                label = int(given["label"][0])
                found.append(Brightness(sample.image_id, label, np.eye(2, dtype=np.float32)[label]))
            else:
                found.append(Brightness(sample.image_id, int(given["scores"][0].argmax()), given["scores"][0]))
        return found

    def compare(self, reference: Sequence[Brightness], other: Sequence[Brightness]) -> Distance:
        pairs = list(zip(reference, other, strict=True))
        changed = float(np.mean([a.label != b.label for a, b in pairs]))
        largest = 0.0 if self.input_format.embedded else max(float(np.abs(a.scores - b.scores).max()) for a, b in pairs)
        return Distance(
            {"changed": changed, "score_max": largest}, f"{100 * changed:.0f}% of images changed their class"
        )

    def protocol(self) -> dict[str, Any]:
        return {"fit": self.card.input.fit}

    def unscorable_reason(self, dataset: Dataset) -> str:
        return "nothing is annotated" if dataset.truth is None else ""

    def score(self, predictions: Sequence[Brightness], dataset: Dataset) -> Accuracy:
        if reason := self.unscorable_reason(dataset):
            raise BadInput(f"{self.card.name} cannot be scored: {reason} — give COCO annotations of these images")
        labels = {p.image_id: p.label for p in predictions}
        known = [(i.image_id, a["category_id"]) for i in dataset.items for a in i.annotations or ()]
        return Accuracy(np.array([labels[image] + 1 == category for image, category in known], bool))

    def draw(self, image: Image, predictions: Sequence[Brightness]) -> Image:
        out = image.copy()
        for found in predictions:
            cv2.putText(out, self.classes.names[found.label], (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 0, 0))
        return out

    def records(self, predictions: Sequence[Brightness]) -> list[dict[str, Any]]:
        return [
            {"image_id": p.image_id, "category_id": p.label + 1, "score": float(p.scores.max())} for p in predictions
        ]


def embedding(card: ModelCard, output: tuple[int, ...], flip_test: bool, opset: int) -> str:
    """See `tasks.base.Embedding`: the class with the highest score."""
    batch, classes = output
    return f"""{HEADER.format(opset=opset)}
    after (float[{batch}, {classes}] scores)
        => (int64[{batch}] label) {{ label = ArgMax<axis = 1, keepdims = 0>(scores) }}"""
