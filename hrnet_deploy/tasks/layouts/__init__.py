"""The folders of public data sets as they come from their sites: how each is recognised, where its images and their
annotations are, and what the values of its label maps mean. To add one, add an entry to `table`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.layouts.kinds import Found, Values, nested_images
from hrnet_deploy.tasks.layouts.table import LAYOUTS

__all__ = ["LAYOUTS", "Found", "Sought", "Values", "find", "nested_images"]


@dataclass(frozen=True)
class Sought:
    """What a data set is wanted for: the task of a network, the data set that it was trained on, the number of its
    labels; and the part of the data set, such as val."""

    task: str
    dataset: str
    labels: int
    split: str = ""

    @classmethod
    def of(cls, card: ModelCard, split: str = "") -> Sought:
        """What is wanted for the network of a card."""
        return cls(card.task, card.dataset, len(card.label_names), split)


def find(root: Path, sought: Sought) -> Found | None:
    """The public data set in a folder that suits a network; None where the folder is of no public layout.

    Raises BadInput where the data set is for another task or of other classes, and where it has not the split."""
    there = [f for layout in LAYOUTS for s in layout.splits if (f := layout.at(root, s))]
    suitable = [f for f in there if f.layout.task == sought.task]
    if there and not suitable:
        other = there[0].layout
        raise BadInput(
            f"{root} is {other.title}, which is for {other.task}, and the model is for {sought.task} — give a data set "
            "of its task"
        )
    if not suitable:
        if sought.split:
            raise BadInput(
                f"--split {sought.split} is for public data sets in the layout of their sites, and {root} is none that "
                "is known — leave it out, or give the folder that holds all of it"
            )
        return None
    own = [f for f in suitable if f.layout.dataset == sought.dataset] or suitable
    found = _of_split(root, own, sought.split)
    if maps := found.layout.maps:
        others = {x.dataset for x in LAYOUTS if x.maps} - {found.layout.dataset}
        if sought.labels not in maps.counts or sought.dataset in others:
            classes = " or ".join(map(str, maps.counts))
            raise BadInput(
                f"{root} is {found.layout.title} with {classes} classes, and the model tells the {sought.labels} of "
                f"{sought.dataset} apart — give a data set with these, or label maps with --annotations FOLDER"
            )
        return replace(found, values=maps.values(sought.labels))
    return found


def _of_split(root: Path, there: Sequence[Found], split: str) -> Found:
    """The wanted split among those that are there, or the first."""
    if not split:
        return there[0]
    for found in there:
        if split in (found.split, found.layout.splits[found.split]):
            return found
    known = " or ".join(dict.fromkeys(f.split for f in there))
    raise BadInput(f"{root} is {there[0].layout.title} without the split {split!r} — give --split {known}")
