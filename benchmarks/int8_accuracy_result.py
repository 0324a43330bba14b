"""What `benchmarks/int8_accuracy.py` measures: the cost of int8 by target and method of calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrnet_deploy.report.charts import Bar, Bars, Group
from hrnet_deploy.report.document import Block, Line, Section, Table, Text
from hrnet_deploy.report.sections.judged import sensitivity
from hrnet_deploy.report.sections.provenance import origin
from hrnet_deploy.report.wording import PARTS, between, signed

AXIS = "AP points against the float model, 95% interval"
ELSEWHERE = {
    "openvino in openvino": "openvino, run in OpenVINO",
    "trt and float16": "trt with float16 between, run in ONNX Runtime",
}


def section(values: Mapping[str, Any], where: str) -> Section:
    said = (
        f"{values['card']}, calibrated on {values['calibration']} images and scored on {values['held_out']} others, each graph "
        "against the float model on the same images."
    )
    under = [_methods(values), _elsewhere(values), _search(values), _halves(values)]
    return Section(
        f"{values['card']}: what int8 costs ({where})", [Text(said), *origin(values, where)], under, key="int8_accuracy"
    )


def _methods(values: Mapping[str, Any]) -> Section:
    """A line a target and method; the last column is with one calibration input a thousand times too large."""
    rows: list[Line] = []
    groups: dict[str, list[Bar]] = {}
    for name, found in values["int8"].items():
        target, _, method = name.partition(" ")
        wild = values["wild"][name]["drop"]
        rows.append([target, method, *_figures(found), f"{found['pixels']:.2f}", signed(wild)])
        groups.setdefault(target, []).append(_bar(method, found, "int8"))
    columns = ["target", "method", "AP difference", "95% interval", "px", "one input x1000"]
    chart = Bars("AP difference by target and method", AXIS, [Group(t, b) for t, b in groups.items()], dots=True)
    return Section(
        "By target and method", [Table("AP difference in points", columns, rows, "llrrrr"), chart], key="methods"
    )


def _elsewhere(values: Mapping[str, Any]) -> Section:
    """The same graphs in the engine they are for, or with float16 between their integers."""
    rows: list[Line] = [
        [title, method, *_figures(found)]
        for part, title in ELSEWHERE.items()
        for method, found in values.get(part, {}).items()
        if found["drop"] is not None
    ]
    table = Table("AP difference in points, elsewhere", ["", "method", "AP difference", "95% interval"], rows, "llrr")
    return Section("In other engines", [table] if rows else [], key="elsewhere")


def _search(values: Mapping[str, Any]) -> Section:
    """The searches of `--max-drop`, step by step, and what each block costs alone."""
    rows: list[Line] = []
    charts: list[Block] = []
    for target, found in values.get("search", {}).items():
        rows += [
            [target, str(t["convolutions"]), *_figures(t), f"{t['images']} {PARTS[t['on']]}"] for t in found["trials"]
        ]
        if found["blocks"]:
            charts.append(sensitivity(found["blocks"], f"Blocks quantized alone ({target})"))
    columns = ["target", "convolutions in int8", "AP difference", "95% interval", "images"]
    table = Table("Every step of the search", columns, rows, "lrrrl")
    return Section("Leaving blocks in float", [table, *charts] if rows else [], key="search")


def _halves(values: Mapping[str, Any]) -> Section:
    bars = [_bar(name, found, "half") for name, found in values.get("halves", {}).items()]
    chart: list[Block] = [Bars("AP difference in half precision", AXIS, [Group("", bars)], dots=True)] if bars else []
    return Section("Half precision", chart, key="half")


def _figures(found: Mapping[str, Any]) -> list[str]:
    low, high = found["interval"]
    return [signed(found["drop"]), between(signed(low), signed(high))]


def _bar(name: str, found: Mapping[str, Any], tone: str) -> Bar:
    low, high = found["interval"]
    return Bar(name, found["drop"], signed(found["drop"]), low, high, tone)
