"""Average precision as COCO has it, of keypoints and of boxes, and its interval by the bootstrap.

pycocotools matches results to annotations; the curve from those matches to AP is computed here in a few numpy lines
(equal to COCOeval.accumulate, which tests assert), because a bootstrap needs it a thousand times: an image drawn twice is
one that counts twice, so nothing is sorted again.
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


@dataclass(frozen=True)
class _Category:
    """One category after matching: its results by falling score, and which of them are right at each threshold."""

    image: NDArray[np.intp]  # (D,) the number of the image each is of
    right: NDArray[np.bool_]  # (T, D)
    wrong: NDArray[np.bool_]  # (T, D); what is neither matched something that does not count
    objects: NDArray[np.int64]  # (images,) how many there are to find


class Matches:
    """Every image of a dataset matched once; `ap` then answers for any sample of them."""

    def __init__(
        self,
        truth: Mapping[str, Any],
        results: Sequence[Record],
        categories: Sequence[int] = (1,),
        sigmas: Sequence[float] = (),
    ) -> None:
        """truth: a COCO dictionary; results of `categories`. With `sigmas` keypoints are matched by their similarity,
        without them boxes by their overlap."""
        coco = need("pycocotools.coco", "eval")
        cocoeval = need("pycocotools.cocoeval", "eval")
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools talks
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
        """Of pycocotools' matches, an entry an image: None where nothing is and nothing was found."""
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
        """Average precision at each threshold (0.50:0.05:0.95), over all images or a sample of them; the mean of the
        categories there is something to find of, not a number where there is nothing of any."""
        count = len(self.image_ids)
        times = np.ones(count, np.int64) if sample is None else np.bincount(sample, minlength=count)
        found = [_ap(c, times) for c in self._categories if times @ c.objects]
        return np.mean(found, axis=0) if found else np.full(len(self.thresholds), np.nan)

    def figures(self) -> dict[str, float]:
        """AP (mean over thresholds), AP50 and AP75, in 0..1."""
        ap = self.ap()
        return {"AP": float(ap.mean()), "AP50": float(ap[0]), "AP75": float(ap[5])}

    def difference(self, base: Matches) -> tuple[float, float, float]:
        return paired_difference(base, self)


def _complete(annotation: Mapping[str, Any], number: int) -> Record:
    """An annotation with every field pycocotools asks for; files made by hand leave some out."""
    _, _, width, height = annotation["bbox"]
    own = {"iscrowd": 0, "area": width * height, **annotation}
    return {**own, "id": number}  # pycocotools takes a match with id 0 for none


def _ap(category: _Category, times: NDArray[np.int64]) -> NDArray[np.float64]:
    """(T,) with each image counted so many times."""
    weights = times[category.image]
    true = np.cumsum(category.right * weights, 1, dtype=float)
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
    """AP of `new` minus AP of `base` on the same images, and its bootstrap interval over images."""
    rng = np.random.default_rng(seed)
    count = len(base.image_ids)
    drawn = (rng.integers(0, count, count) for _ in range(samples))
    differences = [float(new.ap(s).mean() - base.ap(s).mean()) for s in drawn]
    low, high = np.nanquantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return float(new.ap().mean() - base.ap().mean()), float(low), float(high)
