"""The labels of networks that predict classes, and the colours in which classes are drawn."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

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
    colours: tuple[tuple[int, int, int], ...] = ()
    ignore: int = 255
    flip_pairs: tuple[tuple[int, int], ...] = ()
    ids: tuple[int, ...] = ()


def colours_of(classes: Classes) -> tuple[tuple[int, int, int], ...]:
    """One colour (R, G, B), 0..255, per class: those of the data set, or generated ones that are easy to tell apart."""
    if classes.colours:
        return classes.colours
    rows = (
        colorsys.hsv_to_rgb(i * GOLDEN_RATIO % 1, (0.85, 0.55)[i // 2 % 2], (0.95, 0.7)[i % 2])
        for i in range(len(classes.names))
    )
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in rows)
