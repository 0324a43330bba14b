"""The classification task: a whole image in, its most probable classes out.

Source of the test protocol: HRNet-Image-Classification, tools/valid.py: the shorter side is resized to 256 pixels, the
centre of 224 x 224 is cut out, and the five highest scores count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.architecture import INPUT
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import Setting
from hrnet_deploy.results.figures import Distance
from hrnet_deploy.tasks.base import CROPS, NO_OPTIONS, InputFormat, Outputs, Record, Sample, Task, TaskOptions
from hrnet_deploy.tasks.classification import ENTRY
from hrnet_deploy.tasks.classification.accuracy import Accuracy
from hrnet_deploy.tasks.classification.drawing import draw_classes
from hrnet_deploy.tasks.classification.labels import BEST, ImageClasses
from hrnet_deploy.tasks.classification.resampling import centre_crop
from hrnet_deploy.tasks.classification.truth import Truth
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import Image, normalised
from hrnet_deploy.tasks.whole_images import class_folders

TIED = 1e-3  # two probabilities that differ by less are not told apart


@dataclass(frozen=True)
class Classification:
    """The most probable classes of an image, the best first. classes: (k,) their numbers, probabilities: (k,)."""

    image_id: int
    classes: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def probability(self, number: int) -> float:
        """The probability of a class; of one that is not among the best, that of the last of these, which is the
        highest that it can have."""
        found = np.flatnonzero(self.classes == number)
        return float(self.probabilities[found[0] if len(found) else -1])


class ClassificationTask(Task):
    """See `tasks.base.Task`. A sample is an image, and a prediction is a `Classification`."""

    metric = ENTRY.metric
    # changed: the share of images with another first class. probability_max: the largest change of the probability of
    # one of the best classes of either.
    limits: Mapping[str, Mapping[str, float]] = {
        "fp32": {"changed": 0.0, "probability_max": 1e-3},
        "fp16": {"changed": 0.01, "probability_max": 0.05},
        "bf16": {"changed": 0.05, "probability_max": 0.3},
        "int8": {"changed": 0.1},
    }

    def __init__(self, card: ModelCard, input_format: InputFormat, options: TaskOptions = NO_OPTIONS) -> None:
        """Raises BadInput if the card does not fit."""
        self.card, self.input_format = card, input_format
        self.classes = card.labels_as(ImageClasses)
        if card.input.fit != "centre":
            raise BadInput(
                f"{card.name} does not say how an image becomes {card.input.size} — its input needs fit: centre"
            )

    @property
    def best(self) -> int:
        """How many classes are kept of each image."""
        return min(BEST, len(self.classes.names))

    def samples(self, image: Image, item: Item) -> list[Sample]:
        crop = centre_crop(image, self.card.input)
        feed = {CROPS: crop[None]} if self.input_format.embedded else {INPUT: normalised(crop, self.card.input)}
        return [Sample(item.image_id, feed, None)]

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Classification]:
        return [self._decoded(o, s.image_id) for o, s in zip(outputs, samples, strict=True)]

    def _decoded(self, outputs: Outputs, image_id: int) -> Classification:
        if self.input_format.embedded:
            return Classification(image_id, outputs["classes"][0], outputs["probabilities"][0])
        probabilities = softmax(np.asarray(outputs["logits"][0], np.float32))
        order = np.argsort(-probabilities, kind="stable")[: self.best]
        return Classification(image_id, order, probabilities[order])

    def compare(self, reference: Sequence[Classification], other: Sequence[Classification]) -> Distance:
        """The share of images whose first class differs, and how much the probabilities of the best classes do. Of two
        classes that are equally probable in the reference, either may be the first."""
        changed, largest = 0, 0.0
        for a, b in zip(reference, other, strict=True):
            changed += a.probability(int(b.classes[0])) < float(a.probabilities[0]) - TIED
            numbers = {int(n) for n in (*a.classes, *b.classes)}
            largest = max(largest, *(abs(a.probability(n) - b.probability(n)) for n in numbers))
        share = changed / len(reference)
        sentence = f"{100 * share:.2f}% have another first class, probabilities differ by up to {largest:.2g}"
        return Distance({"changed": share, "probability_max": largest}, sentence)

    def protocol(self) -> dict[str, Setting]:
        spec = self.card.input
        return {"fit": spec.fit, "crop_ratio": spec.crop_ratio, "interpolation": spec.interpolation}

    def reading(self, dataset: Dataset) -> dict[str, Setting]:
        known = super().reading(dataset)
        return known if self.unscorable_reason(dataset) else {**known, **Truth.of(self.classes, dataset).how}

    def unscorable_reason(self, dataset: Dataset) -> str:
        if dataset.truth is None:
            return dataset.nothing_annotated
        try:
            Truth.of(self.classes, dataset)
        except BadInput as error:
            return str(error).replace(" — ", "; ")
        return ""

    def score(self, predictions: Sequence[Classification], dataset: Dataset) -> Accuracy:
        if reason := self.unscorable_reason(dataset):
            raise BadInput(
                f"{self.card.name} cannot be scored: {reason} — give a folder with a folder for each class, or with "
                "--annotations a list of `path class` lines"
            )
        truth = Truth.of(self.classes, dataset).of_image
        found = {p.image_id: p for p in predictions}
        scored = [(truth[i.image_id], found[i.image_id].classes) for i in dataset.items if i.image_id in truth]
        return Accuracy(np.array([np.isin(numbers, wanted) for wanted, numbers in scored]).reshape(-1, self.best))

    def annotation_source(self, images: Path, annotations: Path | None) -> dict[str, str]:
        """The folder of folders of classes, or the file."""
        if annotations is None and class_folders(images):
            return {"folder": str(images)}
        return super().annotation_source(images, annotations)

    def draw(self, image: Image, predictions: Sequence[Classification]) -> Image:
        for p in predictions:
            image = draw_classes(image, [(self.classes.names[n], s) for n, s in self._pairs(p)], self.classes)
        return image

    def records(self, predictions: Sequence[Classification]) -> list[Record]:
        """One entry per image, with its best classes."""
        return [
            {
                "image_id": p.image_id,
                "classes": [
                    {"id": n, "name": self.classes.names[n], "probability": round(s, 6)} for n, s in self._pairs(p)
                ],
            }
            for p in predictions
        ]

    @staticmethod
    def _pairs(found: Classification) -> list[tuple[int, float]]:
        return [(int(n), float(s)) for n, s in zip(found.classes, found.probabilities, strict=True)]


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities from class scores (classes,)."""
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum(), np.float32)
