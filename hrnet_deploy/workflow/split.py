"""Divides images into parts: calibration, the choices of a search and the final test each need different images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import Skipped
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.detections import Boxes
from hrnet_deploy.tasks.layouts import Sought
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.readable import readable
from hrnet_deploy.workflow.arguments import require_count


class Parts(NamedTuple):
    """The three parts of a data set. No image is in more than one.

    Attributes:
        calibration: images from which ranges are measured.
        validation: images on which a search makes its choices; empty if nothing is searched.
        test: images on which no choice is based. Only they decide the verdict.
    """

    calibration: Dataset
    validation: Dataset
    test: Dataset

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The images that cannot be read. They are in no part, and the other images are where they would be anyway."""
        return tuple(s for part in self for s in part.skipped)


@dataclass(frozen=True)
class Split:
    """How a folder of images is divided.

    Attributes:
        images: the folder.
        annotations: a file or folder of annotations that replaces those in the folder.
        calibration_images: how many images to calibrate on; at most half of the images are used for it.
        held_out: how many other images the test set has. The validation set of a search has as many again. If too few
            images are left, each takes half of them.
        seed: of the random choice of images.
        categories: which categories of the annotations are used, as `--category` says.
        strict: whether an image that cannot be read is an error. Otherwise it is left out and listed.
        boxes: those of a detector, in which results are looked for; the annotated ones unless given.
    """

    images: Path
    annotations: Path | None = None
    calibration_images: int = 64
    held_out: int = 500
    seed: int = 0
    strict: bool = False
    categories: Sequence[str] = ()
    boxes: Boxes | None = None

    def __post_init__(self) -> None:
        if self.calibration_images < 1 or self.held_out < 1:
            raise BadInput(
                "calibration and the test need at least one image each — give 1 or more for --calibration-images and "
                "--held-out"
            )
        require_count("--seed", self.seed, least=0)

    def parts(self, search: bool = False, card: ModelCard | None = None) -> Parts:
        """Divide the images. Raises BadInput if there are too few, or a part has none that can be read.

        Args:
            search: whether a validation set is needed.
            card: of the model. With it, the folder may be a public data set as it comes from its site.
        """
        sought = None if card is None else Sought.of(card)
        everything = load_dataset(self.images, self.annotations, boxes=self.boxes, sought=sought)
        everything = everything.choosing(self.categories)
        if len(everything) < 2 + search:
            others = "the search and the test each need others" if search else "the test needs others"
            raise BadInput(
                f"{self.images} has only {len(everything)} images that can be used — calibration needs some, and "
                f"{others}"
            )
        order = np.random.default_rng(self.seed).permutation(len(everything))
        first = min(self.calibration_images, len(everything) // 2)
        rest = len(everything) - first
        last = first + min(self.held_out, rest - rest // 2 if search else rest)
        chosen_by = order[last : last + self.held_out] if search else order[:0]
        numbers = (order[:first], chosen_by, order[first:last])
        return Parts(*(readable(everything.only(some), self.strict) for some in numbers))

    def arguments(self) -> list[str]:
        """The command-line options that make the same split."""
        named = ["--annotations", str(self.annotations)] if self.annotations else []
        named += self.boxes.arguments() if self.boxes else []
        named += [word for category in self.categories for word in ("--category", category)]
        counts = ["--calibration-images", str(self.calibration_images), "--held-out", str(self.held_out)]
        strict = ["--strict"] if self.strict else []
        return ["--images", str(self.images), *named, *counts, "--seed", str(self.seed), *strict]
