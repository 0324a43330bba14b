"""The categories of an annotation file, and how they are matched with what a network tells apart: by name where both
sides have names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hrnet_deploy.errors import BadInput

MOST_NAMED = 8  # so many names are in a sentence, the others are counted
PLACEHOLDER = re.compile(r"class_[0-9]+")  # how classes are called that nobody named


@dataclass(frozen=True)
class Categories:
    """What a file says of its categories. names: by number, as far as it names them. used: how many annotations each
    number has. with_keypoints: the numbers whose annotations or definition have keypoints. chosen: what `--category`
    says: a name or number of a category, or CLASS=CATEGORY."""

    names: Mapping[int, str] = field(default_factory=dict)
    used: Mapping[int, int] = field(default_factory=dict)
    with_keypoints: frozenset[int] = frozenset()
    chosen: tuple[str, ...] = ()

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Categories:
        """The categories of the content of a COCO file."""
        defined = [c for c in content.get("categories") or () if "id" in c]
        annotations = [a for a in content.get("annotations") or () if "category_id" in a]
        with_keypoints = {int(a["category_id"]) for a in annotations if any(a.get("keypoints") or ())}
        if not with_keypoints:
            with_keypoints = {int(c["id"]) for c in defined if c.get("keypoints")}
        return cls(
            {int(c["id"]): str(c["name"]) for c in defined if c.get("name") not in (None, "")},
            Counter(int(a["category_id"]) for a in annotations),
            frozenset(with_keypoints),
        )

    def number(self, text: str) -> int:
        """The number of a category that is called so, or has that number. Raises BadInput where there is none."""
        found = [i for i, n in self.names.items() if n == text] or [
            i for i, n in self.names.items() if same_name(n, text)
        ]
        known = {*self.names, *self.used}
        if not found and text.strip().isdecimal() and int(text) in known:
            found = [int(text)]
        if len(found) != 1:
            what = "several categories are" if found else "no category is"
            raise BadInput(f"--category {text}: {what} called so — the annotations have {self.listed}")
        return found[0]

    @property
    def listed(self) -> str:
        """Every category with its number and name."""
        numbers = sorted({*self.names, *self.used})
        return listed(f"{n} ({self.names[n]})" if n in self.names else str(n) for n in numbers) or "none"


def same_name(a: str, b: str) -> bool:
    """Whether two names differ in nothing but case, spaces, underscores, hyphens or a plural's s."""
    x, y = sorted((_plain(a), _plain(b)), key=len)
    return y in {x, x + "s", x + "es"} or (x.endswith("y") and y == x[:-1] + "ies")


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.casefold().strip()))


def listed(names: Iterable[str]) -> str:
    """Names in a sentence, the first few where there are many."""
    known = list(names)
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return ", ".join(known[:MOST_NAMED]) + more


@dataclass(frozen=True)
class ClassMatch:
    """The number in a file of every class of a network, None for a class that the file does not have; and how they were
    matched, empty where every class was found by its own name."""

    ids: tuple[int | None, ...]
    how: Mapping[str, str] = field(default_factory=dict)


def match_classes(names: Sequence[str], own_ids: Sequence[int], categories: Categories) -> ClassMatch:
    """Match the classes of a network with the categories of a file, or as `--category` says: CLASS=CATEGORY matches one
    class, and with a category alone only the chosen ones are scored.

    Raises BadInput with both lists where they do not fit.
    """
    if not categories.chosen:
        return _match_classes(names, own_ids, categories)
    given: dict[int, int] = {}
    only: set[int] = set()
    for text in categories.chosen:
        name, equals, category = text.partition("=")
        if not equals:
            only.add(categories.number(name))
            continue
        near = [i for i, n in enumerate(names) if n == name] or [i for i, n in enumerate(names) if same_name(n, name)]
        if len(near) != 1:
            raise BadInput(f"--category {text}: no class is called {name} — the network has {listed(names)}")
        given[near[0]] = categories.number(category)
    try:
        ids = list(_match_classes(names, own_ids, categories).ids)
    except BadInput:
        if not given:
            raise
        ids = [None] * len(names)
    taken = set(given.values())
    ids = [given.get(i, None if number in taken else number) for i, number in enumerate(ids)]
    if only:
        ids = [number if number in only else None for number in ids]
    pairs = [(n, i) for n, i in zip(names, ids, strict=True) if i is not None]
    if not pairs:
        raise BadInput(
            "no class of the network has a category that is chosen with --category: the annotations have the "
            f"categories {categories.listed}, the network has the classes {listed(names)} — write CLASS=CATEGORY"
        )
    said = listed(f"{n} is {_called(i, categories.names)}" for n, i in pairs)
    return ClassMatch(tuple(ids), {"classes": f"chosen with --category: {said}"})


