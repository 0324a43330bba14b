"""The normalised mean error (NME) of faces: the mean distance of landmarks from their annotated place, divided by a
size of the face.

Source: HRNet-Facial-Landmark-Detection, lib/core/evaluation.py (compute_nme) and function.py (inference).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.landmarks.labels import Landmarks
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.metrics import (
    METRICS,
    Metric,
    Resampled,
    errors_of,
    longer_side,
    needs_annotated_boxes,
    sizes_of,
)
from hrnet_deploy.tasks.pose.truth import annotated_points, people

if TYPE_CHECKING:
    from hrnet_deploy.tasks.base import Record, Score
    from hrnet_deploy.tasks.pose.person import Pose

FAILURES = (0.08, 0.1)  # a face with a larger NME is one that the network failed on
AREA = 0.1  # the curve of the AUC ends at this NME


class FaceErrors(Resampled):
    """nme: that of each of F faces, (F,); image: the number of the image of each; images: how many there are."""

    def __init__(self, nme: NDArray[np.float64], image: NDArray[np.intp], images: int) -> None:
        self.nme, self.image, self.images = nme, image, images

    def headline(self, times: NDArray | None = None) -> float:
        """The mean NME, see `Resampled`."""
        return self._mean(self.nme, None if times is None else times[self.image])

    def _mean(self, values: NDArray, weight: NDArray | None = None) -> float:
        weight = np.ones(len(values)) if weight is None else weight
        return float(weight @ values / weight.sum()) if weight.any() else float("nan")

    def figures(self) -> dict[str, float]:
        """The mean NME, the shares of failures (FR), and the area under the curve of the share of faces with a smaller
        NME (AUC)."""
        found = {"NME": self.headline()}
        found |= {f"FR@{limit:g}": self._mean(self.nme > limit) for limit in FAILURES}
        return {**found, f"AUC@{AREA:g}": self._mean(np.maximum(0, 1 - self.nme / AREA))}


def face_size(annotation: Any, labels: Keypoints) -> float:
    """By what the errors of a face are divided, in pixels: see `Landmarks.normaliser`. NaN where it is not known."""
    assert isinstance(labels, Landmarks)
    if labels.normaliser:
        points = list(annotated_points(annotation, labels))
        (x1, y1, known), (x2, y2, known_too) = (points[i] for i in labels.normaliser)
        size = float(np.hypot(x2 - x1, y2 - y1)) if known and known_too else 0.0
    else:
        size = float(annotation.get("box_size") or longer_side(annotation, labels))
    return size if size > 0 else float("nan")


def _nme(predictions: Sequence[Pose], _: Sequence[Record], dataset: Dataset, labels: Keypoints) -> Score:
    errors = errors_of(predictions, dataset, labels)
    sizes = sizes_of(predictions, labels, face_size)[:, 0]
    usable = np.isfinite(sizes) & errors.counted.any(1)
    mean = (errors.distance * errors.counted).sum(1)[usable] / errors.counted.sum(1)[usable]
    return FaceErrors(mean / sizes[usable], errors.image[usable], errors.images)


def _remarks(labels: Keypoints, dataset: Dataset) -> dict[str, str]:
    assert isinstance(labels, Landmarks)
    if labels.normaliser:
        a, b = (labels.names[i] for i in labels.normaliser)
        found = {"normaliser": f"the distance of {a} and {b}"}
    else:
        found = {"normaliser": "the size of the face"}
    own = [a for a in people(labels, dataset) if any(annotated_points(a, labels))]
    if unknown := sum(face_size(a, labels) != face_size(a, labels) for a in own):
        found["not_scored"] = f"{unknown} of {len(own)} faces, whose size is not annotated"
    return found


FACE_METRICS = {**METRICS, "NME": Metric("NME", needs_annotated_boxes, _nme, _remarks)}
