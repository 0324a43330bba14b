"""AP of keypoints with the further figures of CrowdPose (by how crowded an image is) and of COCO-WholeBody (by part of
the body).

Sources: crowdposetools, cocoeval.py (get_type_result with 0.2 and 0.8, on the images' crowdIndex); xtcocotools,
cocoeval.py (keypoints_body, keypoints_foot and so on), with the score of the whole person as mmpose writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hrnet_deploy.tasks.average_precision import Matches
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.truth import PERSON

if TYPE_CHECKING:
    from hrnet_deploy.tasks.base import Record

CROWDED = {"easy": (0.0, 0.2), "medium": (0.2, 0.8), "hard": (0.8, float("inf"))}  # from, and below
BODY, KEYPOINTS = "body", "keypoints"


class DetailedMatches(Matches):
    """The matches of people, with figures of groups of images and of parts of people where the data set has them."""

    def __init__(self, truth: Mapping[str, Any], results: Sequence[Record], labels: Keypoints) -> None:
        """truth: the annotations with all keypoints in one list. results: entries of a COCO results file."""
        super().__init__(truth, results, (PERSON,), labels.sigmas)
        self._truth, self._results, self._labels = truth, results, labels

    def figures(self) -> dict[str, float]:
        """AP, AP50 and AP75; then AP of the images of each degree of crowding, or AP of each part of the body. Groups
        without anybody are left out."""
        more = {**self._by_crowding(), **self._by_part()}
        return {**super().figures(), **{f"AP {name}": ap for name, ap in more.items() if np.isfinite(ap)}}

    def _by_crowding(self) -> dict[str, float]:
        known = {i["id"]: i.get("crowdIndex") for i in self._truth["images"]}
        indices = [known[i] for i in self.image_ids]
        if not all(isinstance(v, int | float) for v in indices):
            return {}
        found = {}
        for name, (least, below) in CROWDED.items():
            numbers = [n for n, v in enumerate(indices) if least <= v < below]
            found[name] = float(self.ap(np.array(numbers, np.intp)).mean())
        return found

    def _by_part(self) -> dict[str, float]:
        found, start = {}, 0
        for name, count in self._labels.parts:
            part = slice(start, start + count)
            truth = {**self._truth, "annotations": [_cut(a, part) for a in self._truth["annotations"]]}
            matches = Matches(truth, [_cut(r, part) for r in self._results], (PERSON,), self._labels.sigmas[part])
            found[BODY if name == KEYPOINTS else name.removesuffix("_kpts")] = float(matches.ap().mean())
            start += count
        return found


def _cut(entry: Mapping[str, Any], part: slice) -> Record:
    """An annotation or a result with some of its keypoints alone."""
    points = list(entry["keypoints"][3 * part.start : 3 * part.stop])
    return {**entry, "keypoints": points, "num_keypoints": sum(v > 0 for v in points[2::3])}
