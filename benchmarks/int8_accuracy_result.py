"""The result of `int8_accuracy.py`: what int8 costs by target and method of calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from hrnet_deploy.results.base import Result
from hrnet_deploy.results.charts import Bar, Bars, Group
from hrnet_deploy.results.document import Document, Element, Line, Section, Table, Text
from hrnet_deploy.results.documents import register
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.documents.quantize import block_chart
from hrnet_deploy.results.quantization import BlockCost, Part
from hrnet_deploy.results.wording import PARTS, between, signed

AXIS = "AP points against the float model, 95% interval"
MOST = 16  # blocks that a chart shows


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One graph against the float model on the same images.

    Attributes:
        drop, interval: of the AP, in points; None where the graph was not written.
        pixels: mean distance of keypoints in pixels of the input.
        sqnr_db: at the heatmaps.
    """

    drop: float | None
    interval: tuple[float, float] | None
    pixels: float = 0.0
    sqnr_db: float | None = None
    images: int = 0


@dataclass(frozen=True, kw_only=True)
class Step(Difference):
    """One step of a search."""

    excluded: Sequence[str]
    convolutions: int
    on: Part


@dataclass(frozen=True)
class FloatSearch:
    """Every step of a search for what to leave in float, and what each block costs alone."""

    trials: Sequence[Step]
    blocks: Sequence[BlockCost]


@dataclass(frozen=True)
class Int8AccuracyResult(Result):
    """Figures by name, written as they come, so that all parts may be incomplete.

    Attributes:
        calibration, held_out: number of images calibrated on, and scored on.
        int8: by "target method"; wild: the same with one calibration input a thousand times too large.
        elsewhere: by what is different, then by method.
        halves: in half precision, by "precision in engine"; search: by target.
    """

    kind: ClassVar[str] = "int8_accuracy"

    card: str
    calibration: int
    held_out: int
    int8: Mapping[str, Difference] = field(default_factory=dict)
    wild: Mapping[str, Difference] = field(default_factory=dict)
    elsewhere: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    halves: Mapping[str, Difference] = field(default_factory=dict)
    search: Mapping[str, FloatSearch] = field(default_factory=dict)


def document(result: Int8AccuracyResult, name: str) -> Document:
    """A section for each part."""
    text = (
        f"{result.card}, calibrated on {result.calibration} images and scored on {result.held_out} others, each graph "
        "against the float model on the same images."
    )
    sections = [_methods(result), _elsewhere(result), _search(result), _halves(result), origin(result, name)]
    return Document(f"{result.card}: what int8 costs", [Text(text)], sections, key="int8_accuracy")


def _methods(result: Int8AccuracyResult) -> Section:
    """One line for each target and method; the last column is with one calibration input a thousand times too large."""
    rows: list[Line] = []
    groups: dict[str, list[Bar]] = {}
    for name, found in result.int8.items():
        target, _, method = name.partition(" ")
        wild = result.wild.get(name)
        last = "" if wild is None or wild.drop is None else signed(wild.drop)
        rows.append([target, method, *_figures(found), f"{found.pixels:.2f}", last])
        groups.setdefault(target, []).extend(_bar(method, found, "int8"))
    columns = ["target", "method", "AP difference", "95% interval", "px", "one input x1000"]
    bars = [Group(t, b) for t, b in groups.items()]
    chart = Bars("AP difference by target and method", AXIS, bars, dots=True, in_table=True)
    table = Table("AP difference in points", columns, rows, "llrrrr")
    return Section("By target and method", [table, chart], key="methods")


def _elsewhere(result: Int8AccuracyResult) -> Section:
    """The same graphs in the engine they are for, or with float16 between their integers."""
    rows: list[Line] = [
        [title, method, *_figures(found)]
        for title, methods in result.elsewhere.items()
        for method, found in methods.items()
        if found.drop is not None
    ]
    table = Table("AP difference in points, elsewhere", ["", "method", "AP difference", "95% interval"], rows, "llrr")
    return Section("In other engines", [table] if rows else [], key="elsewhere")


def _search(result: Int8AccuracyResult) -> Section:
    """The searches of `--max-drop`, step by step, and what each block costs alone."""
    rows: list[Line] = []
    charts: list[Element] = []
    for target, found in result.search.items():
        for step in found.trials:
            images = f"{step.images}, {PARTS[step.on]}"
            rows.append([target, str(step.convolutions), *_figures(step), images])
        if found.blocks:
            charts.append(block_chart(found.blocks, f"Blocks quantized alone ({target})", MOST))
    columns = ["target", "convolutions in int8", "AP difference", "95% interval", "images"]
    table = Table("Every step of the search", columns, rows, "lrrrl")
    return Section("Leaving blocks in float", [table, *charts] if rows else [], key="search")


def _halves(result: Int8AccuracyResult) -> Section:
    bars = [bar for name, found in result.halves.items() for bar in _bar(name, found, "half")]
    chart = Bars("AP difference in half precision", AXIS, [Group("", bars)], dots=True)
    return Section("Half precision", [chart] if bars else [], key="half")


def _figures(found: Difference) -> list[str]:
    if found.drop is None or found.interval is None:
        return ["", ""]
    low, high = found.interval
    return [signed(found.drop), between(signed(low), signed(high))]


def _bar(name: str, found: Difference, tone: str) -> list[Bar]:
    """One bar, or none where there is no figure."""
    if found.drop is None or found.interval is None:
        return []
    return [Bar(name, found.drop, signed(found.drop), *found.interval, tone)]


register(Int8AccuracyResult, document)
