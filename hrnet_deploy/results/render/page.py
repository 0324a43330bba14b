"""Writes a document as one HTML file. It loads nothing and runs nothing. Content of result files is only text in it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from hrnet_deploy.results.charts import Bars, Scatter, inline, style
from hrnet_deploy.results.document import Cell, Code, Document, Element, Facts, Section, Table, Text
from hrnet_deploy.results.wording import clean

BREAKS, BREAK = re.compile("(?<=[:=_/])"), "<wbr>"  # where a long name in a narrow cell may be broken
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # a browser then loads nothing, whatever is in the page


def html_page(document: Document) -> str:
    """The whole page. If there are several sections, they are listed at its top."""
    title = _escaped(document.title)
    css = f"{Path(__file__).with_name('page.css').read_text(encoding='utf-8')}{style()}"
    names = [f"s{i + 1}" for i in range(len(document.sections))]
    sections = "".join(_section(s, n, 2) for s, n in zip(document.sections, names, strict=True))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n"
        f"{_elements(document.elements, 's0')}{_contents(document.sections, names)}</header>\n"
        f"<main>\n{sections}</main>\n"
        "<footer>Made by hrnet-deploy report. Every figure is from the result files named above.</footer>\n"
        "</body>\n</html>\n"
    )


def _contents(sections: Sequence[Section], names: Sequence[str]) -> str:
    if len(sections) < 2:
        return ""
    items = "".join(f'<li><a href="#{n}">{_escaped(s.title)}</a></li>\n' for s, n in zip(sections, names, strict=True))
    return f'<nav aria-label="Contents"><ol>\n{items}</ol></nav>\n'


def _section(section: Section, name: str, level: int) -> str:
    """A section. `name` is its anchor and the beginning of the names of its parts."""
    heading = f'<h{level} id="{name}">{_escaped(section.title)}</h{level}>\n' if section.title else ""
    under = "".join(_section(s, f"{name}-{i + 1}", min(level + 1, 5)) for i, s in enumerate(section.sections))
    return f"<section>\n{heading}{_elements(section.elements, name)}{under}</section>\n"


def _elements(elements: Sequence[Element], name: str) -> str:
    """Consecutive charts are placed side by side if there is room."""
    parts: list[str] = []
    numbers: Iterator[int] = iter(range(1, len(elements) + 1))
    for charts, group in groupby(elements, lambda e: isinstance(e, (Bars, Scatter))):
        found = list(group)
        made = [_element(e, f"{name}-b{next(numbers)}") for e in found]
        least = max((e.least_width for e in found if isinstance(e, (Bars, Scatter))), default=0)
        parts += [f'<div class="charts" style="--least:{least:.0f}px">\n', *made, "</div>\n"] if charts else made
    return "".join(parts)


def _element(element: Element, name: str) -> str:
    if isinstance(element, Text):
        tone = f' class="{element.tone}"' if element.tone else ""
        return f"<p{tone}>{_escaped(element.text)}</p>\n"
    if isinstance(element, Code):
        return f"<pre>{_escaped(element.text)}</pre>\n"
    if isinstance(element, Facts):
        return (
            f"<dl>{''.join(f'<dt>{_escaped(k)}</dt><dd>{_escaped(v)}</dd>' for k, v in element.values.items())}</dl>\n"
        )
    if isinstance(element, Table):
        return _table(element, name)
    caption = f"<figcaption>{_escaped(element.title)}</figcaption>"
    return f'<figure>{caption}<div class="chart">{inline(element, name)}</div></figure>\n'


def _table(table: Table, name: str) -> str:
    """A table in a box that scrolls. The first column, which names the rows, stays visible."""
    head = "".join(
        f'<th scope="col" class="{table.alignment(i)}">{_escaped(c)}</th>' for i, c in enumerate(table.columns)
    )
    rows = "".join(
        f"<tr>{''.join(_cell(c, i, table.alignment(i)) for i, c in enumerate(row))}</tr>\n" for row in table.rows
    )
    return (
        f'<div class="scroll{" wide" if table.wide else ""}" role="region" aria-labelledby="{name}" tabindex="0">'
        "<table>\n"
        f'<caption><span id="{name}">{_escaped(table.caption)}</span></caption>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody></table></div>\n"
    )


def _cell(cell: Cell | str, column: int, align: str) -> str:
    cell = cell if isinstance(cell, Cell) else Cell(cell)
    note = f"<small>{_breakable(cell.note)}</small>" if cell.note else ""
    content = _breakable(cell.text) + note
    if column == 0:
        return f'<th scope="row">{content}</th>'
    return f'<td class="{f"{align} {cell.tone}".strip()}">{content}</td>'


def _breakable(text: str) -> str:
    return BREAKS.sub(BREAK, _escaped(text))


def _escaped(text: str) -> str:
    return html.escape(clean(text), quote=True)
