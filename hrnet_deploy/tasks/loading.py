"""A folder of images, with or without annotations, as a data set."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import read_json, sha256
from hrnet_deploy.results.base import Setting
from hrnet_deploy.tasks.annotations import cleaned, cleaned_categories, tool_of
from hrnet_deploy.tasks.categories import Categories, listed
from hrnet_deploy.tasks.dataset import Dataset, Item, truth_of
from hrnet_deploy.tasks.detections import UNFIT, Boxes, ByImage, detections_by_image, paths_of
from hrnet_deploy.tasks.faces import is_faces, read_faces
from hrnet_deploy.tasks.images import is_visible, list_images
from hrnet_deploy.tasks.layouts import Found, Sought, find, nested_images
from hrnet_deploy.tasks.mpii import as_coco, beside, is_mpii, read_release, with_heads
from hrnet_deploy.tasks.whole_images import WholeImages, read_whole_images

# read from the folder of images where nothing else is named
BESIDE = "annotations.json"
MATLAB = ".mat"  # annotations of MPII
LABELS = "labels"  # a folder with one label map per image: a PNG file with the name of the image


def load_dataset(
    images: Path,
    annotations: Path | None = None,
    limit: int | None = None,
    seed: int | None = None,
    every_image: bool = False,
    boxes: Boxes | None = None,
    sought: Sought | None = None,
) -> Dataset:
    """The images of a folder and their annotations.

    `annotations` is a COCO annotation file, a CSV file of faces, a list of COCO detections whose image ids are the
    names of the image files or numbers in them, a folder of label maps, or a list of images and classes. Without it, a
    folder with a folder for each class says what each image shows. Unless given, annotations.json and labels/ in the
    folder of images are used; an annotations.json of another tool is left out, and `remarks` says so. `limit`
    keeps that many images: the first ones, or a random choice where `seed` is given. Images that the annotations do not
    list are left out and counted in `remarks`; with `every_image` they are kept, and nothing is known of them. With
    `boxes`, results are looked for in the boxes of a detector, and scored against the annotations if there are any.
    With `sought`, the folder may also be a public data set as it comes from its site (`tasks.layouts`). Raises BadInput
    where the annotations or the boxes are not of these images or are damaged."""
    place = find(images, sought) if sought is not None else None
    if place is not None:
        images, annotations = place.images, annotations or place.annotations
    source = None if annotations and annotations.is_dir() else annotations
    nested = place is not None
    if boxes is None:
        classes = place is None or place.layout.task == "classification"  # whose folders are classes
        found = _boxed(images, source, every_image, nested, classes)
    else:
        found = _detected(images, source, boxes, every_image, nested)
    if place is not None:
        found = _recognised(found, place, annotations)
    items = _chosen(list(found.items), limit, seed)
    if place is None or place.layout.maps is None or annotations != place.annotations:
        items = _labelled(items, images, annotations)
    return replace(found, items=tuple(items), truth=truth_of(found.truth, items))


def _recognised(found: Dataset, place: Found, annotations: Path | None) -> Dataset:
    """A public data set that says what was recognised, and has the label maps that lie apart from their images."""
    remarks = {**found.remarks, "data_set": place.said}
    remarks.pop("left_out", None)  # the folder of images has the other splits too
    items = found.items
    if place.layout.maps is not None and annotations == place.annotations:
        pairs = enumerate(place.labelled(), start=1)
        items = tuple(Item(path, i, labels=of, values=place.values) for i, (path, of) in pairs)
        if not items:
            raise BadInput(f"{place.images} has no images of {place.said} — get them from the site of the data set")
    listed_images = len((found.truth or {}).get("images", ()))
    if listed_images > len(items) and annotations is not None:
        remarks["images_missing"] = f"{listed_images - len(items)} of {listed_images}, which {annotations.name} lists"
    return replace(found, items=items, remarks=remarks, place=(place.images, annotations))


def _labelled(items: list[Item], images: Path, annotations: Path | None) -> list[Item]:
    """The items with their label maps."""
    folder = annotations if annotations and annotations.is_dir() else images / LABELS
    files = (p for p in folder.iterdir() if is_visible(p, {".png"})) if folder.is_dir() else ()
    maps = {p.stem: p for p in files}
    if folder == annotations and not any(i.path.stem in maps for i in items):
        raise BadInput(
            f"{folder} has a label map for none of the images in {images} — they are PNG files with the names of the "
            "images"
        )
    return [replace(i, labels=maps.get(i.path.stem)) for i in items]


def _boxed(
    images: Path, annotations: Path | None, every_image: bool, nested: bool = False, classes: bool = True
) -> Dataset:
    classified = read_whole_images(images, annotations) if classes else None
    if classified is not None:
        return _of_whole_images(classified, annotations)
    paths = nested_images(images) if nested else list_images(images)
    source = annotations or (images / BESIDE if (images / BESIDE).exists() else None)
    if source is None:
        return Dataset(tuple(Item(p, i) for i, p in enumerate(paths, start=1)))
    if source.suffix.lower() == MATLAB:
        content: Any = read_release(source)
    elif is_faces(source):
        content = read_faces(source)
    else:
        content = read_json(source, "a COCO annotation file or a list of COCO detections")
    if tool := tool_of(content):
        if annotations is None:
            items = [Item(p, i) for i, p in enumerate(paths, start=1)]
            return Dataset(tuple(items), remarks={"not_used": f"{source.name} is a file of {tool}, not of COCO"})
        raise BadInput(f"{source} is a file of {tool} — export the annotations from it in COCO's format")
    truth, remarks = None, {}
    if is_mpii(content):
        if heads := beside(source):
            content, remarks["head_boxes"] = with_heads(content, source, heads), f"those of {heads.name}"
        content = as_coco(content, source)
    if isinstance(content, list):
        items = _detections(paths, detections_by_image(content, source), source)
    elif isinstance(content, dict) and isinstance(content.get("images"), list):
        truth = _read_coco(content, source)
        items = _annotated({p.name: p for p in paths}, truth, source)
    else:
        raise BadInput(f"{source} is JSON, but neither a COCO annotation file nor a list of COCO detections — name one")
    if not items and not (every_image and annotations is None):
        names = " and that detections have image_id, the number in the name of the image" if truth is None else ""
        raise BadInput(
            f"{source} has none of the {len(paths)} images in {images} — check that they belong together{names}"
        )
    known = {i.path for i in items}
    others = [p for p in paths if p not in known]
    if every_image:  # in a list of detections, an image without any shows nothing
        first = max((i.image_id for i in items), default=0) + 1
        items += [Item(p, i, None if truth is not None else ()) for i, p in enumerate(others, start=first)]
        items.sort(key=lambda i: i.path)
    elif others and truth is not None:
        remarks["left_out"] = f"{len(others)} of {len(paths)} images, which {source.name} does not list"
    facts = {"boxes": source.name, "boxes_sha256": sha256(source)}
    if truth is None:
        remarks["no_truth"] = f"{source.name} is a list of detections, which belongs to --boxes, and no ground truth"
    known_categories = None if truth is None else Categories.of(truth)
    return Dataset(tuple(items), truth, source.name, facts, remarks, truth_categories=known_categories)


def _of_whole_images(found: WholeImages, source: Path | None) -> Dataset:
    items = tuple(Item(p, i, name=n) for i, (p, n) in enumerate(zip(found.paths, found.shown, strict=True), start=1))
    truth = found.content
    remarks = (
        {"left_out": f"{found.missing} images of {source.name}, which are not there"}
        if source and found.missing
        else {}
    )
    return Dataset(items, truth, remarks=remarks, truth_categories=Categories.of(truth), whole_images=True)


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
    """Items with the annotations of a COCO file, which `_read_coco` has read."""
    by_image: dict[int, list[Mapping[str, Any]]] = {}
    for annotation in content["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    named = [(_file_name(i), i["id"]) for i in content["images"]]
    here = [n for n, _ in named if n in paths]
    if twice := sorted(n for n, count in Counter(here).items() if count > 1):
        raise BadInput(
            f"{source} has several images called {', '.join(twice[:3])} — give the folder of one part of the "
            "dataset, and its annotations"
        )
    known = Categories.of(content)
    return [Item(paths[n], i, tuple(by_image.get(i, ())), categories=known) for n, i in named if n in paths]


def _read_coco(content: Mapping[str, Any], source: Path) -> Mapping[str, Any]:
    """The content of a COCO file with numbers that are numbers, and without empty fields."""
    try:
        images = [{**i, "id": int(i["id"]), "file_name": i["file_name"] + ""} for i in content["images"]]
        annotations = [
            {**cleaned(a, source, a["image_id"]), "image_id": int(a["image_id"])}
            for a in content.get("annotations") or ()
        ]
    except UNFIT as error:
        raise BadInput(
            f"{source} is not in COCO's format ({error!r}) — every image needs id and file_name, every annotation "
            "image_id and bbox"
        ) from error
    return {
        **content,
        "images": images,
        "annotations": annotations,
        "categories": cleaned_categories(content, source),
    }


def _file_name(image: Mapping[str, Any]) -> str:
    """The name of an image without folders, also those of Windows."""
    return str(image["file_name"]).replace("\\", "/").rsplit("/", 1)[-1]


def _detections(paths: Sequence[Path], by_image: ByImage, source: Path) -> list[Item]:
    """Items with detected boxes. COCO results have image ids only, so images are found by their names."""
    known = _categories_of(by_image)
    unused = (n for n in itertools.count(1) if n not in by_image)  # for images whose id is a name
    found = sorted(paths_of(by_image, paths, source).items(), key=lambda each: each[1])
    return [
        Item(path, key if isinstance(key, int) else next(unused), tuple(by_image[key]), categories=known)
        for key, path in found
    ]


def _categories_of(by_image: ByImage) -> Categories:
    return Categories.of({"annotations": [d for found in by_image.values() for d in found]})


def _detected(images: Path, annotations: Path | None, boxes: Boxes, every_image: bool, nested: bool = False) -> Dataset:
    """The images with the boxes of a detector, and with the annotations as the truth if there are any."""
    source = annotations or (images / BESIDE if (images / BESIDE).exists() else None)
    found = _boxed(images, source, every_image, nested)
    if found.truth is None and annotations is not None:
        raise BadInput(
            f"{annotations} is a list of detections and no ground truth — give such a list with --boxes, and with "
            "--annotations the annotations that its results are scored against"
        )
    if source is None or found.truth is None:
        alone = _boxed(images, boxes.file, every_image, nested).within(boxes)
        return replace(alone, truth=None, remarks={**alone.remarks, "no_truth": "boxes are given, but no annotations"})
    facts: dict[str, Setting] = {
        "boxes": boxes.file.name,
        "boxes_sha256": sha256(boxes.file),
        "box_threshold": boxes.threshold,
        "nms": boxes.nms,
    }
    facts |= {"annotations": source.name, "annotations_sha256": sha256(source)}
    by_image, known = _boxes_by_image(boxes.file), found.categories
    if not set(_categories_of(by_image).used) & {*known.names, *known.used}:
        known = _categories_of(by_image)  # numbers of the detector's own
    items, there = [], 0
    for item in found.items:
        key = next((k for k in (item.image_id, item.path.name, item.path.stem) if k in by_image), None)
        there += key is not None
        mine = boxes.kept(by_image[key]) if key is not None else ()  # a detector found nothing in other images
        items.append(replace(item, annotations=mine, categories=known, nms=boxes.nms))
    if not there:
        raise BadInput(
            f"{boxes.file} has boxes of none of these images: its image_id are {listed(map(str, by_image))}, those of "
            f"{source} are {listed(str(i.image_id) for i in items)} — give the boxes that were detected in these images"
        )
    remarks = {**found.remarks}
    if there < len(items):
        remarks["without_boxes"] = f"{len(items) - there} of {len(items)} images, in which nothing was detected"
    return replace(found, items=tuple(items), boxes_from=boxes.file.name, facts=facts, remarks=remarks, detected=True)


def _boxes_by_image(file: Path) -> ByImage:
    content = read_json(file, "a list of COCO detections or a COCO annotation file")
    if isinstance(content, list):
        return detections_by_image(content, file)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise BadInput(f"{file} is JSON, but neither a list of COCO detections nor a COCO annotation file")
    found: ByImage = {}
    for annotation in _read_coco(content, file)["annotations"]:
        found.setdefault(annotation["image_id"], []).append(annotation)
    return found
