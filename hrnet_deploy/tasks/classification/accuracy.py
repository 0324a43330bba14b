"""Top-1 and top-5: the share of images whose class is the first of those found, or among the best five."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Accuracy:
    """The accuracy on one data set. hits: (images, k) bool, whether the class of an image is its first, second, ...
    most probable one."""

    def __init__(self, hits: NDArray[np.bool_]) -> None:
        self.hits = hits

    def figures(self) -> dict[str, float]:
        """See `tasks.base.Score`. Both are NaN if no image was scored."""
        if not len(self.hits):
            return {"top-1": float("nan"), "top-5": float("nan")}
        return {"top-1": float(self.hits[:, 0].mean()), "top-5": float(self.hits.any(1).mean())}

    def difference(
        self, base: Accuracy, samples: int = 1000, seed: int = 0, level: float = 0.95
    ) -> tuple[float, float, float]:
        """top-1 of this minus that of `base` on the same images, and its bootstrap interval over images."""
        changes = self.hits[:, 0].astype(float) - base.hits[:, 0]
        rng = np.random.default_rng(seed)
        means = [changes[rng.integers(0, len(changes), len(changes))].mean() for _ in range(samples)]
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        return float(changes.mean()), float(low), float(high)
