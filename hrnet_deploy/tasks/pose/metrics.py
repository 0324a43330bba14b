"""The metrics of keypoints. Data sets choose one by its name: AP where there are OKS sigmas, else the share of
keypoints that are close enough to their annotated place.

Sources: for PCKh the evaluation of HRNet-Human-Pose-Estimation, lib/dataset/mpii.py; for PCK, AUC and EPE mmpose 1.x,
evaluation/functional/keypoint_eval.py.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.errors import need
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.pose.detailed_ap import DetailedMatches
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.truth import annotated_points, people, with_points

if TYPE_CHECKING:
    from hrnet_deploy.tasks.base import Record, Score
    from hrnet_deploy.tasks.pose.person import Pose

HEAD = ("upper_neck", "head_top")  # the ends of a head, where an annotation has no box of it
NOT_IN_MEAN = ("pelvis", "thorax")  # not in the mean of PCKh
HEAD_SHARE = 0.6  # of the diagonal of the box of a head (SC_BIAS)
AUC_PIXELS, AUC_STEPS = 30, 20  # thresholds of the AUC: 0, 1.5 ... 28.5 pixels


@dataclass(frozen=True)
class Metric:
    """A metric: its name, why it cannot score a data set (empty if it can), how it scores, and what it had to assume.

    `score` takes the predictions, their entries as COCO results, the data set and the labels."""

    name: str
    missing: Callable[[Keypoints, Dataset], str]
    score: Callable[[Sequence[Pose], Sequence[Record], Dataset, Keypoints], Score]
    remarks: Callable[[Keypoints, Dataset], dict[str, str]] = lambda labels, dataset: {}


@dataclass(frozen=True)
class Errors:
    """How far P predictions are from their annotations: distance (P, K) in pixels of the image, counted (P, K), the
    number of the image of each (P,), and how many images there are."""

    distance: NDArray[np.float64]
    counted: NDArray[np.bool_]
    image: NDArray[np.intp]
    images: int


class Resampled(abc.ABC):
    """A score of some images that can be computed again with every image counted so many times, for the interval of a
    difference."""

    images: int

    @abc.abstractmethod
    def headline(self, times: NDArray | None = None) -> float:
        """The headline figure, over all images or with every image counted so many times."""

    @abc.abstractmethod
    def figures(self) -> dict[str, float]:
        """See `tasks.base.Score`."""

    def difference(self, base: Resampled, samples: int = 1000, seed: int = 0) -> tuple[float, float, float]:
        """See `tasks.base.Score`."""
        rng, count = np.random.default_rng(seed), self.images
        drawn = (np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(samples))
        low, high = np.nanquantile([self.headline(t) - base.headline(t) for t in drawn], [0.025, 0.975])
        return self.headline() - base.headline(), float(low), float(high)


class Closeness(Resampled):
    """The share of keypoints that are close enough: `shares` maps the name of a figure to (P, K), whether each is."""

    def __init__(self, errors: Errors, shares: dict[str, NDArray], by_keypoint: bool, in_pixels: str = "") -> None:
        """by_keypoint: whether the share is computed for every keypoint first, and then averaged. in_pixels: the name
        of the mean distance, if it is a figure."""
        self.errors, self.shares, self.by_keypoint, self.in_pixels = errors, shares, by_keypoint, in_pixels
        self.images = errors.images

    def _share(self, close: NDArray, times: NDArray) -> float:
        weight = self.errors.counted * times[self.errors.image][:, None]
        axis = 0 if self.by_keypoint else None
        total, right = weight.sum(axis), (weight * close).sum(axis)
        return float(np.mean(right[total > 0] / total[total > 0])) if np.any(total) else float("nan")

    def headline(self, times: NDArray | None = None) -> float:
        """The first figure, see `Resampled`."""
        return self._share(next(iter(self.shares.values())), self._all() if times is None else times)

    def _all(self) -> NDArray:
        return np.ones(self.errors.images)

    def figures(self) -> dict[str, float]:
        """See `tasks.base.Score`. A name that ends with px is in pixels."""
        found = {name: self._share(close, self._all()) for name, close in self.shares.items()}
        if self.in_pixels:
            found[self.in_pixels] = float(self.errors.distance[self.errors.counted].mean())
        return found


def errors_of(predictions: Sequence[Pose], dataset: Dataset, labels: Keypoints) -> Errors:
    """The errors of those predictions whose annotation has keypoints."""
    numbers = {i.image_id: n for n, i in enumerate(dataset.items)}
    places = [np.array(list(annotated_points(p.person.annotation or {}, labels)), float) for p in predictions]
    kept = [(p, a) for p, a in zip(predictions, places, strict=True) if len(a)]
    shape = (0, len(labels.names))
    return Errors(
        np.array([np.linalg.norm(p.points - a[:, :2], axis=-1) for p, a in kept]).reshape(-1, *shape[1:]),
        np.array([a[:, 2] > 0 for _, a in kept], bool).reshape(-1, *shape[1:]),
        np.array([numbers[p.person.image_id] for p, _ in kept], np.intp),
        len(dataset.items),
    )


def sizes_of(predictions: Sequence[Pose], labels: Keypoints, size: Callable[[Any, Keypoints], float]) -> NDArray:
    """The size of every person of `errors_of`, by which distances are divided, (P, 1)."""
    annotated = [a for p in predictions if (a := p.person.annotation) and list(annotated_points(a, labels))]
    return np.array([size(a, labels) for a in annotated], float).reshape(-1, 1)


def _head(annotation: Any, labels: Keypoints) -> float:
    """The size of a head in pixels: 0.6 of the diagonal of its box, or the distance of its ends without one."""
    if "headbox" in annotation:
        x1, y1, x2, y2 = annotation["headbox"]
        return HEAD_SHARE * float(np.hypot(x2 - x1, y2 - y1))
    points = list(annotated_points(annotation, labels))
    neck, top = (np.array(points[labels.names.index(n)][:2]) for n in HEAD)
    return float(np.linalg.norm(top - neck))


def longer_side(annotation: Any, labels: Keypoints) -> float:
    """The longer side of the annotated box, in pixels."""
    return float(max(annotation["bbox"][2:]))


def _pckh(predictions: Sequence[Pose], _: Sequence[Record], dataset: Dataset, labels: Keypoints) -> Score:
    errors = errors_of(predictions, dataset, labels)
    in_mean = np.array([n not in NOT_IN_MEAN for n in labels.names])
    errors = Errors(errors.distance, errors.counted & in_mean, errors.image, errors.images)
    heads = np.maximum(sizes_of(predictions, labels, _head), 1e-9)
    return Closeness(
        errors, {"PCKh": errors.distance / heads <= 0.5, "PCKh@0.1": errors.distance / heads <= 0.1}, False
    )


def _pck(predictions: Sequence[Pose], _: Sequence[Record], dataset: Dataset, labels: Keypoints) -> Score:
    errors = errors_of(predictions, dataset, labels)
    steps = [AUC_PIXELS * i / AUC_STEPS for i in range(AUC_STEPS)]
    shares = {
        "PCK": errors.distance / np.maximum(sizes_of(predictions, labels, longer_side), 1e-9) < 0.2,
        "AUC": np.mean([errors.distance < s for s in steps], axis=0),
    }
    return Closeness(errors, shares, True, "EPE px")


def _ap(predictions: Sequence[Pose], records: Sequence[Record], dataset: Dataset, labels: Keypoints) -> Score:
    assert dataset.truth is not None
    truth = {**dataset.truth, "annotations": [with_points(a, labels) for a in people(labels, dataset)]}
    return DetailedMatches(truth, records, labels)


def _needs_sigmas(labels: Keypoints, dataset: Dataset) -> str:
    if not labels.sigmas:
        return "its data set has no OKS sigmas"
    need("pycocotools", "eval")
    return ""


def needs_annotated_boxes(labels: Keypoints, dataset: Dataset) -> str:
    """See `Metric.missing`: why a metric of people and their own annotations cannot score a data set."""
    if dataset.detected:
        return f"{labels.metric_name} compares people with their annotations, so it needs the annotated boxes"
    return ""


def _needs_heads(labels: Keypoints, dataset: Dataset) -> str:
    if not set(HEAD) <= set(labels.names) and not all("headbox" in a for a in people(labels, dataset)):
        return f"PCKh needs the size of heads: a headbox in every annotation, or the keypoints {' and '.join(HEAD)}"
    return needs_annotated_boxes(labels, dataset)


def _heads(labels: Keypoints, dataset: Dataset) -> dict[str, str]:
    own = people(labels, dataset)
    without = sum("headbox" not in a for a in own)
    how = f"from {HEAD[0]} to {HEAD[1]} for {without} of {len(own)} people, whose annotations have no headbox"
    return {"head": how} if without else {}


METRICS = {
    m.name: m
    for m in (
        Metric("AP", _needs_sigmas, _ap),
        Metric("PCKh", _needs_heads, _pckh, _heads),
        Metric("PCK", needs_annotated_boxes, _pck),
    )
}
