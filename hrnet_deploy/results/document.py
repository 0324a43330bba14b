"""The content of a document about a result, without its appearance: headings, paragraphs, tables and charts.

`results.documents` makes documents of results, and `results.render` shows them in a terminal, as a page or as Markdown.
An element or a section with `detail=True` is omitted in a terminal; pages and Markdown show it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hrnet_deploy.results.charts import Bars, Scatter

Tone = Literal["", "note", "warning", "good", "bad"]


@dataclass(frozen=True)
class Text:
    """A paragraph. The words alone must say what the tone says, because not every output has colours."""

    text: str
    tone: Tone = ""
    detail: bool = False


@dataclass(frozen=True)
class Code:
    """A command, to be copied."""

    text: str
    detail: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell of a table. `note` is the small print of a figure: its interval, its engine, or why there is no
    figure."""

    text: str
    note: str = ""
    tone: Tone = ""


Line = list[Cell | str]  # one row of a table


@dataclass(frozen=True)
class Table:
    """A table with a caption.

    Attributes:
        align: one letter per column, l or r. The first column names the row and is always l; others are r unless given.
        wide: nearly every cell has small print, so the page uses smaller letters.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Line]
    align: str = ""
    wide: bool = False
    detail: bool = False

    def alignment(self, column: int) -> str:
        return "l" if column == 0 else self.align[column] if column < len(self.align) else "r"


@dataclass(frozen=True)
class Facts:
    """Names and their values."""

    values: Mapping[str, str]
    detail: bool = False


Element = Text | Code | Table | Facts | Bars | Scatter


@dataclass(frozen=True)
class Section:
    """A heading with its elements, followed by its subsections.

    Attributes:
        title: if empty, the elements follow those of the section above.
        key: a name by which this section alone can be selected (see `only`).
    """

    title: str
    elements: Sequence[Element] = ()
    sections: Sequence[Section] = ()
    key: str = ""
    detail: bool = False

    def only(self, keys: Collection[str]) -> Section | None:
        """This section, reduced to the elements directly in the sections of these keys; None if there are none."""
        under = [found for s in self.sections if (found := s.only(keys)) is not None]
        if self.key not in keys and not under:
            return None
        return dataclasses.replace(self, elements=self.elements if self.key in keys else (), sections=under)

    def untitled(self) -> Section:
        """This section without headings, for a text that has its own headings."""
        return dataclasses.replace(self, title="", sections=[s.untitled() for s in self.sections])


@dataclass(frozen=True)
class Document:
    """A document about one result or several. `key` names it as a section of a longer document."""

    title: str
    elements: Sequence[Element] = ()
    sections: Sequence[Section] = ()
    key: str = ""

    def section(self) -> Section:
        """The document as a part of a longer one."""
        return Section(self.title, self.elements, self.sections, self.key)
