"""The pose task: one crop per person in, heatmaps out, keypoints in pixels of the image.

Source of the test protocol: HRNet-Human-Pose-Estimation, lib/core/function.py (validate) and lib/dataset/coco.py
(evaluate). Differences between engines are given in pixels of the network's input, which do not depend on the size of
the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hrnet_deploy.architecture import INPUT
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import Setting
from hrnet_deploy.results.figures import Distance
from hrnet_deploy.tasks.base import (
    CROPS,
    NO_OPTIONS,
    Feed,
    InputFormat,
    Outputs,
    Record,
    Sample,
    Score,
    Task,
    TaskOptions,
)
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.geometry import Crop, crop_of_box
from hrnet_deploy.tasks.images import Image, normalised
from hrnet_deploy.tasks.pose import truth
from hrnet_deploy.tasks.pose.decoding import SMOOTHING, decoder
from hrnet_deploy.tasks.pose.drawing import draw_skeleton
from hrnet_deploy.tasks.pose.heatmaps import merge_flip, strides
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.metrics import METRICS, Metric
from hrnet_deploy.tasks.pose.oks import oks_nms
from hrnet_deploy.tasks.pose.person import CONFIDENT, Person, Pose
from hrnet_deploy.tasks.pose.truth import PERSON


class PoseTask(Task):
    """See `tasks.base.Task`. A sample is a person, and a prediction is a `Pose`."""

    metric: str
    metrics: Mapping[str, Metric] = METRICS
    subjects = "people"  # what a sample is, in sentences
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
        self.metric = self.keypoints.metric_name
        if self.metric not in self.metrics:
            raise BadInput(
                f"{card.name} is scored by {self.metric!r} — this version only knows {', '.join(self.metrics)}"
            )
        self._metric = self.metrics[self.metric]
        self._keypoints_of = decoder(self.keypoints, card.name)
        if self.keypoints.crop_geometry not in self.keypoints.geometries:
            raise BadInput(
                f"{card.name} needs crops in the geometry {self.keypoints.geometry!r} — this version only knows "
                f"{', '.join(self.keypoints.geometries)}"
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
        if self.flip_test and not self.keypoints.mirrors:
            raise BadInput(f"{card.name} does not say which keypoints mirror each other — leave --flip-test out")

    def samples(self, image: Image, item: Item) -> list[Sample]:
        height, width = image.shape[:2]
        people = [Person(item.image_id, self._crop((0, 0, width, height)), 1.0)]
        if item.annotations is not None:
            ours = truth.of_category(self.keypoints, item.annotations, item.categories)
            people = [p for a in ours if (p := self._person(a, item, height, width))]
        return [Sample(item.image_id, self.feed(p.crop.cut(image, *self._size)), p) for p in people]

    def _person(self, annotation: Any, item: Item, height: int, width: int) -> Person | None:
        """The person of one annotation, or None where it does not count. Annotated boxes are clipped to the image as in
        the official code; detected boxes, which have a score, are used as they are."""
        if annotation.get("iscrowd", 0):
            return None
        box = self._box(annotation, height, width)
        score = float(annotation.get("score", 1.0))
        return Person(item.image_id, self._crop(box), score, item.nms, annotation) if box else None

    def _box(self, annotation: Mapping[str, Any], height: int, width: int) -> tuple[float, ...] | None:
        """The box (x, y, w, h) of an annotation in an image of that size, or None where it is empty."""
        x, y, w, h = (float(v) for v in annotation["bbox"])
        if "score" not in annotation and not annotation.get("unclipped"):
            if "keypoints" in annotation and not any(annotation["keypoints"]):
                return None
            right, bottom = min(width - 1.0, x + max(0.0, w - 1)), min(height - 1.0, y + max(0.0, h - 1))
            x, y = max(0.0, x), max(0.0, y)
            w, h = right - x, bottom - y
        return (x, y, w, h) if w > 0 and h > 0 else None

    @property
    def _size(self) -> tuple[int, int]:
        return self.card.input.width, self.card.input.height

    def _crop(self, box: tuple[float, ...]) -> Crop:
        width, height = self._size
        return crop_of_box(box, width / height, self.keypoints.box_padding, self.keypoints.crop_geometry)

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
                pairs, shift = self.keypoints.flip_pairs, self.keypoints.shifts_mirrored
                heatmaps = merge_flip(heatmaps[:1], heatmaps[1:2], pairs, shift)
            found, sure = self._keypoints_of(heatmaps)
            stride = strides(self.card.input, (heatmaps.shape[3], heatmaps.shape[2]), self.keypoints.crop_geometry)
            points, scores = found[0] * np.array(stride, np.float32), sure[0]
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
            f"{len(reference)} {self.subjects}, {counted.sum()} {which}: moved {figures['pixels_mean']:.4f} px on "
            f"average, {figures['pixels_p99']:.3f} px at p99, {100 * figures['moved_over_1px']:.2f}% over 1 px (pixels "
            "of the input)"
        )
        return Distance(figures, sentence)

    def protocol(self) -> dict[str, Setting]:
        flip = self.flip_test or self.input_format.flip_test
        found: dict[str, Setting] = {"flip_test": flip, "flip_shift": self.keypoints.shifts_mirrored}
        found |= {"decode": self.keypoints.decode, "geometry": self.keypoints.crop_geometry}
        return {**found, "blur": self.keypoints.blur} if self.keypoints.decode in SMOOTHING else found

    def reading(self, dataset: Dataset) -> dict[str, Setting]:
        known = super().reading(dataset)
        if self.unscorable_reason(dataset):
            return known
        return {**known, **truth.remarks(self.keypoints, dataset), **self._metric.remarks(self.keypoints, dataset)}

    def boxes_read(self, dataset: Dataset) -> dict[str, Setting]:
        return truth.boxes_read(self.keypoints, dataset) if self.card.input.fit == "crop" else {}

    def unscorable_reason(self, dataset: Dataset) -> str:
        if reason := truth.disagreement(self.keypoints, dataset):
            return reason
        return self._metric.missing(self.keypoints, dataset)

    def score(self, predictions: Sequence[Pose], dataset: Dataset) -> Score:
        if reason := self.unscorable_reason(dataset):
            raise BadInput(
                f"{self.card.name} cannot be scored: {reason} — give COCO keypoint annotations of these images"
            )
        return self._metric.score(predictions, self.records(predictions), dataset, self.keypoints)

    def records(self, predictions: Sequence[Pose]) -> list[Record]:
        """COCO's keypoint results. Near-duplicates of a person (OKS above 0.9 unless set) are dropped, as in the
        official evaluation."""
        by_image: dict[int, list[Pose]] = {}
        for pose in predictions:
            by_image.setdefault(pose.person.image_id, []).append(pose)
        return [self._record(p) for poses in by_image.values() for p in self._without_copies(poses)]

    def _without_copies(self, poses: list[Pose]) -> list[Pose]:
        if len(poses) < 2 or not self.keypoints.sigmas:
            return poses
        areas = np.array([p.person.crop.size[0] * p.person.crop.size[1] for p in poses])
        points, scores = np.stack([p.points for p in poses]), np.array([p.score for p in poses])
        return [poses[i] for i in oks_nms(points, scores, areas, self.keypoints.sigmas, poses[0].person.nms)]

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
