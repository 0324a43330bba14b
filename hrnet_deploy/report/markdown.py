"""A document as Markdown that GitHub shows: tables as text, and charts as SVG files beside it where they are asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from hrnet_deploy.report.charts import Bars, Scatter, picture
from hrnet_deploy.report.document import Block, Cell, Code, Document, Facts, Section, Table, Text
from hrnet_deploy.report.wording import clean

SPECIAL = re.compile(r"([\\`*\[\]<>#|~$&]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/(?=/)|(?<=www)\.|^[-+=](?=\s|$))")


class Pictures:
    """The SVG files of a document, by name. `folder` is what a link says before the name; None means that none are wanted."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self.files: dict[str, str] = {}

    def link(self, chart: Bars | Scatter, name: str) -> str:
        """The chart as an image, kept under a name made of its section's and of its title up to a colon; empty where none
        are wanted."""
        if self._folder is None:
            return ""
        stem = base = _slug(f"{name} {chart.title.partition(':')[0]}")
        number = 2
        while f"{stem}.svg" in self.files:
            stem, number = f"{base}-{number}", number + 1
        self.files[f"{stem}.svg"] = picture(chart)
        return f"![{_escaped(chart.title)}]({'/'.join(filter(None, (self._folder, f'{stem}.svg')))})"


def markdown(document: Document, pictures: Pictures) -> str:
    """The whole text. Its pictures are in `pictures.files` afterwards."""
    parts = [f"# {_escaped(document.title)}", *_blocks(document.blocks, "", pictures)]
    for section in document.sections:
        parts += section_parts(section, 2, pictures)
    return "\n\n".join(filter(None, parts)) + "\n"


def section_parts(section: Section, level: int, pictures: Pictures, name: str = "") -> list[str]:
    """The paragraphs of one section and of those under it; `name` is where it stands, for the pictures' names."""
    name = f"{name} {section.key or section.title}".strip()
    parts = [f"{'#' * min(level, 6)} {_escaped(section.title)}"] if section.title else []
    parts += _blocks(section.blocks, name, pictures)
    for under in section.sections:
        parts += section_parts(under, level + 1, pictures, name)
    return parts


def relative(folder: Path, start: Path) -> str:
    """How a text in `start` calls a folder."""
    path = Path(os.path.relpath(folder.resolve(), start.resolve())).as_posix()
    return "" if path == "." else quote(path)


def _blocks(blocks: Sequence[Block], name: str, pictures: Pictures) -> list[str]:
    return [text for b in blocks if (text := _block(b, name, pictures))]


def _block(block: Block, name: str, pictures: Pictures) -> str:
    if isinstance(block, Text):
        text = _escaped(block.text)
        return f"**{text}**" if block.tone in ("warning", "bad") else text
    if isinstance(block, Code):
        text = clean(block.text)
        fence = "`" * (3 + max((len(m) for m in re.findall("`+", text)), default=0))
        return f"{fence}sh\n{text}\n{fence}"
    if isinstance(block, Facts):
        return _rows(["", ""], [list(pair) for pair in block.values.items()], "ll")
    if isinstance(block, Table):
        align = "".join(block.alignment(i) for i in range(len(block.columns)))
        return f"{_escaped(block.caption)}:\n\n{_rows(block.columns, block.rows, align)}"
    return pictures.link(block, name)


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
    """A line that means itself: nothing in it is markup, a link or a cell's end."""
    return SPECIAL.sub(r"\\\1", " ".join(clean(text).split()))


def _slug(text: str) -> str:
    """Words of a file's name; none twice in a row."""
    words = re.findall("[a-z0-9]+", clean(text).lower())
    return "-".join(word for word, _ in groupby(words))[:100] or "chart"
