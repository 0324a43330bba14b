"""Images with what is known of them: annotations in COCO's format, label maps, or a class for each image."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import sha256
from hrnet_deploy.image_input import Input
from hrnet_deploy.results.base import Setting, Skipped
from hrnet_deploy.tasks.categories import Categories
from hrnet_deploy.tasks.channels import PICTURE, read_channels
from hrnet_deploy.tasks.detections import NMS, Boxes
from hrnet_deploy.tasks.images import Colours, Image, Labels, read_labels
from hrnet_deploy.tasks.layouts import Values


@dataclass(frozen=True)
class Item:
    """One image. `annotations` are COCO annotations or detected boxes: None where nothing is known, an empty tuple
    where it is known that the image shows nothing. `labels` is its label map, if it has one; `values`
    is the class of each value in it, unless values are classes. `categories` are those of
    the file that the annotations are from. `filled`: channels that the image lacks are made up (see
    `channels.read_channels`). Of two results that are more alike than `nms`, only the better one is kept. `name` is the
    path of the image in a folder that has folders of images."""

    path: Path
    image_id: int
    annotations: tuple[Mapping[str, Any], ...] | None = None
    labels: Path | None = None
    categories: Categories | None = None
    filled: bool = False
    nms: float = NMS
    values: Values | None = None
    name: str = ""

    @property
    def file_name(self) -> str:
        """What results call the image."""
        return self.name or self.path.name

    def read(self, spec: Input = PICTURE) -> Image:
        """The image as stored, without the rotation in its EXIF data: (H, W, C), with the channels of an input."""
        return read_channels(self.path, spec, filled=self.filled)

    def label_map(self, colours: Colours = ()) -> Labels:
        """The class of every pixel, (H, W), of an image that has a label map. `colours` are those of the classes."""
        assert self.labels is not None
        found = read_labels(self.labels, colours)
        return found if self.values is None else np.asarray(self.values, np.uint8)[found]


@dataclass(frozen=True)
class Dataset:
    """Images in a fixed order. `truth` is the content of a COCO file, reduced to these images, or None where nothing is
    annotated, and `truth_categories` are the categories of the whole file. `boxes_from` says where boxes come from,
    `facts` what identifies that source, `remarks` what was left out of it, and `skipped` the images that were left out
    because they cannot be read (`tasks.readable`). `detected` says that the boxes are those of a detector, which were
    given beside the annotations, and `whole_images` that annotations have no boxes, but a class for every image.
    `place` is the folder of images and its annotations, where those of a public data set were found
    (`tasks.layouts`)."""

    items: tuple[Item, ...]
    truth: Mapping[str, Any] | None = None
    boxes_from: str = "the whole image"
    facts: Mapping[str, Setting] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    truth_categories: Categories | None = None
    detected: bool = False
    place: tuple[Path, Path | None] | None = None
    whole_images: bool = False

    def __len__(self) -> int:
        return len(self.items)

    @functools.cached_property
    def digest(self) -> str:
        """A sha256 of the image files and of their annotations, and of the boxes of a detector if there are any."""
        each: list[Any] = [[i.path.name, sha256(i.path), i.image_id, i.annotations] for i in self.items]
        if self.categories.chosen:
            each.append(self.categories.chosen)
        if self.whole_images and self.truth is not None:
            each.append([self.truth["annotations"], self.truth["categories"]])
        whole = [each, self.facts] if self.detected else each
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    @functools.cached_property
    def categories(self) -> Categories:
        """The categories of the file of annotations: of the whole file, also where these are some of its images."""
        if self.truth_categories is not None:
            return self.truth_categories
        known = next((i.categories for i in self.items if i.categories is not None), None)
        return known if known is not None else Categories.of(self.truth or {})

    @property
    def nothing_annotated(self) -> str:
        """Why there is nothing to score against, where `truth` is None."""
        why = [self.remarks[name] for name in ("not_used", "no_truth") if name in self.remarks]
        return "nothing is annotated" + (f" ({why[0]})" if why else "")

    @property
    def no_boxes(self) -> str:
        """Why there are no annotated boxes to score against; empty where there are."""
        if self.truth is None:
            return self.nothing_annotated
        return "its annotations have a class for every image and no boxes" if self.whole_images else ""

    def only(self, numbers: Iterable[int]) -> Dataset:
        """The data set reduced to the images of these numbers, in their former order."""
        items = [self.items[i] for i in sorted(int(n) for n in numbers)]
        return replace(self, items=tuple(items), truth=truth_of(self.truth, items))

    def within(self, boxes: Boxes) -> Dataset:
        """The same images, whose known boxes are those of a detector and have to reach its threshold."""
        items = [
            i if i.annotations is None else replace(i, annotations=boxes.kept(i.annotations), nms=boxes.nms)
            for i in self.items
        ]
        facts = {**self.facts, "box_threshold": boxes.threshold, "nms": boxes.nms}
        return replace(self, items=tuple(items), facts=facts)

    def choosing(self, categories: Sequence[str]) -> Dataset:
        """The same with the categories that `--category` chooses. Raises BadInput where nothing has categories."""
        if not categories:
            return self
        known, chosen = self.categories, tuple(categories)
        if not known.names and not known.used:
            raise BadInput(f"--category {categories[0]} needs annotations with categories — leave it out")
        items = tuple(replace(i, categories=replace(i.categories or known, chosen=chosen)) for i in self.items)
        return replace(self, items=items, truth_categories=replace(known, chosen=chosen))

    def unjudged(self) -> Dataset:
        """The same images and boxes, without the annotations that a result could be scored against."""
        return replace(self, items=tuple(replace(i, labels=None) for i in self.items), truth=None)


def truth_of(truth: Mapping[str, Any] | None, items: Sequence[Item]) -> Mapping[str, Any] | None:
    """The annotations of these images alone."""
    if truth is None:
        return None
    kept = {i.image_id for i in items}
    return {
        **truth,
        "images": [i for i in truth["images"] if i["id"] in kept],
        "annotations": [a for a in truth["annotations"] if a["image_id"] in kept],
    }
