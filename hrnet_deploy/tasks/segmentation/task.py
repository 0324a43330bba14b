"""The segmentation task: a whole image in, one class per pixel out.

Sources of the test protocol: HRNet-Semantic-Segmentation, lib/datasets (base_dataset.py and lip.py: resizing, and the
flip test as a mean of scores); mmsegmentation, EncoderDecoder.whole_inference. Class scores are resized to the
network's input, padding is cut off, and the rest is resized to the image, each time bilinearly with align_corners
False."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.architecture import INPUT
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import Setting
from hrnet_deploy.results.figures import Distance
from hrnet_deploy.tasks.base import CROPS, NO_OPTIONS, InputFormat, Outputs, Record, Sample, Task, TaskOptions
from hrnet_deploy.tasks.classes import Classes
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.fit import InputFit
from hrnet_deploy.tasks.images import Image, Labels, labels_size, normalised
from hrnet_deploy.tasks.loading import LABELS
from hrnet_deploy.tasks.segmentation import ENTRY
from hrnet_deploy.tasks.segmentation.confusion import SegmentationScore, counts_of
from hrnet_deploy.tasks.segmentation.drawing import draw_labels
from hrnet_deploy.tasks.segmentation.survey import Survey

FITS = ("stretch", "pad")


@dataclass(frozen=True)
class Segmentation:
    """The class of each pixel: labels (H, W) at the size of the image, in_input (h, w) at that of the part of the
    network's input that the image fills."""

    image_id: int
    labels: Labels
    in_input: Labels


@dataclass(frozen=True)
class CompressedSegmentation:
    """A `Segmentation` in less memory, because those of all images are kept until they are compared and scored."""

    image_id: int
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    data: tuple[bytes, bytes]

    @classmethod
    def of(cls, whole: Segmentation) -> CompressedSegmentation:
        """The compressed form of a segmentation."""
        maps = (whole.labels, whole.in_input)
        return cls(whole.image_id, (maps[0].shape, maps[1].shape), (_compressed(maps[0]), _compressed(maps[1])))

    @property
    def labels(self) -> Labels:
        return np.frombuffer(zlib.decompress(self.data[0]), np.uint8).reshape(self.shapes[0])

    @property
    def in_input(self) -> Labels:
        return np.frombuffer(zlib.decompress(self.data[1]), np.uint8).reshape(self.shapes[1])


class RunningArgmax:
    """For every pixel the class with the highest score so far. Scores come one class at a time, because those of all
    classes at the size of an image would take gigabytes. Of equal scores the first class wins."""

    def __init__(self, height: int, width: int) -> None:
        self.scores = np.full((height, width), -np.inf, np.float32)
        self.labels = np.zeros((height, width), np.uint8)

    def add(self, number: int, scores: NDArray[np.float32]) -> None:
        better = scores > self.scores
        self.labels[better] = number
        np.copyto(self.scores, scores, where=better)


