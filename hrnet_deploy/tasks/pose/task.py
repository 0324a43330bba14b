"""The pose task: one crop per person in, heatmaps out, keypoints in pixels of the image.

Source of the test protocol: HRNet-Human-Pose-Estimation, lib/core/function.py (validate) and lib/dataset/coco.py
(evaluate). Differences between engines are given in pixels of the network's input, which do not depend on the size of
the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.architecture import INPUT
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.results.base import Setting
from hrnet_deploy.results.figures import Distance
from hrnet_deploy.tasks.average_precision import Matches, area_given
from hrnet_deploy.tasks.base import CROPS, NO_OPTIONS, Feed, InputFormat, Outputs, Record, Sample, Task, TaskOptions
from hrnet_deploy.tasks.categories import Categories, match_people
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.geometry import Crop, crop_of_box
from hrnet_deploy.tasks.images import Image, normalised
from hrnet_deploy.tasks.pose import ENTRY
from hrnet_deploy.tasks.pose.drawing import draw_skeleton
from hrnet_deploy.tasks.pose.heatmaps import keypoints, merge_flip
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.oks import oks_nms

PERSON = 1  # COCO's category
PEOPLE = ("person", "people", "human", "pedestrian")  # what the category is called whose boxes are looked at
DECODE = "quarter_offset"  # see heatmaps.keypoints: the maximum, moved a quarter pixel towards the higher neighbour
CONFIDENT = 0.2  # a keypoint with a lower score does not count (official: TEST.IN_VIS_THRE)


@dataclass(frozen=True)
class Person:
    """One person in an image: the crop, and the score of the detected box (1 for an annotated one)."""

    image_id: int
    crop: Crop
    box_score: float


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
        return float(sure.mean() * self.person.box_score) if len(sure) else 0.0


class PoseTask(Task):
    """See `tasks.base.Task`. A sample is a person, and a prediction is a `Pose`."""

    metric = ENTRY.metric
    fits: tuple[str, ...] = ("crop",)  # how a card may say that images are brought to the input
    # Engines in fp32 differ only in the order in which they add. Where two pixels of a heatmap are equal to seven
    # digits, that can still decide which is the maximum, so even fp32 may move a few keypoints.
    limits: Mapping[str, Mapping[str, float]] = {
        "fp32": {"pixels_mean": 0.05, "moved_over_1px": 0.01, "score_relative": 1e-4},
        "fp16": {"pixels_mean": 0.2, "moved_over_1px": 0.05, "score_relative": 1e-2},
        "bf16": {"pixels_mean": 0.3, "moved_over_1px": 0.1, "score_relative": 8e-2},
        "int8": {"pixels_mean": 1.0, "moved_over_1px": 0.3, "score_relative": 0.5},
    }

    def __init__(self, card: ModelCard, input_format: InputFormat, options: TaskOptions = NO_OPTIONS) -> None:
        """Raises BadInput if the card or the file does not support an option."""
        self.card, self.input_format = card, input_format
        # an embedded graph that averages by itself needs no second pass
        self.flip_test = options.flip_test and not input_format.flip_test
        self.keypoints = card.labels_as(Keypoints)
        if self.keypoints.decode != DECODE:
            raise BadInput(
                f"{card.name} needs heatmaps decoded by {self.keypoints.decode!r} — this version only knows {DECODE!r}"
            )
        if card.input.fit not in self.fits:
            raise BadInput(
                f"{card.name} has fit: {card.input.fit}, and this task cuts out one crop per person — write fit: crop, "
                "or leave it out"
            )
        if self.flip_test and input_format.embedded:
            raise BadInput(
                "this file decodes inside the graph without a flip test — export it again with --embed --flip-test"
            )
        if self.flip_test and not self.keypoints.flip_pairs:
            raise BadInput(f"{card.name} does not say which keypoints mirror each other — leave --flip-test out")

    def samples(self, image: Image, item: Item) -> list[Sample]:
        height, width = image.shape[:2]
        people = [
            Person(item.image_id, crop_of_box((0, 0, width, height), self._aspect, self.keypoints.box_padding), 1.0)
        ]
        if item.annotations is not None:
            wanted = self._people(item.categories)
            ours = [a for a in item.annotations if a.get("category_id", wanted) == wanted]
            people = [p for a in ours if (p := self._person(a, item.image_id, height, width))]
        return [Sample(item.image_id, self.feed(p.crop.cut(image, *self._size)), p) for p in people]

    @staticmethod
    def _people(categories: Categories | None) -> int:
        """The number of the category whose boxes are looked at. Raises BadInput where there is none."""
        return PERSON if categories is None else match_people(PEOPLE, PERSON, categories).id

    def _person(self, annotation: Any, image_id: int, height: int, width: int) -> Person | None:
        """The person of one annotation, or None where it does not count. Annotated boxes are clipped to the image as in
        the official code; detected boxes, which have a score, are used as they are."""
        if annotation.get("iscrowd", 0):
            return None
        x, y, w, h = (float(v) for v in annotation["bbox"])
        if "score" not in annotation:
            if "keypoints" in annotation and not any(annotation["keypoints"]):
                return None
            right, bottom = min(width - 1.0, x + max(0.0, w - 1)), min(height - 1.0, y + max(0.0, h - 1))
            x, y = max(0.0, x), max(0.0, y)
            w, h = right - x, bottom - y
        if w <= 0 or h <= 0:
            return None
        crop = crop_of_box((x, y, w, h), self._aspect, self.keypoints.box_padding)
        return Person(image_id, crop, float(annotation.get("score", 1.0)))

    @property
    def _size(self) -> tuple[int, int]:
        return self.card.input.width, self.card.input.height

    @property
    def _aspect(self) -> float:
        return self.card.input.width / self.card.input.height

    def feed(self, crop: Image) -> Feed:
        """The arrays for one crop (H, W, C) uint8: normalised (1, C, H, W) float32, with the mirror image (2, C, H, W),
        or for an embedded file the pixels themselves (1, H, W, C)."""
        if self.input_format.embedded:
            return {CROPS: crop[None]}
        x = normalised(crop, self.card.input)
        return {INPUT: np.concatenate([x, x[..., ::-1]]) if self.flip_test else x}

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Pose]:
        return [self._pose(o, s.context) for o, s in zip(outputs, samples, strict=True)]

    def _pose(self, outputs: Outputs, person: Person) -> Pose:
        width, height = self._size
        if self.input_format.embedded:
            points, scores = outputs["keypoints"][0], outputs["scores"][0]
        else:
            heatmaps = np.asarray(outputs["heatmaps"], np.float32)
            if self.flip_test:
                heatmaps = merge_flip(heatmaps[:1], heatmaps[1:2], self.keypoints.flip_pairs, self.keypoints.flip_shift)
            found, sure = keypoints(heatmaps)
            points, scores = found[0] * np.float32(width / heatmaps.shape[-1]), sure[0]
        return Pose(person, person.crop.to_image(points, width, height), points, scores)

    def compare(self, reference: Sequence[Pose], other: Sequence[Pose]) -> Distance:
        """How far keypoints moved, in pixels of the network's input, and how their scores changed. Only keypoints that
        the reference scores above 0.2 count; if it scores none so high, as with random weights, all count."""
        a, b = np.stack([p.in_crop for p in reference]), np.stack([p.in_crop for p in other])
        theirs, ours = np.stack([p.scores for p in reference]), np.stack([p.scores for p in other])
        counted = theirs > CONFIDENT
        which = "confident keypoints" if counted.any() else f"keypoints (the reference has none above {CONFIDENT})"
        if not counted.any():
            counted = np.ones_like(counted)
        distance = np.linalg.norm(a - b, axis=-1)[counted]
        figures = {
            "keypoints": float(counted.sum()),
            "pixels_mean": float(distance.mean()),
            "pixels_p99": float(np.quantile(distance, 0.99)),
            "pixels_max": float(distance.max()),
            "moved_over_1px": float((distance > 1).mean()),
            "score_relative": float(np.abs(theirs - ours)[counted].max() / max(np.abs(theirs).max(), 1e-12)),
        }
        sentence = (
            f"{len(reference)} people, {counted.sum()} {which}: moved {figures['pixels_mean']:.4f} px on average, "
            f"{figures['pixels_p99']:.3f} px at p99, {100 * figures['moved_over_1px']:.2f}% over 1 px (pixels of the "
            "input)"
        )
        return Distance(figures, sentence)

    def protocol(self) -> dict[str, Setting]:
        flip = self.flip_test or self.input_format.flip_test
        return {"flip_test": flip, "flip_shift": self.keypoints.flip_shift, "decode": self.keypoints.decode}

    def reading(self, dataset: Dataset) -> dict[str, Setting]:
        known = super().reading(dataset)
        if self.unscorable_reason(dataset):
            return known
        count = len(self.keypoints.names)
        labelled = [a for a in self._everybody(dataset) if any(a.get("keypoints") or ())]
        known.update(match_people(PEOPLE, PERSON, dataset.categories).how)
        if without := sum(not area_given(a) for a in labelled):
            known["area"] = f"that of the box for {without} of {len(labelled)} people, whose annotations have none"
        if without := sum(len(a["keypoints"]) == 2 * count for a in labelled):
            known["visibility"] = f"not given for {without} of {len(labelled)} people, whose keypoints all count"
        return known

    def _everybody(self, dataset: Dataset) -> list[Mapping[str, Any]]:
        """The annotations of people. Raises BadInput where no category is theirs."""
        assert dataset.truth is not None
        wanted = self._people(dataset.categories)
        return [a for a in dataset.truth["annotations"] if a.get("category_id", wanted) == wanted]

    def unscorable_reason(self, dataset: Dataset) -> str:
        if dataset.truth is None:
            return dataset.nothing_annotated
        count = len(self.keypoints.names)
        try:
            labelled = [a["keypoints"] for a in self._everybody(dataset) if any(a.get("keypoints") or ())]
        except BadInput as error:
            return str(error).replace(" — ", "; ")
        if not labelled:
            return "the annotations have no keypoints"
        if wrong := {len(k) for k in labelled} - {2 * count, 3 * count}:
            annotated = "/".join(f"{n / 3:g}" for n in sorted(wrong))
            return f"the annotations have {annotated} keypoints, but the model has {count}"
        if not any(any(k[2::3]) if len(k) == 3 * count else True for k in labelled):
            return (
                "no keypoint of the annotations is labelled: the visibility v of all is 0; write 2 for those that are "
                "placed"
            )
        if not self.keypoints.sigmas:
            return f"{self.card.dataset} has no OKS sigmas"
        need("pycocotools", "eval")
        return ""

    def score(self, predictions: Sequence[Pose], dataset: Dataset) -> Matches:
        if reason := self.unscorable_reason(dataset):
            raise BadInput(
                f"{self.card.name} cannot be scored: {reason} — give COCO keypoint annotations of these images"
            )
        assert dataset.truth is not None
        count = len(self.keypoints.names)
        truth = {**dataset.truth, "annotations": [_with_keypoints(a, count) for a in self._everybody(dataset)]}
        return Matches(truth, self.records(predictions), (PERSON,), self.keypoints.sigmas)

    def records(self, predictions: Sequence[Pose]) -> list[Record]:
        """COCO's keypoint results. Near-duplicates of a person (OKS above 0.9) are dropped, as in the official
        evaluation."""
        by_image: dict[int, list[Pose]] = {}
        for pose in predictions:
            by_image.setdefault(pose.person.image_id, []).append(pose)
        return [self._record(p) for poses in by_image.values() for p in self._without_copies(poses)]

    def _without_copies(self, poses: list[Pose]) -> list[Pose]:
        if len(poses) < 2 or not self.keypoints.sigmas:
            return poses
        areas = np.array([p.person.crop.size[0] * p.person.crop.size[1] for p in poses])
        points, scores = np.stack([p.points for p in poses]), np.array([p.score for p in poses])
        return [poses[i] for i in oks_nms(points, scores, areas, self.keypoints.sigmas)]

    def _record(self, pose: Pose) -> Record:
        flat = np.column_stack([pose.points, pose.scores]).round(3).ravel().tolist()
        return {
            "image_id": pose.person.image_id,
            "category_id": PERSON,
            "keypoints": flat,
            "score": round(pose.score, 5),
        }

    def draw(self, image: Image, predictions: Sequence[Pose]) -> Image:
        out = image.copy()
        for pose in predictions:
            draw_skeleton(out, pose.points, pose.scores, self.keypoints)
        return out


def _with_keypoints(annotation: Any, count: int) -> dict[str, Any]:
    """An annotation with keypoints: zeros if it has none. As in COCO, such a person is neither counted as missed
    nor, when detected, as a false positive."""
    points = annotation.get("keypoints") or [0] * 3 * count
    if len(points) == 2 * count:  # without visibility: what is placed is labelled
        points = [v for x, y in zip(points[::2], points[1::2], strict=True) for v in (x, y, 2 * bool(x or y))]
    labelled = sum(v > 0 for v in points[2::3])
    return {**annotation, "category_id": PERSON, "num_keypoints": labelled, "keypoints": points}
