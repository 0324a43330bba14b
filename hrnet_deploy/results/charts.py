"""Charts as SVG: bars or dots with intervals, and points in a plane.

Horizontal positions are percentages of the width and vertical positions are pixels, so a chart fills its box while its
text keeps its size. Whatever a shape shows is also written next to it, so colour is never the only sign. `chart.css`
holds the style: a page includes it once, and a picture in a separate file contains it.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from hrnet_deploy.results.wording import clean

LINE, BAR, GAP = 17, 12, 13  # pixels: the text of a row, its bar, and the space under it
HEAD = 30  # pixels: the title of a group
FOOT = 24  # pixels: tick labels. Below them, each line that names the axis takes a LINE
LEFT, RIGHT = 0.4, 99.0  # percent: where an axis begins and ends, so that shapes at its ends are not cut off
INDENT = "7"  # pixels: of a row's text, so that it does not touch the axis
LETTER, SMALL = 7.4, 6.6  # pixels: a generous width of a character; no chart is narrower than its longest line
MARGIN, WIDTH = 16, 760  # pixels: of a picture in a separate file
TONES = ("fp32", "half", "int8", "plain", "good", "bad")


@cache
def style() -> str:
    return Path(__file__).with_name("chart.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Bar:
    """One figure. `text` is the figure as text, and `low` and `high` are its interval. A `faint` bar is unreliable, and
    its name should say so."""

    name: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    tone: str = "plain"
    faint: bool = False

    @property
    def ends(self) -> list[float]:
        return [v for v in (self.value, self.low, self.high) if v is not None]


@dataclass(frozen=True)
class Group:
    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Bars:
    """Bars from zero, or `dots` if a bar's length would mean nothing.

    Attributes:
        axis: the unit, and which direction is better; each clause after a semicolon gets its own line.
        in_table: a table next to the chart has the same figures, so an output without pictures omits the chart.
        detail: too much for a terminal.
    """

    title: str
    axis: str
    groups: Sequence[Group]
    dots: bool = False
    in_table: bool = False
    detail: bool = False

    def all(self) -> list[Bar]:
        return [b for g in self.groups for b in g.bars]

    @property
    def description(self) -> str:
        said = (
            f"{b.name} {b.text}" if not g.title else f"{g.title}, {b.name} {b.text}"
            for g in self.groups
            for b in g.bars
        )
        return f"{self.axis}. {'; '.join(said)}."

    @property
    def least_width(self) -> float:
        lines = [len(b.name) + len(b.text) + 3 for b in self.all()] + [len(g.title) + 2 for g in self.groups]
        return max(LETTER * max(lines, default=0), *(SMALL * len(line) for line in _lines(self.axis)))

    def body(self) -> tuple[str, float]:
        axis = Axis([v for b in self.all() for v in b.ends] or [1.0])
        parts: list[str] = []
        y = 0.0
        for group in self.groups:
            if group.title:
                parts.append(_text(INDENT, y + 17, group.title, "group"))
                y += HEAD
            for bar in group.bars:
                parts += self._row(bar, axis, y)
                y += LINE + BAR + GAP
        grid, height = _across(axis, self.axis, y), y + _foot(self.axis)
        return "".join([*grid, *parts]), height

    def _row(self, bar: Bar, axis: Axis, y: float) -> Iterator[str]:
        faint = " faint" if bar.faint else ""
        yield _text(INDENT, y + 12, bar.name, "name")
        yield _text("100%", y + 12, bar.text, "value")
        top, middle = y + LINE, y + LINE + BAR / 2
        at, zero = axis.at(bar.value), axis.at(0)
        if not self.dots:
            width = max(abs(at - zero), 0.25)  # so that the smallest figure can still be seen
            left = min(at, zero)
            box = f'x="{left:.2f}%" y="{top:g}" width="{width:.2f}%" height="{BAR}"'
            yield f'<rect class="bar {bar.tone}{faint}" {box} rx="2"/>'
        if bar.low is not None and bar.high is not None:
            low, high = axis.at(bar.low), axis.at(bar.high)
            yield _line(low, middle, high, middle, "whisker")
            for end in (low, high):
                yield _line(end, middle - 4, end, middle + 4, "whisker")
        if self.dots:
            yield f'<circle class="dot {bar.tone}{faint}" cx="{at:.2f}%" cy="{middle:g}" r="5.5"/>'


@dataclass(frozen=True)
class Point:
    """One point. `letter` is drawn in the plane, and next to `name` in the list below it. `front`: no other point is
    better in both figures."""

    letter: str
    name: str
    x: float
    y: float
    y_low: float | None = None
    y_high: float | None = None
    tone: str = "plain"
    front: bool = False


@dataclass(frozen=True)
class Scatter:
    """Points by two figures. A dashed line joins those of the front. `in_table` and `detail` are as for `Bars`."""

    title: str
    x_axis: str
    y_axis: str
    points: Sequence[Point]
    in_table: bool = True
    detail: bool = False
    PLANE = 250.0  # pixels: height of the plane
    X_FROM = 13.0  # percent: the labels of the y axis are to the left of it

    @property
    def description(self) -> str:
        said = (f"{p.name}: {p.x:.4g}, {p.y:.4g}{' (front)' if p.front else ''}" for p in self.points)
        return f"{self.x_axis} against {self.y_axis}. {'; '.join(said)}."

    @property
    def least_width(self) -> float:
        entries = [len(self._entry(p)) + 4 for p in self.points]
        return max(
            LETTER * max(entries, default=0), *(SMALL * len(line) for line in (*_lines(self.x_axis), self.y_axis))
        )

    @staticmethod
    def _entry(point: Point) -> str:
        return f"{point.name}, on the front" if point.front else point.name

    def body(self) -> tuple[str, float]:
        across = Axis([p.x for p in self.points], start=self.X_FROM)
        heights = [v for p in self.points for v in (p.y, p.y_low, p.y_high) if v is not None]
        up = Axis(heights, least=0.2)
        top, bottom = 24.0, 24.0 + self.PLANE

        def down(value: float) -> float:
            return bottom - (up.at(value) - LEFT) / (RIGHT - LEFT) * self.PLANE

        parts = [_text("0", 12, self.y_axis, "tick")]
        for tick in up.ticks:
            y = down(tick)
            parts.append(_line(self.X_FROM, y, RIGHT, y, "zero" if tick == 0 else "grid"))
            parts.append(_text("0", y + 4, up.label(tick), "tick"))
        parts += _across(across, self.x_axis, bottom + 4, top)
        front = sorted((p for p in self.points if p.front), key=lambda p: p.x)
        for a, b in itertools.pairwise(front):
            parts.append(_line(across.at(a.x), down(a.y), across.at(b.x), down(b.y), "front"))
        for point in self.points:
            if point.y_low is not None and point.y_high is not None:
                x = across.at(point.x)
                parts.append(_line(x, down(point.y_low), x, down(point.y_high), "whisker thin"))
        for point in self.points:
            x, y = across.at(point.x), down(point.y)
            parts.append(f'<circle class="dot {point.tone}" cx="{x:.2f}%" cy="{y:.1f}" r="9.5"/>')
            parts.append(_text(f"{x:.2f}%", y + 4, point.letter, "letter"))
        y = bottom + _foot(self.x_axis) + 18
        for point in self.points:
            parts.append(f'<circle class="dot {point.tone}" cx="10" cy="{y:.1f}" r="9.5"/>')
            parts.append(_text("10", y + 4, point.letter, "letter") + _text("26", y + 4, self._entry(point), "name"))
            y += 24
        return "".join(parts), y - 4


class Axis:
    """An axis of round numbers that holds zero and every value. `at` gives the position of a value in percent."""

    def __init__(self, values: Sequence[float], start: float = LEFT, least: float = 0.0) -> None:
        low, high = min(0.0, *values, -least), max(0.0, *values, least)
        span = (high - low) or 1.0
        step = _step(span / 4)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        self.ticks = [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]
        self._start, self._step = start, step

    def at(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return self._start + (RIGHT - self._start) * (value - low) / (high - low)

    def label(self, tick: float) -> str:
        digits = len(f"{self._step:.6f}".rstrip("0").partition(".")[2])
        return f"{tick:.{digits}f}".replace("-", "−") if abs(tick) < 1e6 else f"{tick:.3g}"


def _step(rough: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))


def _across(axis: Axis, title: str, bottom: float, top: float = 0.0) -> list[str]:
    """The grid behind the shapes, the numbers under it, and the name of the axis."""
    parts = []
    for i, tick in enumerate(axis.ticks):
        x = axis.at(tick)
        parts.append(_line(x, top, x, bottom, "zero" if tick == 0 else "grid"))
        end = " first" if i == 0 else " last" if i == len(axis.ticks) - 1 else ""
        parts.append(_text(f"{x:.2f}%", bottom + 15, axis.label(tick), f"tick under{end}"))
    return parts + [
        _text("100%", bottom + FOOT + 8 + i * LINE, line, "tick last") for i, line in enumerate(_lines(title))
    ]


def _lines(axis: str) -> list[str]:
    """The name of an axis, with one line for each clause."""
    return axis.split("; ")


def _foot(axis: str) -> float:
    return FOOT + LINE * len(_lines(axis))


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.2f}%" y1="{y1:.1f}" x2="{x2:.2f}%" y2="{y2:.1f}"/>'


def _text(x: str, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y:.1f}">{escaped(text)}</text>'


def escaped(text: str) -> str:
    return html.escape(clean(text), quote=True)


class Chart(Protocol):
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def least_width(self) -> float: ...
    def body(self) -> tuple[str, float]: ...


def inline(chart: Chart, name: str) -> str:
    """An <svg> element for a page that includes `style()` and writes the title itself. `name` is unique in the page."""
    body, height = chart.body()
    return (
        f'<svg role="img" aria-labelledby="{name}-t {name}-d" width="100%" height="{height:g}" '
        f'style="min-width:{chart.least_width:.0f}px">'
        f'<title id="{name}-t">{escaped(chart.title)}</title>'
        f'<desc id="{name}-d">{escaped(chart.description)}</desc>{body}</svg>'
    )


def picture(chart: Chart) -> str:
    """An SVG file with its title, its style and a background, so that it can be shown on any page."""
    body, height = chart.body()
    width = max(WIDTH, math.ceil(chart.least_width) + 2 * MARGIN)
    whole = height + 30 + 2 * MARGIN
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t d" class="chart picture" '
        f'width="{width}" height="{whole:g}" viewBox="0 0 {width} {whole:g}">\n'
        f'<title id="t">{escaped(chart.title)}</title>\n'
        f'<desc id="d">{escaped(chart.description)}</desc>\n<style>{style()}</style>\n'
        '<rect class="ground" width="100%" height="100%" rx="8"/>'
        f"{_text(str(MARGIN), MARGIN + 14, chart.title, 'title')}\n"
        f'<svg x="{MARGIN}" y="{MARGIN + 30}" width="{width - 2 * MARGIN}" height="{height:g}">{body}</svg>\n</svg>\n'
    )
