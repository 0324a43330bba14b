"""What `benchmarks/int8_accuracy.py` measures: the cost of int8 by target and method of calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrnet_deploy.report.charts import Bar, Bars, Group
from hrnet_deploy.report.document import Block, Line, Section, Table, Text
from hrnet_deploy.report.sections.judged import sensitivity
from hrnet_deploy.report.sections.provenance import origin
from hrnet_deploy.report.wording import between, signed

AXIS = "AP points against the float model, 95% interval"


def section(values: Mapping[str, Any], where: str) -> Section:
    said = (
        f"{values['card']}, calibrated on {values['calibration']} images and scored on {values['held_out']} others, each graph "
        "against the float model on the same images."
    )
    under = [_methods(values), _mixed(values), _others(values)]
    return Section(f"{values['card']}: what int8 costs ({where})", [Text(said), *origin(values, where)], under, key="int8_accuracy")


def _methods(values: Mapping[str, Any]) -> Section:
    """A line a target and method; the last column is with one calibration input a thousand times too large."""
    rows: list[Line] = []
    groups: dict[str, list[Bar]] = {}
    for name, found in values["int8"].items():
        target, _, method = name.partition(" ")
        low, high = found["interval"]
        wild = values["wild"][name]["drop"]
        rows.append([target, method, signed(found["drop"]), between(signed(low), signed(high)), f"{found['pixels']:.2f}", signed(wild)])
        groups.setdefault(target, []).append(Bar(method, found["drop"], signed(found["drop"]), low, high, "int8"))
    columns = ["target", "method", "AP difference", "95% interval", "px", "one input x1000"]
    chart = Bars("AP difference by target and method", AXIS, [Group(t, b) for t, b in groups.items()], dots=True)
    return Section("By target and method", [Table("AP difference in points", columns, rows, "llrrrr"), chart], key="methods")


def _mixed(values: Mapping[str, Any]) -> Section:
    """The searches of `--max-drop`, and what each block costs alone."""
    rows: list[Line] = []
    charts: list[Block] = []
    for target, found in values["mixed"].items():
        rows.append([target, ", ".join(f"{t['convolutions']}: {signed(t['drop'])}" for t in found["trials"])])
        if found["blocks"]:
            charts.append(sensitivity(found["blocks"], f"Blocks quantized alone ({target})"))
    table = Table("Every step of the search", ["target", "convolutions in int8, and AP difference"], rows, "ll")
    return Section("Leaving blocks in float", [table, *charts], key="mixed")


def _others(values: Mapping[str, Any]) -> Section:
    bars = [
        Bar(name, found["drop"], signed(found["drop"]), found["interval"][0], found["interval"][1], "half")
        for name, found in values.items()
        if isinstance(found, dict) and "drop" in found
    ]
    chart: list[Block] = [Bars("AP difference in half precision", AXIS, [Group("", bars)], dots=True)] if bars else []
    return Section("Half precision", chart, key="half")
