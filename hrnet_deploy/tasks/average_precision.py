"""COCO's average precision (AP) of keypoints and of boxes, and its bootstrap interval.

pycocotools matches results with annotations. AP is computed from the matches here, because a bootstrap needs it a
thousand times. An image that is drawn twice counts twice, so nothing has to be sorted again. Tests assert that it is
equal to COCOeval.accumulate."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.errors import need
from hrnet_deploy.tasks.base import Record

RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class _Category:
    """One category after matching: its D results by falling score, and which are correct at each of T thresholds."""

    image: NDArray[np.intp]  # (D,) the number of the image of each result
    correct: NDArray[np.bool_]  # (T, D)
    wrong: NDArray[np.bool_]  # (T, D); a result that is neither matched an annotation that does not count
    objects: NDArray[np.int64]  # (images,) the number of annotated objects that count


class Matches:
    """The results on a data set, matched with its annotations once. `ap` then gives AP over any sample of the
    images."""

    def __init__(
        self,
        truth: Mapping[str, Any],
        results: Sequence[Record],
        categories: Sequence[int] = (1,),
        sigmas: Sequence[float] = (),
    ) -> None:
        """truth: the annotations, as the content of a COCO file. results: entries of a COCO results file. categories:
        the ids that are scored. With `sigmas` keypoints are matched by object keypoint similarity, without them boxes
        by their overlap.

        Raises Unavailable where pycocotools is not installed.
        """
        coco = need("pycocotools.coco", "eval")
        cocoeval = need("pycocotools.cocoeval", "eval")
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            reference = coco.COCO()
            reference.dataset = {
                **truth,
                "categories": [{"id": c} for c in categories],
                "annotations": [_complete(a, number) for number, a in enumerate(truth["annotations"], start=1)],
            }
            reference.createIndex()
            found = reference.loadRes([dict(r) for r in results]) if results else coco.COCO()
            evaluation = cocoeval.COCOeval(reference, found, "keypoints" if sigmas else "bbox")
            parameters = evaluation.params
            if sigmas:
                parameters.kpt_oks_sigmas = np.asarray(sigmas)
            parameters.catIds = list(categories)
            parameters.imgIds = sorted(i["id"] for i in truth["images"])
            parameters.areaRng, parameters.areaRngLbl = [parameters.areaRng[0]], ["all"]
            evaluation.evaluate()
        self.thresholds = np.asarray(parameters.iouThrs)
        self.image_ids: list[int] = list(parameters.imgIds)
        count = len(self.image_ids)
        self._categories = [
            self._category(evaluation.evalImgs[i * count : (i + 1) * count]) for i in range(len(categories))
        ]

    def _category(self, images: Sequence[Record | None]) -> _Category:
        """The matches of one category, from one entry of pycocotools per image: None for an image without objects and
        results."""
        none = np.zeros((len(self.thresholds), 0), bool)
        there = [(i, e) for i, e in enumerate(images) if e is not None]
        scores = np.concatenate([np.zeros(0), *(np.asarray(e["dtScores"], float) for _, e in there)])
        image = np.concatenate([np.zeros(0, np.intp), *(np.full(len(e["dtScores"]), i) for i, e in there)])
        matched = np.concatenate([none, *(np.asarray(e["dtMatches"]) > 0 for _, e in there)], 1)
        counted = ~np.concatenate([none, *(np.asarray(e["dtIgnore"], bool) for _, e in there)], 1)
        objects = np.zeros(len(images), np.int64)
        for i, e in there:
            objects[i] = np.sum(np.asarray(e["gtIgnore"]) == 0)
        order = np.argsort(-scores, kind="mergesort")
        return _Category(image[order], (matched & counted)[:, order], (~matched & counted)[:, order], objects)

    def ap(self, sample: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """AP at each threshold (0.50, 0.55 ... 0.95), (T,), over all images or over a sample of their numbers.

        It is the mean over the categories with annotated objects, and NaN if no category has any.
        """
        count = len(self.image_ids)
        times = np.ones(count, np.int64) if sample is None else np.bincount(sample, minlength=count)
        found = [_ap(c, times) for c in self._categories if times @ c.objects]
        return np.mean(found, axis=0) if found else np.full(len(self.thresholds), np.nan)

    def figures(self) -> dict[str, float]:
        """AP (mean over thresholds), AP50 and AP75, in 0..1."""
        ap = self.ap()
        return {"AP": float(ap.mean()), "AP50": float(ap[0]), "AP75": float(ap[5])}

    def difference(self, base: Matches) -> tuple[float, float, float]:
        """See `tasks.base.Score`."""
        return paired_difference(base, self)


def _complete(annotation: Mapping[str, Any], number: int) -> Record:
    """An annotation with every field that pycocotools reads; files that were made by hand lack some."""
    _, _, width, height = annotation["bbox"]
    own = {**annotation, "iscrowd": annotation.get("iscrowd") or 0}
    area = annotation["area"] if area_given(annotation) else width * height
    return {**own, "area": area, "id": number}  # pycocotools reads a match with id 0 as no match


def area_given(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation has an area. Tools that have none leave it out, or write null or 0."""
    area = annotation.get("area")
    return area is not None and 0 < area < float("inf")


def _ap(category: _Category, times: NDArray[np.int64]) -> NDArray[np.float64]:
    """AP of one category at each threshold, (T,). times (images,): how often each image counts."""
    weights = times[category.image]
    true = np.cumsum(category.correct * weights, 1, dtype=float)
    false = np.cumsum(category.wrong * weights, 1, dtype=float)
    precision = true / np.maximum(true + false, np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    precision = np.column_stack([precision, np.zeros(len(precision))])  # past the last recall reached
    objects = int(times @ category.objects)
    at = [np.searchsorted(r / objects, RECALLS, side="left") for r in true]
    return np.array([p[i].mean() for p, i in zip(precision, at, strict=True)])


def paired_difference(
    base: Matches, new: Matches, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """AP of `new` minus AP of `base` on the same images, and the bounds of its bootstrap interval over images.

    samples: how many samples of the images are drawn, with replacement. level: the share of them inside the interval.
    """
    rng = np.random.default_rng(seed)
    count = len(base.image_ids)
    drawn = (rng.integers(0, count, count) for _ in range(samples))
    differences = [float(new.ap(s).mean() - base.ap(s).mean()) for s in drawn]
    low, high = np.nanquantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return float(new.ap().mean() - base.ap().mean()), float(low), float(high)
