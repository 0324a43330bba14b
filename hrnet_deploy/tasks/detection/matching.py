"""Compares two sets of detections of the same images by matching each detection with its counterpart.

Two detectors that differ by rounding give the same boxes, but boxes with almost equal scores may be in another order.
So the lists cannot be compared number by number. A detection matches one of the same class that overlaps it enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.results.figures import Distance

CONFIDENT = 0.3  # detections with a lower score need no match
OVERLAP = 0.5  # the least intersection over union of two detections that match
MARGIN = 0.01  # in a full list, detections within so much of the last score may be missing from the other list


class Detected(Protocol):
    """The detections on one image; see `tasks.detection.task.ImageDetections`."""

    @property
    def in_input(self) -> NDArray[np.float32]: ...
    @property
    def scores(self) -> NDArray[np.float32]: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    @property
    def full(self) -> bool: ...


def compare_detections(reference: Sequence[Detected], other: Sequence[Detected]) -> Distance:
    """How far two sets of detections of the same images are apart, one entry per image in each.

    Only confident detections count, which score above 0.3. If the reference has none, as with random weights, those
    above half its best score count. `missing` and `extra` are the shares of confident detections of the reference and
    of the other that have no match. Distances between matches are in pixels of the network's input."""
    best = max((float(r.scores.max()) for r in reference if len(r.scores)), default=0.0)
    least = CONFIDENT if best > CONFIDENT else best / 2
    moved, scored, counted, missing = [np.zeros(0)], [np.zeros(0)], 0, 0
    others, extra = 0, 0
    for a, b in zip(reference, other, strict=True):
        confident = _confident(a, least)
        matched = dict(matches_of(a, b, confident))
        mine, theirs = np.array([*matched], int), np.array([*matched.values()], int)
        counted += len(confident)
        missing += len(confident) - len(matched)
        moved.append(np.abs(a.in_input[mine] - b.in_input[theirs]).max(axis=1, initial=0.0))
        scored.append(np.abs(a.scores[mine] - b.scores[theirs]))
        confident_others = _confident(b, least)
        others += len(confident_others)
        extra += len(confident_others) - len(dict(matches_of(b, a, confident_others)))
    pixels, score = np.concatenate(moved), np.concatenate(scored)
    figures = {
        "detections": float(counted),
        "missing": missing / counted if counted else np.nan,
        "extra": extra / others if others else 0.0 if counted else np.nan,
        "pixels_mean": float(pixels.mean()) if len(pixels) else np.nan,
        "pixels_max": float(pixels.max(initial=0.0)) if len(pixels) else np.nan,
        "score_mean": float(score.mean()) if len(score) else np.nan,
        "score_max": float(score.max(initial=0.0)) if len(score) else np.nan,
    }
    which = f"with a score above {least:.2g}" + (
        "" if best > CONFIDENT else f" (the reference has none above {CONFIDENT})"
    )
    sentence = (
        f"{counted} detections {which}: {missing} without a match, {extra} only in the other result; matches are "
        f"{figures['pixels_mean']:.4f} px apart on average, {figures['pixels_max']:.3f} px at most (pixels of the "
        "input), scores differ by "
        f"{figures['score_max']:.1e} at most"
    )
    return Distance(figures, sentence if counted else "the reference detects nothing on any of the images")


def _confident(found: Detected, least: float) -> NDArray[np.intp]:
    """The numbers of the detections that need a match."""
    if found.full and len(found.scores):
        least = max(least, float(found.scores[-1]) + MARGIN)
    return np.flatnonzero(found.scores > least)


def matches_of(found: Detected, other: Detected, which: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Pairs of numbers of detections that match. Each of `which`, by falling score, is matched with the nearest
    detection of the same class in `other` that is still free."""
    free = np.ones(len(other.scores), bool)
    for i in which:
        near = np.flatnonzero(free & (other.labels == found.labels[i]))
        near = near[_overlap(found.in_input[i], other.in_input[near]) >= OVERLAP]
        if len(near):
            nearest = near[np.abs(other.in_input[near] - found.in_input[i]).max(axis=1).argmin()]
            free[nearest] = False
            yield int(i), int(nearest)


def _overlap(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one box (4,) with others (n, 4). It is 1 for two boxes that are the same within a
    pixel, however small they are."""
    inside = (np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])).clip(min=0).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    union = area + areas - inside
    same = np.abs(boxes - box).max(axis=1, initial=0.0) <= 1.0
    return np.where(same, 1.0, inside / np.maximum(union, np.finfo(np.float32).tiny))
