"""Object keypoint similarity: average precision by pycocotools, and its interval by the bootstrap.

pycocotools matches detections to people; the curve from those matches to AP is computed here in a few numpy
lines (equal to COCOeval.accumulate, which a test asserts), because a bootstrap needs it a thousand times.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.errors import need

Record = dict[str, Any]  # one entry of a COCO results file
RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass
class _Image:
    """One image after matching: detections by falling score, whether each matched at each threshold."""

    scores: NDArray[np.float64]  # (D,)
    matched: NDArray[np.bool_]  # (T, D)
    ignored: NDArray[np.bool_]  # (T, D)
    people: int


class Matches:
    """Every image of a dataset matched once; `ap` then answers for any sample of them."""

    def __init__(self, truth: Mapping[str, Any], results: Sequence[Record], sigmas: Sequence[float], category: int = 1) -> None:
        coco = need("pycocotools.coco", "eval")
        cocoeval = need("pycocotools.cocoeval", "eval")
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools talks
            reference = coco.COCO()
            reference.dataset = dict(truth)
            reference.createIndex()
            found = reference.loadRes([dict(r) for r in results]) if results else coco.COCO()
            evaluation = cocoeval.COCOeval(reference, found, "keypoints")
            parameters = evaluation.params
            parameters.kpt_oks_sigmas = np.asarray(sigmas)
            parameters.catIds = [category]
            parameters.imgIds = sorted(i["id"] for i in truth["images"])
            parameters.areaRng, parameters.areaRngLbl = [parameters.areaRng[0]], ["all"]
            evaluation.evaluate()
        self.thresholds = np.asarray(parameters.iouThrs)
        self.image_ids: list[int] = list(parameters.imgIds)
        self.evaluation = evaluation
        self._images = [self._image(e) for e in evaluation.evalImgs]

    def _image(self, matched: Record | None) -> _Image:
        if matched is None:  # nobody there and nothing found
            none = np.zeros((len(self.thresholds), 0), bool)
            return _Image(np.zeros(0), none, none, 0)
        return _Image(
            np.asarray(matched["dtScores"], float),
            np.asarray(matched["dtMatches"]) > 0,
            np.asarray(matched["dtIgnore"], bool),
            int(np.sum(np.asarray(matched["gtIgnore"]) == 0)),
        )

    def ap(self, sample: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """Average precision at each OKS threshold (0.50:0.05:0.95), over all images or a sample of them."""
        images = self._images if sample is None else [self._images[i] for i in sample]
        people = sum(i.people for i in images)
        if people == 0:
            return np.full(len(self.thresholds), np.nan)
        scores = np.concatenate([i.scores for i in images])
        order = np.argsort(-scores, kind="mergesort")
        matched = np.concatenate([i.matched for i in images], 1)[:, order]
        counted = ~np.concatenate([i.ignored for i in images], 1)[:, order]
        true = np.cumsum(matched & counted, 1, dtype=float)
        false = np.cumsum(~matched & counted, 1, dtype=float)
        precision = true / np.maximum(true + false, np.spacing(1))
        precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        precision = np.column_stack([precision, np.zeros(len(precision))])  # past the last recall reached
        at = [np.searchsorted(r / people, RECALLS, side="left") for r in true]
        return np.array([p[i].mean() for p, i in zip(precision, at, strict=True)])

    def figures(self) -> dict[str, float]:
        """AP (mean over thresholds), AP50 and AP75, in 0..1."""
        ap = self.ap()
        return {"AP": float(ap.mean()), "AP50": float(ap[0]), "AP75": float(ap[5])}


def paired_difference(base: Matches, new: Matches, samples: int = 1000, seed: int = 0, level: float = 0.95) -> tuple[float, float, float]:
    """AP of `new` minus AP of `base` on the same images, and its bootstrap interval over images."""
    rng = np.random.default_rng(seed)
    count = len(base.image_ids)
    drawn = (rng.integers(0, count, count) for _ in range(samples))
    differences = [float(new.ap(s).mean() - base.ap(s).mean()) for s in drawn]
    low, high = np.nanquantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return float(new.ap().mean() - base.ap().mean()), float(low), float(high)


def oks_nms(points: NDArray, scores: NDArray, areas: NDArray, sigmas: Sequence[float], threshold: float = 0.9) -> list[int]:
    """Indices of the people kept when near-copies of a better scored one are dropped.

    points (n, K, 2) image pixels, scores (n,), areas (n,) of the padded boxes, in square pixels.
    Source: HRNet-Human-Pose-Estimation, lib/nms/nms.py (oks_nms).
    """
    variance = (2 * np.asarray(sigmas)) ** 2
    order = list(np.argsort(-scores, kind="stable"))
    keep: list[int] = []
    while order:
        best = order.pop(0)
        keep.append(int(best))
        rest = np.array(order, int)
        squared = ((points[rest] - points[best]) ** 2).sum(-1)
        area = (areas[rest] + areas[best]) / 2 + np.spacing(1)
        similarity = np.exp(-squared / variance / area[:, None] / 2).mean(-1) if len(rest) else rest
        order = [int(i) for i in rest[similarity <= threshold]]
    return keep