class SegmentationTask(Task):
    """See `tasks.base.Task`. A sample is an image, and a prediction is a `Segmentation` or its compressed form."""

    metric = ENTRY.metric
    # The share of pixels whose class changes. Where two classes score the same to a few digits, adding in another order
    # decides between them, so even fp32 may change a few pixels.
    limits: Mapping[str, Mapping[str, float]] = {
        "fp32": {"differing": 1e-3},
        "fp16": {"differing": 0.01},
        "bf16": {"differing": 0.03},
        "int8": {"differing": 0.1},
    }

    def __init__(self, card: ModelCard, input_format: InputFormat, options: TaskOptions = NO_OPTIONS) -> None:
        """Raises BadInput if the card or the file does not support an option."""
        self.card, self.input_format = card, input_format
        # an embedded graph that averages by itself needs no second pass
        self.flip_test = options.flip_test and not input_format.flip_test
        self.classes = card.labels_as(Classes)
        self._surveyed: tuple[tuple[tuple[Path, int, int], ...], Survey] | None = None
        if card.input.fit not in FITS:
            raise BadInput(
                f"{card.name} does not say how an image becomes {card.input.size} — its input needs fit: stretch or pad"
            )
        if self.flip_test and input_format.embedded:
            raise BadInput(
                "this file decodes inside the graph without a flip test — export it again with --embed --flip-test"
            )
        if len(self.classes.names) == 1:
            raise BadInput(
                f"{card.name} has one output channel, for a sigmoid and a threshold, and the class of a pixel is the "
                "channel with the highest score here — put a channel of zeros before it in the weight and the bias of "
                "the last layer, which is the same as a threshold of 0.5"
            )
        if len(self.classes.names) > self.classes.ignore:
            raise BadInput(
                f"{card.name} has {len(self.classes.names)} classes — label maps of 8 bits hold at most "
                f"{self.classes.ignore}"
            )

    def samples(self, image: Image, item: Item) -> list[Sample]:
        if item.labels is not None and (size := labels_size(item.labels)):
            _require_size(item.labels, size, image.shape)  # before the network has run on every image
        crop, used = self.fitted(image)
        fit = InputFit(item.image_id, (image.shape[0], image.shape[1]), used)
        if self.input_format.embedded:
            return [Sample(item.image_id, {CROPS: crop[None]}, fit)]
        x = normalised(crop, self.card.input)
        return [Sample(item.image_id, {INPUT: np.concatenate([x, x[..., ::-1]]) if self.flip_test else x}, fit)]

    def fitted(self, image: Image) -> tuple[Image, tuple[int, int]]:
        """An image (H, W, C) at the size of the input, and how many rows and columns of that it fills. Padding has
        the mean colour, which becomes zero when the input is normalised."""
        spec = self.card.input
        height, width = image.shape[:2]
        if spec.fit == "stretch":
            return _resized(image, spec.height, spec.width), (spec.height, spec.width)
        zoom = min(spec.height / height, spec.width / width)
        used = min(spec.height, max(1, round(height * zoom))), min(spec.width, max(1, round(width * zoom)))
        mean = np.zeros(len(spec.order), np.uint8)
        mean[list(spec.order)] = np.round(np.asarray(spec.mean) * 255)
        canvas = np.tile(mean, (spec.height, spec.width, 1))
        canvas[: used[0], : used[1]] = _resized(image, *used)
        return canvas, used

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Segmentation]:
        return [self._decoded(o, s.context) for o, s in zip(outputs, samples, strict=True)]

    def _decoded(self, outputs: Outputs, fit: InputFit) -> Segmentation:
        rows, columns = fit.used
        height, width = fit.size
        if self.input_format.embedded:  # the graph gives labels, which cannot be interpolated
            found = np.ascontiguousarray(outputs["labels"][0][:rows, :columns])
            labels = cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
            return Segmentation(fit.image_id, np.asarray(labels, np.uint8), found)
        at_input = RunningArgmax(rows, columns)
        at_image = at_input if fit.used == fit.size else RunningArgmax(height, width)
        for i, large in enumerate(self._at_input(outputs, fit)):
            at_input.add(i, large)
            if at_image is not at_input:
                at_image.add(i, _resized(large, height, width))
        return Segmentation(fit.image_id, at_image.labels, at_input.labels)

    def _at_input(self, outputs: Outputs, fit: InputFit) -> Iterator[NDArray[np.float32]]:
        """The scores of one class after the other, (rows, columns) at the size of the input, without padding."""
        scores = np.asarray(outputs["logits"], np.float32)
        logits = merge_flip(scores[0], scores[1], self.classes.flip_pairs) if self.flip_test else scores[0]
        for score in logits:
            large = _resized(np.ascontiguousarray(score), self.card.input.height, self.card.input.width)
            yield large[: fit.used[0], : fit.used[1]]

    def at_image(self, outputs: Outputs, fit: InputFit) -> Iterator[NDArray[np.float32]]:
        """The scores of one class after the other, (height, width) at the size of the image."""
        return (_resized(large, *fit.size) for large in self._at_input(outputs, fit))

    def compact(self, predictions: Sequence[Segmentation]) -> list[CompressedSegmentation]:
        return [CompressedSegmentation.of(p) for p in predictions]

    def compare(
        self,
        reference: Sequence[Segmentation | CompressedSegmentation],
        other: Sequence[Segmentation | CompressedSegmentation],
    ) -> Distance:
        """The share of pixels of the network's input that have another class, over all images and in the worst of
        them."""
        shares = []
        pixels = differing = 0
        for a, b in zip(reference, other, strict=True):
            wanted = a.in_input
            differs = int((wanted != b.in_input).sum())
            shares.append(differs / wanted.size)
            differing, pixels = differing + differs, pixels + wanted.size
        figures = {"pixels": float(pixels), "differing": differing / pixels, "differing_most": max(shares)}
        maps = "1 label map" if len(reference) == 1 else f"{len(reference)} label maps"
        sentence = (
            f"{maps}: {100 * figures['differing']:.4f}% of {pixels:,} pixels have another class, "
            f"{100 * figures['differing_most']:.3f}% in the worst label map"
        )
        return Distance(figures, sentence)

    def protocol(self) -> dict[str, Setting]:
        return {"flip_test": self.flip_test or self.input_format.flip_test, "fit": self.card.input.fit}

    def reading(self, dataset: Dataset) -> dict[str, Setting]:
        known = super().reading(dataset)
        if any(i.labels is None for i in dataset.items):  # nothing is scored
            return known
        return {**known, **self._survey(dataset).reading(self.classes)}

    def _survey(self, dataset: Dataset) -> Survey:
        """What the label maps of a data set hold; files that have not changed since are not read again."""
        paths = [i.labels for i in dataset.items if i.labels is not None]
        state = tuple((p, s.st_mtime_ns, s.st_size) for p in paths for s in (p.stat(),))
        if self._surveyed is None or self._surveyed[0] != state:
            self._surveyed = (state, Survey.of(dataset.items, self.classes))
        return self._surveyed[1]

    def unscorable_reason(self, dataset: Dataset) -> str:
        """See `tasks.base.Task`. Raises BadInput where a label map is none, or where the maps are not of the network's
        classes."""
        missing = [i.path.name for i in dataset.items if i.labels is None]
        if len(missing) == len(dataset):
            return "the images have no label maps"
        if missing:
            return f"{len(missing)} of {len(dataset)} images have no label map ({', '.join(missing[:3])})"
        self._survey(dataset).check(self.classes)
        return ""

    def score(
        self, predictions: Sequence[Segmentation | CompressedSegmentation], dataset: Dataset
    ) -> SegmentationScore:
        if reason := self.unscorable_reason(dataset):
            raise BadInput(
                f"{self.card.name} cannot be scored: {reason} — give one PNG per image, in labels/ or with "
                "--annotations FOLDER"
            )
        found = {p.image_id: p for p in predictions}
        return SegmentationScore(np.stack([self._counts(i, found[i.image_id].labels) for i in dataset.items]))

    def _counts(self, item: Item, labels: Labels) -> NDArray[np.int64]:
        assert item.labels is not None
        truth = item.label_map(self.classes.colours)
        _require_size(item.labels, truth.shape, labels.shape)
        return counts_of(truth, labels, len(self.classes.names), self.classes.ignore)

    def annotation_source(self, images: Path, annotations: Path | None) -> dict[str, str]:
        """The folder of label maps."""
        return {"folder": str(annotations or images / LABELS)}

    def records(self, predictions: Sequence[Segmentation]) -> list[Record]:
        """One entry per image, with the number of pixels of each class that occurs."""
        entries = []
        for p in predictions:
            pixels = np.bincount(p.labels.ravel(), minlength=len(self.classes.names))
            there = [
                {"id": int(i), "name": self.classes.names[i], "pixels": int(pixels[i])} for i in np.flatnonzero(pixels)
            ]
            entries.append(
                {"image_id": p.image_id, "height": p.labels.shape[0], "width": p.labels.shape[1], "classes": there}
            )
        return entries

    def label_maps(self, predictions: Sequence[Segmentation]) -> list[Labels]:
        return [p.labels for p in predictions]

    def draw(self, image: Image, predictions: Sequence[Segmentation]) -> Image:
        for p in predictions:
            image = draw_labels(image, p.labels, self.classes)
        return image


def merge_flip(
    logits: NDArray[np.float32], mirrored: NDArray[np.float32], pairs: Sequence[tuple[int, int]]
) -> NDArray[np.float32]:
    """The mean of the class scores of an image and of its mirror image, (classes, h, w) each, in the orientation of the
    image. `pairs` are classes that swap in a mirror image."""
    order = np.arange(len(logits))
    for a, b in pairs:
        order[[a, b]] = order[[b, a]]
    return ((logits + mirrored[order, :, ::-1]) * 0.5).astype(np.float32)


def _require_size(path: Path, size: Sequence[int], of_image: Sequence[int]) -> None:
    if tuple(size) != tuple(of_image[:2]):
        sizes = f"{size[0]}x{size[1]}, its image {of_image[0]}x{of_image[1]}"
        raise BadInput(f"{path} is {sizes} — give the label map of that image, at its size")


def _compressed(labels: Labels) -> bytes:
    return zlib.compress(labels.tobytes(), 1)


def _resized(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    if image.shape[:2] == (height, width):
        return image
    resized = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))
    return resized.reshape(height, width, *image.shape[2:])  # OpenCV drops an axis of one channel
