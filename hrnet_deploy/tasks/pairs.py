"""Pairs of numbers of labels in a card: lines of a skeleton, and labels that swap in a mirror image.

They count from 0 here. COCO's own files and many tools count from 1, and such a list is recognised by a number that
would be past the end, or by names that say left and right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hrnet_deploy.errors import BadInput

Pairs = tuple[tuple[int, int], ...]
SIDE = re.compile(r"(?<![a-z])(left|right|l|r)(?![a-z])")


def counted_from_0(lists: Mapping[str, Pairs], names: Sequence[str]) -> tuple[dict[str, Pairs], list[str]]:
    """Lists of pairs by the name of their field, each counting from 0, and what was converted.

    `names` are those of the labels, in order. Raises BadInput for a number that no label has, for a label joined with
    itself, and where a list may count from 0 or 1 while another one counts from 1.
    """
    firsts = {field: _first(field, pairs, names) for field, pairs in lists.items() if pairs}
    if 1 in firsts.values() and None in firsts.values():
        known, open_one = (next(f for f, first in firsts.items() if first == wanted) for wanted in (1, None))
        raise BadInput(
            f"{known} counts from 1, and {open_one} may count from 0 or from 1 — let both count from 0, as in "
            f"{names[0]} is 0"
        )
    made, remarks = dict.fromkeys(lists, ()) | dict(lists), []
    for field, first in firsts.items():
        if first == 1:
            made[field] = tuple((a - 1, b - 1) for a, b in lists[field])
            remarks.append(f"the card's {field} counts from 1, and was converted to count from 0")
    for field, pairs in made.items():
        for a, b in pairs:
            if a == b:
                raise BadInput(f"{field} joins {names[a]} with itself — give pairs of two labels")
    return made, remarks


def checked_flip_pairs(pairs: Pairs, names: Sequence[str]) -> None:
    """Raises BadInput where a label swaps with two others, or with one of its own side."""
    seen: set[int] = set()
    for a, b in pairs:
        if again := seen & {a, b}:
            raise BadInput(f"flip_pairs has {names[again.pop()]} twice — a label swaps with one other at most")
        seen |= {a, b}
        if _side(names[a]) and _side(names[a]) == _side(names[b]):
            raise BadInput(
                f"flip_pairs says that {names[a]} and {names[b]} swap in a mirror image, and both are on the "
                f"{_side(names[a])} — give pairs of left and right, counted from 0"
            )


def _first(field: str, pairs: Pairs, names: Sequence[str]) -> int | None:
    """The number of the first label in a list: 0 or 1, None where it may be either. A list without a number that only
    one way of counting has is taken to count from 0, unless the names of what swaps say otherwise."""
    numbers = {n for pair in pairs for n in pair}
    low, high = min(numbers), max(numbers)
    if low < 0 or high > len(names) or (high == len(names) and low == 0):
        wrong = low if low < 0 else high
        raise BadInput(
            f"{field} has the number {wrong}, and there are {len(names)} labels — count them from 0 to {len(names) - 1}"
        )
    if high == len(names):
        return 1
    if low == 0:
        return 0
    mirrored = [[_mirrored(names[a - first], names[b - first]) for a, b in pairs] for first in (0, 1)]
    if field == "flip_pairs" and all(mirrored[0]) != all(mirrored[1]):
        return int(all(mirrored[1]))
    return None


def _mirrored(a: str, b: str) -> bool:
    """Whether two names are the same but for left and right."""
    return {_side(a), _side(b)} == {"left", "right"} and SIDE.sub("", _words(a)) == SIDE.sub("", _words(b))


def _side(name: str) -> str:
    """left or right, if the name of a label has one of the two words in it, else empty."""
    words = {w[0] for w in SIDE.findall(_words(name))}
    return {"l": "left", "r": "right"}[words.pop()] if len(words) == 1 else ""


def _words(name: str) -> str:
    """A name in lower case, with its words apart: leftEye is left_eye."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
