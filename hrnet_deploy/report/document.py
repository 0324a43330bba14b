"""What a report says, before it is decided how it looks: headings, paragraphs, tables and pictures. `page` and `markdown` render it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hrnet_deploy.report.charts import Bars, Scatter

Tone = Literal["", "note", "warning", "good", "bad"]


@dataclass(frozen=True)
class Text:
    """A paragraph. The tone is said by the words too, never by colour alone."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Code:
    """A command, to be copied."""

    text: str


@dataclass(frozen=True)
class Cell:
    """`note` is the small print under a figure: its interval, its engine, or why there is none."""

    text: str
    note: str = ""
    tone: Tone = ""


Line = list[Cell | str]  # a table's row


@dataclass(frozen=True)
class Table:
    """`align` has a letter a column, l or r; the first column names its row and is l. A `wide` one has small print everywhere."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Line]
    align: str = ""
    wide: bool = False

    def alignment(self, column: int) -> str:
        return "l" if column == 0 else self.align[column] if column < len(self.align) else "r"


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    values: Mapping[str, str]


Block = Text | Code | Table | Facts | Bars | Scatter


@dataclass(frozen=True)
class Section:
    """A heading, what stands under it, and sections under that. `key` names it for who wants this one alone; no title
    means that its blocks follow the section's above."""

    title: str
    blocks: Sequence[Block] = ()
    sections: Sequence[Section] = ()
    key: str = ""

    def only(self, keys: Collection[str]) -> Section | None:
        """This section with nothing but what stands directly under those keys; None where that is nothing."""
        under = [found for s in self.sections if (found := s.only(keys)) is not None]
        if self.key not in keys and not under:
            return None
        return dataclasses.replace(self, blocks=self.blocks if self.key in keys else (), sections=under)

    def untitled(self) -> Section:
        """This section for who has headings of their own."""
        return dataclasses.replace(self, title="", sections=[s.untitled() for s in self.sections])


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    sections: Sequence[Section]
    blocks: Sequence[Block] = ()
