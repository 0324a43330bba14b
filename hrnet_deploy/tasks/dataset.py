"""A folder of images, with or without annotations: COCO's format, or label maps."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import read_json, sha256
from hrnet_deploy.tasks.images import Image, list_images, read_image

# read from the folder of images if no other annotations are given
BESIDE = "annotations.json"
LABELS = "labels"  # a folder with one label map per image: an 8-bit PNG with the name of the image


@dataclass(frozen=True)
class Item:
    """One image. `annotations` are COCO annotations or detected boxes: None if nothing is known, an empty
    tuple if it is known that the image has no object. `labels` is its label map, if it has one."""

    path: Path
    image_id: int
    annotations: tuple[Mapping[str, Any], ...] | None = None
    labels: Path | None = None

    def read(self) -> Image:
        """The image as stored, without the rotation in its EXIF data: (H, W, 3) RGB."""
        return read_image(self.path)


@dataclass(frozen=True)
class Dataset:
    """Images in a fixed order. `truth` is the content of a COCO file, reduced to these images, or None if nothing is
    annotated. `boxes_from` names the source of the boxes, and `facts` identifies that source."""

    items: tuple[Item, ...]
    truth: Mapping[str, Any] | None = None
    boxes_from: str = "the whole image"
    facts: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    @functools.cached_property
    def digest(self) -> str:
        """A sha256 of the image files and of their annotations."""
        each = [[i.path.name, sha256(i.path), i.image_id, i.annotations] for i in self.items]
        return hashlib.sha256(json.dumps(each, sort_keys=True).encode()).hexdigest()

    def only(self, numbers: Iterable[int]) -> Dataset:
        """The data set reduced to the images of these numbers, in their former order."""
        items = [self.items[i] for i in sorted(int(n) for n in numbers)]
        return replace(self, items=tuple(items), truth=_cut(self.truth, items))

    def unjudged(self) -> Dataset:
        """The same images and boxes, without the annotations that a result could be scored against."""
        return replace(self, items=tuple(replace(i, labels=None) for i in self.items), truth=None)


def load_dataset(
    images: Path, annotations: Path | None = None, limit: int | None = None, seed: int | None = None
) -> Dataset:
    """The images of a folder and their annotations.

    `annotations` is a COCO annotation file, a list of COCO detections whose image ids are the names of the image files,
    or a folder of label maps. Unless given, annotations.json and labels/ in the folder of images are used. `limit`
    keeps that many images: the first ones, or a random choice if `seed` is given. Raises BadInput if the annotations
    do not belong to these images or are damaged."""
    found = _boxed(images, None if annotations and annotations.is_dir() else annotations)
    items = _labelled(_chosen(list(found.items), limit, seed), images, annotations)
    return replace(found, items=tuple(items), truth=_cut(found.truth, items))


def _labelled(items: list[Item], images: Path, annotations: Path | None) -> list[Item]:
    """The items with their label maps."""
    folder = annotations if annotations and annotations.is_dir() else images / LABELS
    maps = {p.stem: p for p in folder.glob("*.png")} if folder.is_dir() else {}
    if folder == annotations and not any(i.path.stem in maps for i in items):
        raise BadInput(
            f"{folder} has a label map for none of the images in {images} — they are PNG files with the names of the "
            "images"
        )
    return [replace(i, labels=maps.get(i.path.stem)) for i in items]


def _boxed(images: Path, annotations: Path | None) -> Dataset:
    paths = list_images(images)
    source = annotations or (images / BESIDE if (images / BESIDE).exists() else None)
    if source is None:
        return Dataset(tuple(Item(p, i) for i, p in enumerate(paths, start=1)))
    content = read_json(source, "a COCO annotation file or a list of COCO detections")
    if isinstance(content, list):
        items = _detections(paths, content, source)
        truth = None
    elif isinstance(content, dict) and isinstance(content.get("images"), list):
        items = _annotated({p.name: p for p in paths}, content, source)
        truth = content
    else:
        raise BadInput(f"{source} is JSON, but neither a COCO annotation file nor a list of COCO detections")
    if not items:
        raise BadInput(f"{source} has none of the {len(paths)} images in {images} — check that they belong together")
    facts = {"boxes": source.name, "boxes_sha256": sha256(source)}
    return Dataset(tuple(items), truth, source.name, facts)


def _chosen(items: list[Item], limit: int | None, seed: int | None) -> list[Item]:
    if limit is None or limit >= len(items):
        return items
    if limit < 1:
        raise BadInput(f"cannot use {limit} images — give --limit 1 or more")
    if seed is None:
        return items[:limit]
    chosen = np.random.default_rng(seed).choice(len(items), limit, replace=False)
    return [items[i] for i in sorted(chosen)]


def _annotated(paths: Mapping[str, Path], content: Mapping[str, Any], source: Path) -> list[Item]:
    by_image: dict[int, list[Mapping[str, Any]]] = {}
    try:
        for annotation in content.get("annotations", ()):
            _check_box(annotation, source)
            by_image.setdefault(int(annotation["image_id"]), []).append(annotation)
        named = [(Path(i["file_name"]).name, int(i["id"])) for i in content["images"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{source} is not in COCO's format ({error!r}) — every image needs id and file_name, every annotation "
            "image_id and bbox"
        ) from error
    here = [n for n, _ in named if n in paths]
    if twice := sorted(n for n, count in Counter(here).items() if count > 1):
        raise BadInput(
            f"{source} has several images called {', '.join(twice[:3])} — give the folder of one part of the "
            "dataset, and its annotations"
        )
    return [Item(paths[n], i, tuple(by_image.get(i, ()))) for n, i in named if n in paths]


def _detections(paths: Sequence[Path], content: Sequence[Any], source: Path) -> list[Item]:
    """Items with detected boxes. COCO results have image ids only; COCO's own images are named by them
    (000000397133.jpg)."""
    by_image: dict[int, list[Mapping[str, Any]]] = {}
    try:
        for detection in content:
            _check_box(detection, source)
            by_image.setdefault(int(detection["image_id"]), []).append(detection)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{source} is not a list of COCO detections ({error!r}) — each needs image_id and bbox"
        ) from error
    numbered = [(p, int(p.stem)) for p in paths if p.stem.isdigit()]
    return [Item(p, i, tuple(by_image[i])) for p, i in numbered if i in by_image]


def _check_box(annotation: Mapping[str, Any], source: Path) -> None:
    box = [float(v) for v in annotation["bbox"]]
    if len(box) != 4 or not np.isfinite(box).all():
        raise BadInput(
            f"{source} has a box {annotation['bbox']} in image {annotation['image_id']} — expected x, y, width, height"
        )


def _cut(truth: Mapping[str, Any] | None, items: Sequence[Item]) -> Mapping[str, Any] | None:
    if truth is None:
        return None
    kept = {i.image_id for i in items}
    return {
        **truth,
        "images": [{**i, "id": int(i["id"])} for i in truth["images"] if int(i["id"]) in kept],
        "annotations": [
            {**a, "image_id": int(a["image_id"])} for a in truth.get("annotations", ()) if int(a["image_id"]) in kept
        ],
    }
