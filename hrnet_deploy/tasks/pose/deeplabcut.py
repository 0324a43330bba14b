"""The networks of DeepLabCut 3: the keypoints of one animal, from heatmaps and location refinement.

A network whose input is to `crop` looks at boxes (top-down); otherwise it looks at the whole image (bottom-up), in
which it places one animal.

Source: DeepLabCut 3.0.1, pose_estimation_pytorch/models/predictors/single_predictor.py (HeatmapPredictor).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.architecture import DeepLabCut
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import Setting
from hrnet_deploy.tasks.base import NO_OPTIONS, InputFormat, Outputs, Sample, TaskOptions
from hrnet_deploy.tasks.categories import Categories
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.images import Image
from hrnet_deploy.tasks.pose import truth
from hrnet_deploy.tasks.pose.heatmaps import Floats
from hrnet_deploy.tasks.pose.person import Person, Pose
from hrnet_deploy.tasks.pose.task import PoseTask
from hrnet_deploy.tasks.pose.whole import of_box, of_image


def keypoints(heatmaps: Floats, locref: Floats, shape: DeepLabCut) -> tuple[Floats, Floats]:
    """heatmaps (N, K, h, w) and locref (N, 2 K, h, w) -> points (N, K, 2) in pixels of the network's input, as x and y,
    and scores (N, K).

    A point is the first maximum in the middle of its cell, moved by the location refinement there.
    """
    n, k, _, width = heatmaps.shape
    flat = heatmaps.reshape(n, k, -1)
    index = flat.argmax(-1)
    scores = np.take_along_axis(flat, index[..., None], -1)[..., 0]
    offsets = np.take_along_axis(locref.reshape(n, k, 2, -1), index[..., None, None], -1)[..., 0]
    cells = np.stack([index % width, index // width], -1).astype(np.float32)
    stride = np.float32(shape.stride)
    points = cells * stride + np.float32(0.5) * stride + offsets * np.float32(shape.locref_std)
    if shape.scores == "sigmoid":
        scores = (1 / (1 + np.exp(-scores.astype(np.float64)))).astype(np.float32)
    elif shape.scores == "clipped":
        scores = scores.clip(0, 1)
    return points, scores


class DeepLabCutTask(PoseTask):
    """See `tasks.base.Task`. A sample is an animal, and a prediction is a `Pose`."""

    fits = ("crop", "place", "pad", "stretch")

    def __init__(self, card: ModelCard, input_format: InputFormat, options: TaskOptions = NO_OPTIONS) -> None:
        """Raises BadInput where a flip test is asked for: location refinement has a direction."""
        if options.flip_test:
            raise BadInput(f"{card.name} is a network of DeepLabCut, which has no flip test — leave --flip-test out")
        super().__init__(card, input_format, options)
        assert isinstance(card.architecture, DeepLabCut)
        self.shape = card.architecture

    def samples(self, image: Image, item: Item) -> list[Sample]:
        spec = self.card.input
        height, width = image.shape[:2]
        if spec.fit != "crop":
            known = [a for a in item.annotations or () if truth.points_of(a, self.keypoints)]
            only = known[0] if len(known) == 1 else None  # of several, nobody knows which one was found
            animals = [Person(item.image_id, of_image(height, width, spec), 1.0, annotation=only)]
        elif item.annotations is None:
            animals = [Person(item.image_id, of_box((0, 0, width, height), spec), 1.0)]
        else:
            boxed = [a for a in self._animals(item.annotations, item.categories) if _counts(a)]
            animals = [self._animal(a, item) for a in boxed]
        return [Sample(item.image_id, self.feed(a.crop.cut(image, *self._size)), a) for a in animals]

    def _animals(
        self, annotations: Sequence[Mapping[str, Any]], categories: Categories | None
    ) -> Sequence[Mapping[str, Any]]:
        """The annotations of the animal's category: the only one, or the one that is called person."""
        numbers = {*categories.names, *categories.used} if categories is not None else set()
        return annotations if len(numbers) == 1 else truth.of_category(self.keypoints, annotations, categories)

    def _animal(self, annotation: Mapping[str, Any], item: Item) -> Person:
        box, score = of_box(annotation["bbox"], self.card.input), float(annotation.get("score", 1.0))
        return Person(item.image_id, box, score, item.nms, annotation)

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Pose]:
        return [self._pose(o, s.context) for o, s in zip(outputs, samples, strict=True)]

    def _pose(self, outputs: Outputs, person: Person) -> Pose:
        maps: list[NDArray[np.float32]] = [np.asarray(outputs[n], np.float32) for n in self.shape.outputs]
        points, scores = keypoints(maps[0], maps[1], self.shape)
        return Pose(person, person.crop.to_image(points[0], *self._size), points[0], scores[0])

    def protocol(self) -> dict[str, Setting]:
        decode = "deeplabcut, without location refinement" if self.shape.locref_std == 0 else "deeplabcut"
        return {"decode": decode, "scores": self.shape.scores, "fit": self.card.input.fit}


def _counts(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotated or detected box is one of an animal to look at."""
    if annotation.get("iscrowd", 0) or min(annotation["bbox"][2:]) <= 0:
        return False
    return "score" in annotation or any(annotation.get("keypoints", (1,)))
