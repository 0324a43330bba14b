"""Writes a document as Markdown. Charts become SVG files next to it, or tables if no pictures are requested."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from hrnet_deploy.results.charts import Bars, Scatter, picture
from hrnet_deploy.results.document import Cell, Code, Document, Element, Facts, Section, Table, Text
from hrnet_deploy.results.wording import clean

SPECIAL = re.compile(r"([\\`*\[\]<>#|~$&]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/(?=/)|(?<=www)\.|^[-+=](?=\s|$))")


class Pictures:
    """The SVG files of a document, by name. `folder` precedes the name in links; None means no pictures."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self.files: dict[str, str] = {}

    @property
    def wanted(self) -> bool:
        return self._folder is not None

    def link(self, chart: Bars | Scatter, name: str) -> str:
        """The chart as an image. Its file is named after its section and its title up to a colon."""
        assert self._folder is not None
        stem = base = _slug(f"{name} {chart.title.partition(':')[0]}")
        number = 2
        while f"{stem}.svg" in self.files:
            stem, number = f"{base}-{number}", number + 1
        self.files[f"{stem}.svg"] = picture(chart)
        return f"![{_escaped(chart.title)}]({'/'.join(filter(None, (self._folder, f'{stem}.svg')))})"


def markdown(document: Document, pictures: Pictures) -> str:
    """The whole text. Its pictures are in `pictures.files` afterwards."""
    parts = [f"# {_escaped(document.title)}", *_elements(document.elements, "", pictures)]
    for section in document.sections:
        parts += section_parts(section, 2, pictures)
    return "\n\n".join(filter(None, parts)) + "\n"


def section_parts(section: Section, level: int, pictures: Pictures, name: str = "") -> list[str]:
    """The paragraphs of one section and of its subsections. `name` is the path of the section, for names of
    pictures."""
    name = f"{name} {section.key or section.title}".strip()
    parts = [f"{'#' * min(level, 6)} {_escaped(section.title)}"] if section.title else []
    parts += _elements(section.elements, name, pictures)
    for under in section.sections:
        parts += section_parts(under, level + 1, pictures, name)
    return parts


def relative(folder: Path, start: Path) -> str:
    """The path of a folder, as it is written in a link from a file in the folder `start`."""
    path = Path(os.path.relpath(folder.resolve(), start.resolve())).as_posix()
    return "" if path == "." else quote(path)


def _elements(elements: Sequence[Element], name: str, pictures: Pictures) -> list[str]:
    return [text for e in elements if (text := _element(e, name, pictures))]


def _element(element: Element, name: str, pictures: Pictures) -> str:
    if isinstance(element, Text):
        text = _escaped(element.text)
        return f"**{text}**" if element.tone in ("warning", "bad") else text
    if isinstance(element, Code):
        text = clean(element.text)
        fence = "`" * (3 + max((len(m) for m in re.findall("`+", text)), default=0))
        return f"{fence}sh\n{text}\n{fence}"
    if isinstance(element, Facts):
        return _rows(["", ""], [list(pair) for pair in element.values.items()], "ll")
    if isinstance(element, Table):
        align = "".join(element.alignment(i) for i in range(len(element.columns)))
        return f"{_escaped(element.caption)}:\n\n{_rows(element.columns, element.rows, align)}"
    if pictures.wanted:
        return pictures.link(element, name)
    return "" if element.in_table else _chart(element)


def _chart(chart: Bars | Scatter) -> str:
    """The figures of a chart as a table, for documents without pictures."""
    if isinstance(chart, Scatter):
        return f"{_escaped(chart.title)}: {_escaped(chart.description)}"
    rows = [[f"{g.title}, {b.name}" if g.title else b.name, b.text] for g in chart.groups for b in g.bars]
    return f"{_escaped(chart.title)}:\n\n{_rows(['', chart.axis], rows, 'lr')}"


def _rows(columns: Sequence[str], rows: Sequence[Sequence[Cell | str]], align: str) -> str:
    lines = [
        [_escaped(c) for c in columns],
        ["---" if a == "l" else "---:" for a in align],
        *([_cell(c) for c in r] for r in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell | str) -> str:
    if isinstance(cell, str):
        return _escaped(cell)
    text = _escaped(cell.text)
    text = f"**{text}**" if text and cell.tone in ("warning", "bad") else text
    return "<br>".join(filter(None, (text, f"<sub>{_escaped(cell.note)}</sub>" if cell.note else "")))


def _escaped(text: str) -> str:
    """Text on one line in which nothing is markup, a link or the end of a cell."""
    return SPECIAL.sub(r"\\\1", " ".join(clean(text).split()))


def _slug(text: str) -> str:
    """A text as words for a file name, without repetition of a word directly after itself."""
    words = re.findall("[a-z0-9]+", clean(text).lower())
    return "-".join(word for word, _ in groupby(words))[:100] or "chart"
