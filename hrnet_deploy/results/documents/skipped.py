"""The images that a result leaves out because they could not be read."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_deploy.results.base import Skipped
from hrnet_deploy.results.document import Element, Table, Text
from hrnet_deploy.results.wording import counted

NAMED = 10  # so many are named where there is little room; pages and files name all


def elements(skipped: Sequence[Skipped]) -> list[Element]:
    """How many there are, and each with its reason; nothing if there are none."""
    if not skipped:
        return []
    count = "1 image was" if len(skipped) == 1 else f"{counted(len(skipped), 'image')} were"
    found: list[Element] = [
        Text(f"{count} left out of everything above: the files cannot be read (--strict refuses them).", "warning"),
        Table("Images that cannot be read", ["file", "reason"], [[s.file, s.reason] for s in skipped[:NAMED]], "ll"),
    ]
    if rest := skipped[NAMED:]:
        found.append(Text(f"The result file names the other {len(rest)}.", "note"))
        found.append(Table("The others", ["file", "reason"], [[s.file, s.reason] for s in rest], "ll", detail=True))
    return found
