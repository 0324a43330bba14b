"""Intersection over union of label maps, and its bootstrap interval over images.

Only the diagonal and the two margins of a confusion matrix are needed, so three counts per class describe an image. A
class that is neither annotated nor predicted is left out of the means, as in mmsegmentation. Over a whole validation
set every class occurs, so the means are those of HRNet-Semantic-Segmentation's testval (lib/core/function.py)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.tasks.images import Labels

Counts = NDArray[np.int64]  # (3, classes): correctly predicted pixels, annotated pixels, predicted pixels


def counts_of(truth: Labels, found: Labels, classes: int, ignore: int) -> Counts:
    """The counts of one image. truth and found are label maps (H, W); pixels whose truth is `ignore` are not scored."""
    scored = truth != ignore
    annotated, predicted = truth[scored], found[scored]
    rows = (annotated[annotated == predicted], annotated, predicted)
    return np.stack([np.bincount(r, minlength=classes) for r in rows]).astype(np.int64)


def figures_of(counts: NDArray) -> dict[str, float]:
    """mIoU, and the accuracy over pixels and over classes, in 0..1, from counts (3, classes) summed over images. All
    are NaN if no pixel was scored."""
    correct, annotated, predicted = counts
    union = annotated + predicted - correct
    seen = union > 0
    if not seen.any():
        return {"mIoU": float("nan"), "pixel accuracy": float("nan"), "mean accuracy": float("nan")}
    accuracy = correct[annotated > 0] / annotated[annotated > 0]
    return {
        "mIoU": float((correct[seen] / union[seen]).mean()),
        "pixel accuracy": float(correct.sum() / max(annotated.sum(), 1)),
        "mean accuracy": float(accuracy.mean()) if len(accuracy) else 0.0,
    }


class SegmentationScore:
    """The mIoU of one set of label maps on one data set. counts: (images, 3, classes), in the order of the data set."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.counts = counts

    def figures(self) -> dict[str, float]:
        """See `tasks.base.Score`."""
        return figures_of(self.counts.sum(0))

    def difference(
        self, base: SegmentationScore, samples: int = 1000, seed: int = 0, level: float = 0.95
    ) -> tuple[float, float, float]:
        """mIoU of this minus that of `base` on the same images, and its bootstrap interval over images."""
        rng = np.random.default_rng(seed)
        number = len(self.counts)

        def miou(counts: NDArray, times: NDArray) -> float:
            return figures_of(np.tensordot(times, counts, 1))["mIoU"]

        drawn = (np.bincount(rng.integers(0, number, number), minlength=number) for _ in range(samples))
        differences = [miou(self.counts, times) - miou(base.counts, times) for times in drawn]
        low, high = np.nanquantile(differences, [(1 - level) / 2, (1 + level) / 2])
        return self.figures()["mIoU"] - base.figures()["mIoU"], float(low), float(high)
