"""The detection task: a whole image in, boxes with a class and a score out.

Source of the test protocol: mmdetection's configurations for COCO (configs/_base_/datasets/coco_detection.py) with
mmcv's imrescale. The image is scaled with its proportions, bilinearly, to a rounded size, then normalised and padded
with zeros to the right and below. mmdetection turns the input for upright images. Here the input of a file is fixed, so
an upright image is scaled to fit into it, or is run by a second file whose input is upright (`TaskOptions.upright`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.architecture import IMAGE_SIZE, INPUT
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.results.base import Setting
from hrnet_deploy.results.figures import Distance
from hrnet_deploy.tasks.average_precision import Matches
from hrnet_deploy.tasks.base import NO_OPTIONS, Feed, InputFormat, Outputs, Record, Sample, Task, TaskOptions
from hrnet_deploy.tasks.categories import ClassMatch, match_classes
from hrnet_deploy.tasks.classes import Classes
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.detection import ENTRY
from hrnet_deploy.tasks.detection.drawing import draw_boxes
from hrnet_deploy.tasks.detection.matching import compare_detections
from hrnet_deploy.tasks.fit import InputFit
from hrnet_deploy.tasks.images import Image, normalised

_NONE = object()  # the category of an annotation without one; no class has it
DRAWN_SCORE = 0.3  # boxes with a lower score are not drawn


@dataclass(frozen=True)
class ImageDetections:
    """The detections on one image, by falling score: boxes (n, 4) as x1, y1, x2, y2 in pixels of the image, in_input
    (n, 4) the same in pixels of the network's input, scores (n,), labels (n,). `full`: the network returned as many as
    it can, so weaker ones may be missing."""

    image_id: int
    boxes: NDArray[np.float64]
    in_input: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    full: bool


class DetectionTask(Task):
    """See `tasks.base.Task`. A sample is an image, and a prediction is its `ImageDetections`."""

    metric = ENTRY.metric
    comparable = False
    # `missing` and `extra` are shares of detections that score above 0.3; distances are in pixels of the input. In
    # lower precision suppression sometimes keeps the other of two overlapping boxes. The largest distances come from
    # that, so only their mean has a limit there.
    limits: Mapping[str, Mapping[str, float]] = {
        "fp32": {"missing": 0.0, "extra": 0.0, "pixels_max": 0.05, "score_max": 1e-3},
        "fp16": {"missing": 0.01, "extra": 0.01, "pixels_mean": 0.2, "score_mean": 0.01},
        "bf16": {"missing": 0.02, "extra": 0.02, "pixels_mean": 1.0, "score_mean": 0.03},
        "int8": {"missing": 0.05, "extra": 0.05, "pixels_mean": 2.0, "score_mean": 0.05},
    }

    def __init__(self, card: ModelCard, input_format: InputFormat, options: TaskOptions = NO_OPTIONS) -> None:
        """Raises BadInput if the card does not say that images are padded."""
        self.card, self.input_format = card, input_format
        self.classes = card.labels_as(Classes)
        if card.input.fit != "pad":
            raise BadInput(
                f"{card.name} does not say how an image is brought to {card.input.size} — its input needs `fit: pad`"
            )
        own = (card.input.height, card.input.width)
        self.input_sizes = (own, options.upright) if options.upright else (own,)

    def samples(self, image: Image, item: Item) -> list[Sample]:
        feed = self.feed(image)
        rows, columns = (int(v) for v in feed[IMAGE_SIZE][0])
        return [Sample(item.image_id, feed, InputFit(item.image_id, (image.shape[0], image.shape[1]), (rows, columns)))]

    def feed(self, image: Image) -> Feed:
        """The arrays for an image (H, W, C) uint8: `image` (1, C, H, W), in the input size in which the image is
        largest, and `image_size` (1, 2), the rows and columns it fills."""
        spec = self.card.input
        height, width = image.shape[:2]
        rows, columns = max(self.input_sizes, key=lambda s: min(s[0] / height, s[1] / width))
        zoom = min(rows / height, columns / width)
        if spec.longest is not None:
            zoom = min(zoom, spec.longest / max(height, width))
        used = min(rows, max(1, int(height * zoom + 0.5))), min(columns, max(1, int(width * zoom + 0.5)))
        scaled = np.asarray(cv2.resize(image, (used[1], used[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
        scaled = scaled.reshape(*used, -1)  # OpenCV drops an axis of one channel
        whole = np.zeros((1, scaled.shape[2], rows, columns), np.float32)
        whole[..., : used[0], : used[1]] = normalised(scaled, spec)
        return {INPUT: whole, IMAGE_SIZE: np.array([used], np.float32)}

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[ImageDetections]:
        return [self._decoded(o, s.context) for o, s in zip(outputs, samples, strict=True)]

    def _decoded(self, outputs: Outputs, fit: InputFit) -> ImageDetections:
        count, most = int(outputs["count"][0]), len(outputs["scores"][0])
        boxes, scores, labels = (np.asarray(outputs[n][0][:count]) for n in ("boxes", "scores", "labels"))
        return ImageDetections(fit.image_id, boxes / np.tile(fit.zoom, 2), boxes, scores, labels, count == most)

    def compare(self, reference: Sequence[ImageDetections], other: Sequence[ImageDetections]) -> Distance:
        """How far matching detections are apart, in pixels of the network's input, and how many have no match."""
        return compare_detections(reference, other)

    def protocol(self) -> dict[str, Setting]:
        kept = getattr(self.card.architecture, "detections", None)
        sizes = " or ".join(f"{rows}x{columns}" for rows, columns in self.input_sizes)
        return {"input": sizes} | ({"score_over": kept.score, "nms_iou": kept.iou, "kept": kept.kept} if kept else {})

    @property
    def _own_ids(self) -> tuple[int, ...]:
        return self.classes.ids or tuple(range(1, len(self.classes.names) + 1))

    def _match(self, dataset: Dataset) -> ClassMatch:
        """The data set's number of every class. Raises BadInput where they cannot be matched."""
        return match_classes(self.classes.names, self._own_ids, dataset.categories)

    def reading(self, dataset: Dataset) -> dict[str, Setting]:
        known = super().reading(dataset)
        if dataset.truth is None or self.unscorable_reason(dataset):
            return known
        known.update(self._match(dataset).how)
        if without := sum("category_id" not in a for a in dataset.truth["annotations"]):
            known["not_scored"] = f"{without} of {len(dataset.truth['annotations'])} annotations, without category_id"
        return known

    def unscorable_reason(self, dataset: Dataset) -> str:
        if reason := dataset.no_boxes:
            return reason
        try:
            known = set(self._match(dataset).ids)
        except BadInput as error:
            return str(error).replace(" — ", "; ")
        truth = dataset.truth or {}
        if not any(a.get("category_id", _NONE) in known for a in truth.get("annotations", ())):
            return "the annotations of these images are of none of its classes"
        need("pycocotools", "eval")
        return ""

    def score(self, predictions: Sequence[ImageDetections], dataset: Dataset) -> Matches:
        if reason := self.unscorable_reason(dataset):
            raise BadInput(f"{self.card.name} cannot be scored: {reason} — give COCO annotations of these images")
        assert dataset.truth is not None
        ids = self._match(dataset).ids
        scored = [i for i in ids if i is not None]
        annotations = [a for a in dataset.truth["annotations"] if a.get("category_id", _NONE) in scored]
        return Matches({**dataset.truth, "annotations": annotations}, self._records(predictions, ids), scored)

    def records(self, predictions: Sequence[ImageDetections]) -> list[Record]:
        return self._records(predictions, self._own_ids)

    def _records(self, predictions: Sequence[ImageDetections], ids: Sequence[int | None]) -> list[Record]:
        """Entries of a results file, with these numbers of the classes; those of a class without one are left out."""
        return [
            {
                "image_id": found.image_id,
                "category_id": ids[label],
                "bbox": [round(float(v), 3) for v in (x1, y1, x2 - x1, y2 - y1)],
                "score": round(float(score), 6),
            }
            for found in predictions
            for (x1, y1, x2, y2), score, label in zip(found.boxes, found.scores, found.labels, strict=True)
            if ids[label] is not None
        ]

    def draw(self, image: Image, predictions: Sequence[ImageDetections]) -> Image:
        out = image.copy()
        for found in predictions:
            sure = found.scores > DRAWN_SCORE
            draw_boxes(out, found.boxes[sure], found.scores[sure], found.labels[sure], self.classes)
        return out
