"""What the label maps of a data set hold, looked at before anything is scored: a mask of 0 and 255 is no map of class 0
with ignored pixels, unless it is meant so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import Setting
from hrnet_deploy.tasks.classes import Classes
from hrnet_deploy.tasks.dataset import Item

MOST_NAMED = 5  # so many classes are named in a sentence, the others are counted


@dataclass(frozen=True)
class Survey:
    """How many pixels of all maps have each value, (256,), and for each value the first file that has it."""

    pixels: NDArray[np.int64]
    first: dict[int, Path]

    @classmethod
    def of(cls, items: Sequence[Item], classes: Classes) -> Survey:
        """Read every map of some images once. Raises BadInput where one is no label map."""
        pixels, first = np.zeros(256, np.int64), dict[int, Path]()
        for item in items:
            if item.labels is None:
                continue
            counts = np.bincount(item.label_map(classes.colours).ravel(), minlength=256)
            for value in np.flatnonzero(counts):
                first.setdefault(int(value), item.labels)
            pixels += counts
        return cls(pixels, first)

    def check(self, classes: Classes) -> None:
        """Raises BadInput, with the cure, where the values are no class numbers of the network, or only one class is
        annotated: every network that finds nothing else would score 100."""
        count, ignore = len(classes.names), classes.ignore
        annotated = [v for v in sorted(self.first) if v != ignore]
        if beyond := [v for v in annotated if v >= count]:
            raise BadInput(
                f"{self.first[beyond[-1]]} has a pixel of class {beyond[-1]}, the model has {count} classes — number "
                f"them from 0 as the model does, and give pixels that are not to be scored {ignore}"
                + self._guess(annotated, beyond, count)
            )
        if ignore not in self.first and len(annotated) > 1:
            return
        if not annotated:
            raise BadInput(
                f"every pixel of the label maps is {ignore}, which is not scored — give maps whose pixels are class "
                f"numbers from 0 to {count - 1}"
            )
        if len(annotated) == 1:
            only = f"{annotated[0]} ({classes.names[annotated[0]]})"
            other = 1 if annotated[0] == 0 else 0
            raise BadInput(
                f"the label maps have class {only} alone and pixels of {ignore}, which are not scored — if {ignore} "
                f"stands for {classes.names[other]}, write {other} in its place"
                if ignore in self.first
                else f"the label maps have class {only} alone, on which a network that finds nothing else is perfect — "
                "give maps of more classes, or more images"
            )

    def _guess(self, annotated: Sequence[int], beyond: Sequence[int], count: int) -> str:
        """What may be the matter with values that are no classes, as the end of a sentence."""
        if beyond == [count]:
            return f" (values up to {count} may be counted from 1: then subtract 1, and give 0 the ignored value)"
        if max(annotated) > 2 * count and len(self.first) <= count:
            return f" (the values are {_listed(map(str, sorted(self.first)))}: they may be grey values of classes)"
        return ""

    def reading(self, classes: Classes) -> dict[str, Setting]:
        """What a reader of the score has to know of the maps."""
        found: dict[str, Setting] = {}
        absent = [name for i, name in enumerate(classes.names) if i not in self.first]
        if absent:
            found["classes_in_no_map"] = f"{len(absent)} of {len(classes.names)} ({_listed(absent)})"
        ignored = self.pixels[classes.ignore] / max(self.pixels.sum(), 1)
        if ignored > 0.5:
            found["ignored"] = f"{100 * ignored:.0f}% of all pixels, those of {classes.ignore}"
        return found


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return ", ".join(known[:MOST_NAMED]) + more
