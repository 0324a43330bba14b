"""Intersection over union of label maps, and its interval by the bootstrap over images.

Of a confusion matrix the diagonal and the two margins are enough, so an image is three counts a class, however large.
A class that is neither there nor found is left out of the means, as mmsegmentation does; over a whole validation set
that is every class, as in HRNet-Semantic-Segmentation's testval (lib/core/function.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.tasks.images import Labels

Counts = NDArray[np.int64]  # (3, classes): pixels found rightly, pixels there, pixels found


def counts_of(truth: Labels, found: Labels, classes: int, ignore: int) -> Counts:
    """What one image adds. truth, found (H, W); pixels whose truth is `ignore` are not judged."""
    judged = truth != ignore
    there, said = truth[judged], found[judged]
    rows = (there[there == said], there, said)
    return np.stack([np.bincount(r, minlength=classes) for r in rows]).astype(np.int64)


def figures_of(counts: NDArray) -> dict[str, float]:
    """mIoU, and accuracy a pixel and a class, in 0..1, of counts (3, classes) summed over images."""
    right, there, found = counts
    union = there + found - right
    seen = union > 0
    if not seen.any():
        return {"mIoU": float("nan"), "pixel accuracy": float("nan"), "mean accuracy": float("nan")}
    accuracy = right[there > 0] / there[there > 0]
    return {
        "mIoU": float((right[seen] / union[seen]).mean()),
        "pixel accuracy": float(right.sum() / max(there.sum(), 1)),
        "mean accuracy": float(accuracy.mean()) if len(accuracy) else 0.0,
    }


class SegmentationScore:
    """mIoU of one set of label maps on one dataset. counts: (images, 3, classes), in the order of the dataset."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.counts = counts

    def figures(self) -> dict[str, float]:
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
