"""Which images do what: a range, a choice and a verdict each need images of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.dataset import Dataset, load_dataset


class Parts(NamedTuple):
    """Images that ranges are taken from, images a search chooses by (none where nothing is searched), and images
    that neither has seen, which alone give the verdict."""

    calibration: Dataset
    validation: Dataset
    test: Dataset


@dataclass(frozen=True)
class Split:
    """A folder of images and a seed: `limit` images to calibrate on, at most half of them, and `held_out` others for
    the verdict. A search chooses by as many again, by half of what is left where there are fewer."""

    images: Path
    annotations: Path | None = None
    limit: int = 64
    held_out: int = 500
    seed: int = 0

    def parts(self, search: bool = False) -> Parts:
        if self.limit < 1 or self.held_out < 1:
            raise BadInput(
                "calibration and judging need at least one image each — give --limit and --held-out 1 or more"
            )
        everything = load_dataset(self.images, self.annotations)
        if len(everything) < 2 + search:
            wants = ", a search others, and the verdict others" if search else ", and the verdict others"
            raise BadInput(f"{self.images} has {len(everything)} of the images needed — calibration needs some{wants}")
        order = np.random.default_rng(self.seed).permutation(len(everything))
        first = min(self.limit, len(everything) // 2)
        rest = len(everything) - first
        last = first + min(self.held_out, rest - rest // 2 if search else rest)
        chosen_by = order[last : last + self.held_out] if search else order[:0]
        return Parts(everything.only(order[:first]), everything.only(chosen_by), everything.only(order[first:last]))

    def arguments(self) -> list[str]:
        """This, as a command line says it."""
        named = ["--annotations", str(self.annotations)] if self.annotations else []
        counts = ["--limit", str(self.limit), "--held-out", str(self.held_out), "--seed", str(self.seed)]
        return ["--images", str(self.images), *named, *counts]
