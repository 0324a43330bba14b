"""Which class of the network every image of a data set has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.categories import PLACEHOLDER, Categories, listed, same_name
from hrnet_deploy.tasks.classification.labels import ImageClasses
from hrnet_deploy.tasks.dataset import Dataset

BY_NUMBER = "number"  # with --category: the numbers of a data set are those of the network


@dataclass(frozen=True)
class Truth:
    """of_image: the numbers of the classes of each image, by its id; an image that has none is not scored. how: how the
    categories of the data set were matched, and what is not scored, where that is not plain."""

    of_image: Mapping[int, Sequence[int]]
    how: Mapping[str, str]

    @classmethod
    def of(cls, classes: ImageClasses, dataset: Dataset) -> Truth:
        """Match the categories of a data set with the classes of a network, by name or by the name of the class's
        folder, or as `--category` says: CLASS=CATEGORY, or `number`.

        Raises BadInput with both lists where they do not fit."""
        found, how = _matched(classes, dataset.categories)
        of_image: dict[int, list[int]] = {}
        for annotation in (dataset.truth or {}).get("annotations", ()):
            number = found.get(int(annotation["category_id"]))
            if number is not None:
                of_image.setdefault(int(annotation["image_id"]), []).append(number)
        if others := len(dataset) - sum(i.image_id in of_image for i in dataset.items):
            how["images_not_scored"] = f"{others} of {len(dataset)}, whose classes the network does not have"
        return cls(of_image, how)


def _matched(classes: ImageClasses, known: Categories) -> tuple[dict[int, int], dict[str, str]]:
    """The number of the network's class for each category of a data set, and how they were matched."""
    names = {i: known.names.get(i, "") for i in sorted({*known.names, *known.used})}
    given = dict(_given(text, classes, known) for text in known.chosen if text != BY_NUMBER)
    if BY_NUMBER in known.chosen:
        numbers = {i: int(n) if n.isdecimal() else i for i, n in names.items()}
        if wrong := sorted(n for n in numbers.values() if not 0 <= n < len(classes.names)):
            raise BadInput(
                f"the data set has the class {wrong[-1]}, the network has the classes 0 to {len(classes.names) - 1} — "
                "leave --category number out, and give names"
            )
        return {**numbers, **given}, {"classes": "matched by number, as --category number says"}
    if names and all(n.isdecimal() or not n for n in names.values()) and not given:
        raise BadInput(
            f"the classes of the data set are numbers ({listed(n or str(i) for i, n in names.items())}), which may "
            "count in another order than the network — give names, or say --category number if they are the network's"
        )
    if len(names) == len(classes.names) and all(PLACEHOLDER.fullmatch(n) for n in classes.names) and not given:
        pairs = listed(f"{c} is {n}" for c, n in zip(classes.names, names.values(), strict=True))
        order = f"matched by order, as in a training on these folders; the network does not name them: {pairs}"
        return dict(zip(names, range(len(names)), strict=True)), {"classes": order}
    found = {i: number for i, n in names.items() if (number := _find(n, classes)) is not None} | given
    if not found:
        raise BadInput(
            f"no class of the data set is one of the network: the data set has {listed(names.values())}, the network "
            f"has {listed(classes.names)} — give a card (--card at export) or folders in which they are called the "
            "same, or say --category CLASS=CATEGORY"
        )
    how = {"classes": f"chosen with --category: {listed(known.chosen)}"} if given else {}
    if others := [n for i, n in names.items() if i not in found]:
        how["classes_not_scored"] = f"{len(others)} of {len(names)} ({listed(others)})"
    return found, how


def _given(text: str, classes: ImageClasses, known: Categories) -> tuple[int, int]:
    """The category and the class that one `--category CLASS=CATEGORY` names."""
    name, equals, category = text.partition("=")
    number = _find(name, classes) if equals else None
    if number is None:
        raise BadInput(
            f"--category {text} is neither `number` nor CLASS=CATEGORY with a class of the network — it has the "
            f"classes {listed(classes.names)}"
        )
    return known.number(category), number


def _find(name: str, classes: ImageClasses) -> int | None:
    """The class with that name, or whose folder is called so. Raises BadInput where several have the name."""
    if name in classes.folders:
        return classes.folders.index(name)
    near = [i for i, n in enumerate(classes.names) if n == name]
    near = near or [i for i, n in enumerate(classes.names) if same_name(n, name)]
    if len(near) > 1:
        folders = f" ({', '.join(classes.folders[i] for i in near)})" if classes.folders else ""
        raise BadInput(
            f"{len(near)} classes of the network are called {name}{folders} — name the folder of the one that is meant"
        )
    return near[0] if near else None
