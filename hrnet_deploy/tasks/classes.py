"""The labels of networks that predict classes, and the colours in which classes are drawn."""

from __future__ import annotations

import colorsys
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from hrnet_deploy.errors import BadInput
from hrnet_deploy.fields import within
from hrnet_deploy.tasks.pairs import checked_flip_pairs, counted_from_0

# how far along the circle of hues the next colour is: neighbours differ, and no hue repeats soon
GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    names: in the order of the network's output, without the background if it is not a class. colours: (R, G, B),
    0..255, one per class, empty if the data set has none. ignore: the label of pixels that are not scored.
    flip_pairs: pairs of numbers that swap in a mirror image. ids: the data set's own numbers of the classes, where they
    are not 1, 2, 3 and so on."""

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] = within(0, 255, "red, green or blue", ())
    ignore: int = within(0, 255, "a value of label maps of 8 bits", 255)
    flip_pairs: tuple[tuple[int, int], ...] = ()
    ids: tuple[int, ...] = within(0, 2**31 - 1, "a number of a category", ())

    def settled(self) -> tuple[Classes, Sequence[str]]:
        """The same with every pair counted from 0, and what was converted. Raises BadInput where lists do not fit the
        names."""
        for name, values in (("colours", self.colours), ("ids", self.ids)):
            if len(values) not in (0, len(self.names)):
                raise BadInput(
                    f"classes.{name} has {len(values)} entries, and there are {len(self.names)} classes — give one for "
                    "each, or none"
                )
        if len(set(self.ids)) != len(self.ids):
            raise BadInput("classes.ids has a number twice — give every class a number of its own")
        lists, remarks = counted_from_0({"flip_pairs": self.flip_pairs}, self.names)
        checked_flip_pairs(lists["flip_pairs"], self.names)
        return dataclasses.replace(self, flip_pairs=lists["flip_pairs"]), remarks


def colours_of(classes: Classes) -> tuple[tuple[int, int, int], ...]:
    """One colour (R, G, B), 0..255, per class: those of the data set, or generated ones that are easy to tell apart."""
    if classes.colours:
        return classes.colours
    rows = (
        colorsys.hsv_to_rgb(i * GOLDEN_RATIO % 1, (0.85, 0.55)[i // 2 % 2], (0.95, 0.7)[i % 2])
        for i in range(len(classes.names))
    )
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in rows)
