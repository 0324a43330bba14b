"""How far two sets of detections of the same images lie apart: each against its twin, which is of the same class and lies
where it lies.

Two detectors that differ by rounding give the same boxes in an order that differs where scores are equal, so lists cannot be
held against each other number by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.results.figures import Distance

CONFIDENT = 0.3  # a detection of a lower score need not have a twin
OVERLAP = 0.5  # a twin overlaps by at least so much
LAST = 0.01  # in a full list, what scores as little as the last one may have been pushed out


class Detected(Protocol):
    """What was found on an image; see `tasks.detection.Found`."""

    @property
    def in_input(self) -> NDArray[np.float32]: ...
    @property
    def scores(self) -> NDArray[np.float32]: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    @property
    def full(self) -> bool: ...


def compare_found(reference: Sequence[Detected], other: Sequence[Detected]) -> Distance:
    """Of every detection the reference is confident of (of those over half the best score where it is of none, as with random
    weights), how far its twin lies and how its score differs; `missing` and `extra` are shares without a twin."""
    best = max((float(r.scores.max()) for r in reference if len(r.scores)), default=0.0)
    least = CONFIDENT if best > CONFIDENT else best / 2
    moved, scored, counted, missing = [np.zeros(0)], [np.zeros(0)], 0, 0
    others, extra = 0, 0
    for a, b in zip(reference, other, strict=True):
        sure = _counted(a, least)
        twins = dict(twins_of(a, b, sure))
        mine, theirs = np.array([*twins], int), np.array([*twins.values()], int)
        counted += len(sure)
        missing += len(sure) - len(twins)
        moved.append(np.abs(a.in_input[mine] - b.in_input[theirs]).max(axis=1, initial=0.0))
        scored.append(np.abs(a.scores[mine] - b.scores[theirs]))
        unasked = _counted(b, least)
        others += len(unasked)
        extra += len(unasked) - len(dict(twins_of(b, a, unasked)))
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
    which = (
        f"over {least:.2g}" if best > CONFIDENT else f"over {least:.2g}, of none of which the reference is confident"
    )
    sentence = (
        f"{counted} detections {which}: {missing} without a twin, {extra} more of the other; twins lie "
        f"{figures['pixels_mean']:.4f} px apart on average, {figures['pixels_max']:.3f} px at most (pixels of the input), scores differ by "
        f"{figures['score_max']:.1e} at most"
    )
    return Distance(figures, sentence if counted else "the reference finds nothing on any of them")


def _counted(found: Detected, least: float) -> NDArray[np.intp]:
    """Which detections must have a twin."""
    if found.full and len(found.scores):
        least = max(least, float(found.scores[-1]) + LAST)
    return np.flatnonzero(found.scores > least)


def twins_of(found: Detected, other: Detected, which: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Of some detections, the surest first, the nearest of the same class in the other that nobody has taken yet: pairs of
    their numbers."""
    free = np.ones(len(other.scores), bool)
    for i in which:
        near = np.flatnonzero(free & (other.labels == found.labels[i]))
        near = near[_overlap(found.in_input[i], other.in_input[near]) >= OVERLAP]
        if len(near):
            nearest = near[np.abs(other.in_input[near] - found.in_input[i]).max(axis=1).argmin()]
            free[nearest] = False
            yield int(i), int(nearest)


def _overlap(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one box with others; of two that are the same 1, however small they are."""
    inside = (np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])).clip(min=0).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    union = area + areas - inside
    same = np.abs(boxes - box).max(axis=1, initial=0.0) <= 1.0
    return np.where(same, 1.0, inside / np.maximum(union, np.finfo(np.float32).tiny))
