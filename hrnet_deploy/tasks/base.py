"""What a task is: from an image to what the network takes, and from what it gives to what people want.

A task knows nothing of engines. One object serves export's check, parity, bench's pipeline figure and predict,
so that preprocessing cannot differ between them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.architecture import IMAGE_SIZE, INPUT
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.figures import Distance
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import Image, Labels

CROPS = "crops"  # the input of a graph that prepares it itself: uint8 images
Feed = Mapping[str, NDArray]  # what a network takes, by the names of its inputs
Outputs = Mapping[str, NDArray]


@dataclass(frozen=True)
class Contract:
    """How an ONNX file wants to be fed: `embedded` takes uint8 crops and gives decoded results."""

    embedded: bool = False
    flip_test: bool = False


@dataclass(frozen=True)
class Sample:
    """What one result needs: the arrays the network takes, (passes, ...) with a second pass for the mirror image
    where a flip test is asked for, and what decoding needs to know."""

    image_id: int
    feed: Feed
    context: Any


class Task(Protocol):
    """The verbs of a task. `metric` is what `score` is called; `limits` bounds figures of `compare` by precision. What has a
    body here is the same for most tasks. `comparable`: outputs of two engines can be held against each other number by
    number; a list in order of score cannot, where two that are all but equal may change places."""

    card: ModelCard
    metric: str
    comparable: bool = True
    limits: Mapping[str, Mapping[str, float]]

    def samples(self, image: Image, item: Item) -> list[Sample]:
        """What one image needs (pose: a sample a person)."""

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Any]:
        """Predictions, one a sample, in pixels of the image. `outputs` are one a sample, its passes first."""

    def kept(self, predictions: Sequence[Any]) -> list[Any]:
        """The same predictions in as little memory as it takes to hold those of all images until they are compared and scored."""
        return list(predictions)

    def compare(self, reference: Sequence[Any], other: Sequence[Any]) -> Distance:
        """How far predictions of the same samples lie apart, in the task's own terms."""

    def protocol(self) -> dict[str, Any]:
        """What a score depends on besides the weights: flip test, decoding, and the like."""

    def unscorable_reason(self, dataset: Dataset) -> str:
        """Empty where `score` can score against a dataset, else the reason. Raises Unavailable where a library is missing."""

    def score(self, predictions: Sequence[Any], dataset: Dataset) -> Any:
        """The task's metric against annotations: an object with `figures()` and a paired `difference`."""

    def draw(self, image: Image, predictions: Sequence[Any]) -> Image:
        """A copy of the image with the predictions on it."""

    def records(self, predictions: Sequence[Any]) -> list[dict[str, Any]]:
        """Predictions as the entries of a results file: COCO's, where COCO has such results."""

    def label_maps(self, predictions: Sequence[Any]) -> list[Labels]:
        """Results that are pictures themselves, one an entry of `records`."""
        return []


class Score(Protocol):
    """A metric computed once, that can be compared with another of the same images."""

    def figures(self) -> dict[str, float]: ...

    def difference(self, base: Any) -> tuple[float, float, float]:
        """This minus `base`, and the bounds of its 95% bootstrap interval over images."""


TASKS = {
    "pose": ("hrnet_deploy.tasks.pose", "PoseTask"),
    "segmentation": ("hrnet_deploy.tasks.segmentation", "SegmentationTask"),
    "detection": ("hrnet_deploy.tasks.detection", "DetectionTask"),
}


def task_of(card: ModelCard, contract: Contract | None = None, flip_test: bool = False) -> Task:
    """The task of a card. `flip_test` averages each result with that of the mirror image."""
    if card.task not in TASKS:
        raise BadInput(f"{card.name} is a model for {card.task}, which this version does not know")
    module, name = TASKS[card.task]
    made: Task = getattr(importlib.import_module(module), name)(card, contract or Contract(), flip_test)
    return made


def dataset_samples(task: Task, dataset: Dataset) -> Iterator[tuple[Item, Image, list[Sample]]]:
    """Every image of a dataset, read and prepared."""
    for item in dataset.items:
        image = item.read()
        yield item, image, task.samples(image, item)


def noise(card: ModelCard, batch: int, seed: int, height: int = 0, width: int = 0) -> Feed:
    """Seeded normal input, (batch, 3, H, W) float32, at the card's size unless another is given; where the network
    asks how much of it is image, (batch, 2), all of it is."""
    height, width = height or card.input.height, width or card.input.width
    feed = {INPUT: np.random.default_rng(seed).standard_normal((batch, 3, height, width), dtype=np.float32)}
    if IMAGE_SIZE in card.architecture.inputs:
        feed[IMAGE_SIZE] = np.tile(np.array([height, width], np.float32), (batch, 1))
    return feed
