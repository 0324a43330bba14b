"""A person in an image, and the keypoints that were found of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.tasks.detections import NMS
from hrnet_deploy.tasks.geometry import Crop

CONFIDENT = 0.2  # a keypoint with a lower score does not count (official: TEST.IN_VIS_THRE)


@dataclass(frozen=True)
class Person:
    """One person in an image: the crop, the score of the detected box (1 for an annotated one), the similarity from
    which another person in the image is the same one, and the annotation or detection that the box is from."""

    image_id: int
    crop: Crop
    box_score: float
    nms: float = NMS
    annotation: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Pose:
    """The keypoints of one person: points (K, 2) in pixels of the image as x, y, in_crop (K, 2) the same in pixels of
    the network's input, scores (K,)."""

    person: Person
    points: NDArray[np.float64]
    in_crop: NDArray[np.float32]
    scores: NDArray[np.float32]

    @property
    def score(self) -> float:
        """The mean score of the confident keypoints times that of the box, by which the official evaluation ranks
        people."""
        sure = self.scores[self.scores > CONFIDENT]
        return float(sure.mean()) * self.person.box_score if len(sure) else 0.0
