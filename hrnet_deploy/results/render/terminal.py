"""Prints a document in a terminal of any width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from rich.table import Table as Grid
from rich.text import Text as Styled

from hrnet_deploy.results.charts import Bars, Scatter
from hrnet_deploy.results.document import Cell, Code, Document, Element, Facts, Section, Table, Text
from hrnet_deploy.results.wording import clean

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

STYLES = {"": "", "note": "dim", "warning": "yellow", "good": "green", "bad": "bold red"}
GAP = 2  # columns of space between two cells
FOLDED = 24  # width to which a column of text may be folded, between words
BAR = 30  # width of the longest bar
SPACED = (str, Table, Bars, Scatter)  # elements with an empty line before and after them


def show(console: Console, document: Document) -> None:
    """Print a document, without parts that are marked as detail."""
    console.print(Styled(clean(document.title), "bold"))
    previous: Element | str = ""
    for part in _shown(document):
        if isinstance(part, SPACED) or isinstance(previous, SPACED):
            console.print()
        _print(console, part)
        previous = part


def _shown(part: Document | Section) -> Iterator[Element | str]:
    """The elements and headings of a document, in their order."""
    for element in part.elements:
        if not element.detail and not (isinstance(element, (Bars, Scatter)) and element.in_table):
            yield element
    for section in part.sections:
        if not section.detail:
            yield from ([section.title] if section.title else [])
            yield from _shown(section)


def _print(console: Console, element: Element | str) -> None:
    if isinstance(element, str):
        console.print(Styled(clean(element), "bold"))
    elif isinstance(element, Text):
        console.print(Styled(clean(element.text), STYLES[element.tone]))
    elif isinstance(element, Code):
        console.print(Styled(f"  {clean(element.text)}", "dim"), soft_wrap=True)
    elif isinstance(element, Facts):
        _facts(console, element)
    elif isinstance(element, Table):
        _table(console, element)
    else:
        _chart(console, element)


def _facts(console: Console, facts: Facts) -> None:
    grid = Grid(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.values.items():
        grid.add_row(Styled(clean(name)), Styled(clean(value)))
    console.print(grid)


def _table(console: Console, table: Table) -> None:
    """Print a table. Notes are placed next to their figures if there is room, else below them. If that is still too
    wide, columns of text are folded. At last the table is split into several, each with the column that names the
    rows."""
    rows = [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in table.rows]
    filled = [i for i in range(len(table.columns)) if i == 0 or any(_plain(row[i], False) for row in rows)]
    console.print(Styled(clean(table.caption), "bold"))
    for below, least in ((False, None), (True, None), (True, FOLDED)):
        if _fits(widths := _widths(table, rows, filled, below, least, console.width), console.width):
            console.print(_grid(table, rows, widths, below))
            break
    else:
        natural = _widths(table, rows, filled, True, None, console.width)
        for number, part in enumerate(_parts(natural, console.width)):
            if number:
                console.print()
            console.print(_grid(table, rows, part, below=True))


def _widths(
    table: Table, rows: Sequence[Sequence[Cell]], columns: Sequence[int], below: bool, least: int | None, width: int
) -> dict[int, int]:
    """The width of each column. With `least`, columns of text shrink to that width if the table is too wide."""
    widths = {}
    for i in columns:
        lines = chain([table.columns[i]], *(_plain(row[i], below).split("\n") for row in rows))
        widths[i] = max(len(line) for line in lines)
    if least is not None:
        over = sum(widths.values()) + GAP * (len(widths) - 1) - width
        text = [i for i in columns if i and table.alignment(i) == "l" and widths[i] > least]
        for i in sorted(text, key=lambda i: -widths[i]):
            taken = min(max(over, 0), widths[i] - least)
            widths[i], over = widths[i] - taken, over - taken
    return widths


def _fits(widths: Mapping[int, int], width: int) -> bool:
    return sum(widths.values()) + GAP * (len(widths) - 1) <= width


def _parts(widths: Mapping[int, int], width: int) -> list[dict[int, int]]:
    """Columns for tables that fit, each with the first column."""
    first, *others = widths
    parts = [{first: widths[first]}]
    for i in others:
        if len(parts[-1]) > 1 and not _fits({**parts[-1], i: widths[i]}, width):
            parts.append({first: widths[first]})
        parts[-1][i] = min(widths[i], max(width - widths[first] - GAP, FOLDED))
    return parts


def _grid(table: Table, rows: Sequence[Sequence[Cell]], widths: Mapping[int, int], below: bool) -> Grid:
    grid = Grid(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", collapse_padding=True)
    for i, width in widths.items():
        justify: JustifyMethod = "left" if table.alignment(i) == "l" else "right"
        grid.add_column(Styled(clean(table.columns[i])), justify=justify, width=width, overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(row[i], below) for i in widths))
    return grid


def _plain(cell: Cell, below: bool) -> str:
    text, note = clean(cell.text), clean(cell.note)
    return f"{text}\n{note}" if below and text and note else f"{text} ({note})" if text and note else text or note


def _cell(cell: Cell, below: bool) -> Styled:
    text = Styled(clean(cell.text), STYLES[cell.tone])
    rest = _plain(cell, below).removeprefix(clean(cell.text))
    return text.append(rest, "dim" if cell.text and cell.tone != "warning" else STYLES[cell.tone])


def _chart(console: Console, chart: Bars | Scatter) -> None:
    """Bars of characters, each with its figure and its interval."""
    console.print(Styled(clean(chart.title), "bold"))
    console.print(Styled(clean(chart.axis if isinstance(chart, Bars) else chart.description), "dim"))
    if isinstance(chart, Scatter):
        return
    longest = max((abs(b.value) for b in chart.all()), default=0.0) or 1.0
    grid = Grid(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
    grid.add_column(overflow="fold")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, overflow="crop")
    for group in chart.groups:
        if group.title:
            grid.add_row(Styled(clean(group.title), "bold"), "", "")
        for bar in group.bars:
            drawn = "█" * round(BAR * abs(bar.value) / longest) or "▏"
            grid.add_row(Styled(clean(bar.name)), Styled(clean(bar.text)), Styled(drawn, "dim" if bar.faint else ""))
    console.print(grid)