def _match_classes(names: Sequence[str], own_ids: Sequence[int], categories: Categories) -> ClassMatch:
    """Match the classes of a network with the categories of a file.

    By name where both sides have names. A network without names (class_0, class_1) is matched by the order of the
    file's numbers, where both have as many; a file without names by the network's own numbers.

    Raises BadInput with both lists where that does not fit.
    """
    lists = f"the annotations have the categories {categories.listed}, the network has the classes {listed(names)}"
    cure = "give a card (--card at export) or annotations in which they are called the same"
    if not categories.names:
        if len(names) == 1 and len(categories.used) == 1:
            return ClassMatch(tuple(categories.used), {"classes": "one on both sides, not compared by name"})
        if foreign := sorted(set(categories.used) - set(own_ids)):
            raise BadInput(
                f"none of its classes has the number {listed(map(str, foreign))}, and the annotations do not name "
                f"their categories: the network numbers {_numbered(names, own_ids)} — add categories with names to the "
                "annotations"
            )
        return ClassMatch(
            tuple(own_ids), {"classes": "matched by number, the annotations do not name their categories"}
        )
    if all(PLACEHOLDER.fullmatch(n) for n in names):
        ordered = sorted(categories.names)
        if len(ordered) != len(names):
            raise BadInput(f"{lists}, which nobody named — {cure}")
        pairs = listed(f"{n} is {categories.names[i]}" for n, i in zip(names, ordered, strict=True))
        return ClassMatch(tuple(ordered), {"classes": f"matched by order, the network does not name them: {pairs}"})
    ids = tuple(_find(n, categories.names, lists) for n in names)
    if all(i is None for i in ids):
        raise BadInput(f"none of its classes is annotated: {lists} — {cure}")
    how = {}
    if absent := [n for n, i in zip(names, ids, strict=True) if i is None]:
        how["classes_not_annotated"] = f"{len(absent)} of {len(names)} ({listed(absent)})"
    if others := [categories.names.get(i, str(i)) for i in sorted(categories.used) if i not in ids]:
        how["categories_not_scored"] = listed(others)
    return ClassMatch(ids, how)


def _find(name: str, names: Mapping[int, str], lists: str) -> int | None:
    """The number of the category of a name. Its exact name goes before another spelling."""
    for near in ([i for i, n in names.items() if n == name], [i for i, n in names.items() if same_name(n, name)]):
        if len(near) > 1:
            raise BadInput(f"several categories are called {name}: {lists} — give each a name of its own")
        if near:
            return near[0]
    return None


def _numbered(names: Sequence[str], ids: Sequence[int]) -> str:
    return listed(f"{i} ({n})" for n, i in zip(names, ids, strict=True))


@dataclass(frozen=True)
class PeopleMatch:
    """The number in a file of the category that has the keypoints of a network, and how it was found where that was not
    by its name or COCO's number."""

    id: int
    how: Mapping[str, str] = field(default_factory=dict)


def match_people(person: Collection[str], own_id: int, categories: Categories) -> PeopleMatch:
    """Find the category whose boxes a pose network looks at: the one that is chosen with `--category`, else the one
    that has one of the names `person`, else the only
    one with keypoints, else in a file without names the number `own_id`, or 0 where that is the only one.

    Raises BadInput with the file's list where there is none.
    """
    known, names = categories.with_keypoints, categories.names
    if categories.chosen:
        if len(categories.chosen) > 1 or "=" in categories.chosen[0]:
            raise BadInput("--category takes one category here, by its name or number — give it once")
        number = categories.number(categories.chosen[0])
        return PeopleMatch(number, {"boxes_of": f"category {_called(number, names)}, chosen with --category"})
    named = [i for i, n in names.items() if any(same_name(n, p) for p in person)]
    word = next(iter(person))
    if len(named) == 1 and (not known or named[0] in known):
        return PeopleMatch(named[0])
    if len(known) == 1:
        (only,) = known
        if only == own_id and only not in names:
            return PeopleMatch(only)
        return PeopleMatch(only, {"boxes_of": f"category {_called(only, names)}, the only one with keypoints"})
    numbers = {*names, *categories.used}
    if not names and not known:
        if numbers == {0}:
            return PeopleMatch(0, {"boxes_of": "category 0, the only one there is"})
        if not numbers or (own_id in numbers and 0 not in numbers):
            return PeopleMatch(own_id)
    if not names and own_id in known:
        return PeopleMatch(own_id)
    several = f"{len(known)} of them have keypoints" if known else "none of them has keypoints"
    raise BadInput(
        f"the boxes are of the categories {categories.listed}, the network looks at the category {word}: "
        f"{'several are' if len(named) > 1 else 'none is'} called so, and {several} — call the one it should look at "
        f"{word}, or keep its boxes alone, with the number {own_id}"
    )


def _called(number: int, names: Mapping[int, str]) -> str:
    return f"{number} ({names[number]})" if number in names else str(number)
