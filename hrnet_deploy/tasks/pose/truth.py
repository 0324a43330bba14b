"""What an annotation file says of keypoints, as the keypoints of a network: which annotations are looked at, where
their points are, and whether both mean the same points."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import Setting
from hrnet_deploy.tasks.average_precision import area_given
from hrnet_deploy.tasks.categories import Categories, PeopleMatch, match_people
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.pose.labels import Keypoints

PERSON = 1  # COCO's category
MOST_NAMED = 20  # so many names of keypoints are in a sentence
NUMBERED = re.compile(r"(key_?point|kpt?|point|joint|landmark)?[ _-]?[0-9]+", re.IGNORECASE)  # a name of nothing
SIDES = {"l": "left", "r": "right"}


def looked_at(labels: Keypoints, categories: Categories | None) -> PeopleMatch | None:
    """The category whose boxes a network looks at; None where it looks at all. Raises BadInput where there is none."""
    if not labels.boxes_of:
        return None
    return PeopleMatch(PERSON) if categories is None else match_people(labels.boxes_of, PERSON, categories)


def of_category(
    labels: Keypoints, annotations: Sequence[Mapping[str, Any]], categories: Categories | None
) -> list[Mapping[str, Any]]:
    """The annotations that a network looks at."""
    found = looked_at(labels, categories)
    return [a for a in annotations if found is None or a.get("category_id", found.id) == found.id]


def boxes_read(labels: Keypoints, dataset: Dataset) -> dict[str, Setting]:
    """How the category of the boxes was found, and how many boxes are of other categories."""
    boxes = [a for item in dataset.items for a in item.annotations or ()]
    match = looked_at(labels, dataset.categories) if boxes else None
    if match is None:
        return {}
    known: dict[str, Setting] = dict(match.how)
    if others := sum(a.get("category_id", match.id) != match.id for a in boxes):
        known["boxes_left_out"] = f"{others} of {len(boxes)}"
    return known


def people(labels: Keypoints, dataset: Dataset) -> list[Mapping[str, Any]]:
    """The annotations of a data set that a network looks at. Raises BadInput where no category is theirs."""
    assert dataset.truth is not None
    return of_category(labels, dataset.truth["annotations"], dataset.categories)


def points_of(annotation: Mapping[str, Any], labels: Keypoints) -> list[float]:
    """The annotated x, y and v of every keypoint in one list, from all lists of the annotation that the data set has;
    empty where nothing is annotated. Without v, what is placed is labelled."""
    count = len(labels.names)
    own = list(annotation.get("keypoints") or ())
    others = labels.parts[1:]
    if any(annotation.get(name) for name, _ in others):
        own = own or [0.0] * 3 * labels.parts[0][1]
        for name, size in others:
            own += annotation.get(name) or [0.0] * 3 * size
    if not any(own):
        return []
    if len(own) == 2 * count:
        return [v for x, y in zip(own[::2], own[1::2], strict=True) for v in (x, y, 2 * bool(x or y))]
    return own


def with_points(annotation: Mapping[str, Any], labels: Keypoints) -> dict[str, Any]:
    """An annotation as pycocotools reads it. Without keypoints they are zeros: as in COCO, such a person is neither
    counted as missed nor, when detected, as a false positive."""
    points = points_of(annotation, labels) or [0.0] * 3 * len(labels.names)
    made = {**annotation, "category_id": PERSON, "keypoints": points, "num_keypoints": sum(v > 0 for v in points[2::3])}
    if labels.area_of_box is not None:
        _, _, width, height = annotation["bbox"]
        made["area"] = labels.area_of_box * width * height
    return made


def disagreement(labels: Keypoints, dataset: Dataset) -> str:
    """Why the annotations cannot be scored, whatever the metric; empty where they can."""
    if reason := dataset.no_boxes:
        return reason
    try:
        own = people(labels, dataset)
    except BadInput as error:
        return str(error).replace(" — ", "; ")
    labelled = [p for a in own if (p := points_of(a, labels))]
    if not labelled:
        return "the annotations have no keypoints"
    count, names = len(labels.names), _annotated_names(labels, dataset)
    if wrong := {len(p) for p in labelled} - {3 * count}:
        annotated = "/".join(f"{n / 3:g}" for n in sorted(wrong))
        listed = f" ({_listed(names)})" if names else ""
        return (
            f"the annotations have {annotated} keypoints{listed}, but the model has {count} ({_listed(labels.names)})"
        )
    if names and _others(names, labels.names[: len(names)]):
        return (
            f"the annotations and the model mean different keypoints: the {len(names)} of the annotations are "
            f"{_listed(names)}, the {count} of the model are {_listed(labels.names)}; if they are the same, call them "
            "the same in the categories of the annotations or in a card"
        )
    if not any(any(p[2::3]) for p in labelled):
        return (
            "no keypoint of the annotations is labelled: the visibility v of all is 0; write 2 for those that are "
            "placed"
        )
    return ""


def remarks(labels: Keypoints, dataset: Dataset) -> dict[str, str]:
    """What the annotations leave open, and how it was read. They can be scored."""
    found: dict[str, str] = {}
    labelled = [a for a in people(labels, dataset) if points_of(a, labels)]
    if match := looked_at(labels, dataset.categories):
        found.update(match.how)
    if labels.area_of_box is not None:
        found["area"] = f"{labels.area_of_box:g} of the box, as the evaluation of the data set has it"
    elif labels.metric_name == "AP" and (without := sum(not area_given(a) for a in labelled)):
        found["area"] = f"that of the box for {without} of {len(labelled)} people, whose annotations have none"
    if without := sum(len(a.get("keypoints") or ()) == 2 * len(labels.names) for a in labelled):
        found["visibility"] = f"not given for {without} of {len(labelled)} people, whose keypoints all count"
    return found


def _annotated_names(labels: Keypoints, dataset: Dataset) -> tuple[str, ...]:
    """The names that the annotations give to their keypoints; empty where they give none that mean something."""
    assert dataset.truth is not None
    found = looked_at(labels, dataset.categories)
    for category in dataset.truth.get("categories") or ():
        named = category.get("keypoints")
        if (found is None or category.get("id") == found.id) and isinstance(named, list) and named:
            return () if all(NUMBERED.fullmatch(str(n)) for n in named) else tuple(map(str, named))
    return ()


def _others(theirs: Sequence[str], ours: Sequence[str]) -> bool:
    """Whether names at the same places mean other keypoints: one is known at another place, or half are unknown.

    A few names may be called otherwise, such as head and top_head.
    """
    if all(NUMBERED.fullmatch(n) for n in ours):
        return False
    a, b = [_plain(n) for n in theirs], [_plain(n) for n in ours]
    differ = [x for x, y in zip(a, b, strict=False) if x != y]
    return any(x in b for x in differ) or 2 * len(differ) >= len(a)


def _plain(name: str) -> str:
    """A name without case, spaces and other separators, and with its side in full: L_Eye and leftEye are left eye."""
    words = re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
    return " ".join(SIDES.get(w.lower(), w.lower()) for w in words)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def annotated_points(annotation: Mapping[str, Any], labels: Keypoints) -> Iterator[tuple[float, float, bool]]:
    """x, y and whether it is labelled, of every keypoint of an annotation that has some."""
    points = points_of(annotation, labels)
    yield from ((x, y, v > 0) for x, y, v in zip(points[::3], points[1::3], points[2::3], strict=True))
