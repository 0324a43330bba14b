"""Verdicts: results of `check`, `export`, `half` and `quantize`. What moved, by how much, and whether it is too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hrnet_deploy.report.charts import Bar, Bars, Group
from hrnet_deploy.report.document import Block, Cell, Line, Section, Table, Text
from hrnet_deploy.report.sections.provenance import origin
from hrnet_deploy.report.wording import PARTS, between, ms, said, signed
from hrnet_deploy.results.base import EngineInfo
from hrnet_deploy.results.codec import convert
from hrnet_deploy.results.upgrade import engine_info

FEW, MOST = 8, 16  # of a long list; of the bars of a chart


def checked(values: Mapping[str, Any], where: str) -> Section:
    """A report of `check`."""
    info = values["engine_info"] if "engine_info" in values else engine_info(values["engine_facts"])
    engine = convert(info, EngineInfo, where).summary
    flip = "with" if values["flip_test"] else "without"
    found: list[Block] = [
        verdict(values["passed"], f"{values['model']} ({values['precision']}) against {values['against']}"),
        Text(f"Engine {values['engine']} ({engine}); images: {values['images']}; {flip} flip test.", "note"),
    ]
    if values.get("warning"):
        found.append(Text(f"Warning: {values['warning']}", "warning"))
    if values.get("first"):
        found.append(Text(f"First tensor that differs: {values['first']}", "bad"))
    found += task(values["task"], values["tensors"]) + limits(values["checks"]) + origin(values, where)
    return Section(f"{values['card']}: parity of the {values['precision']} file in {values['engine']} ({where})", found)


def exported(values: Mapping[str, Any], where: str) -> Section:
    """A report of `export`."""
    engine = values["engine"]
    found: list[Block] = [
        verdict(values["passed"], values["summary"]),
        Text(f"{values['path']}, input {values['input_size']}, verified in {engine['name']} against PyTorch.", "note"),
    ]
    if values.get("assumption"):
        found.append(Text(values["assumption"], "warning"))
    steps: list[Line] = []
    for s in values["history"]:
        how = "; ".join(f"{k} {said(v)}" for k, v in s.items() if k != "step")
        steps.append([str(s.get("step", "")), how])
    found.append(Table("What was done", ["step", "how"], steps, "ll"))
    found += task(values["task"], values["tensors"]) + limits(values["checks"]) + origin(values, where)
    return Section(f"{values['card']}: export ({where})", found)


def halved(values: Mapping[str, Any], where: str) -> Section:
    """A report of `half`."""
    found: list[Block] = [verdict(values["passed"], f"{values['card']} in float16")]
    if values["kept"]:
        found.append(Text(f"{len(values['kept'])} operators stay in float32."))
    if values["large"]:
        rows: list[Line] = [[str(name), f"{peak:.0f}"] for name, peak in values["large"][:FEW]]
        found.append(Table("Tensors too large for float16", ["tensor", "largest magnitude"], rows))
    found += task(values["figures"]) + limits(values["checks"]) + origin(values, where)
    return Section(f"{values['card']}: float16 ({where})", found)


def quantized(values: Mapping[str, Any], where: str) -> Section:
    """A report of `quantize`: the last trial, the way to it, and what each block costs alone."""
    last = values["trials"][-1]
    found: list[Block] = [
        verdict(values["passed"], f"{values['card']} in int8 for {values['target']}"),
        Text(
            f"{last['convolutions']}{_of(values)} convolutions, {values['tensors']} tensors, ranges by {values['method']} "
            f"from {values['images']} images ({values['samples']} inputs).",
            "note",
        ),
    ]
    found += [Text(f"Warning: {w}", "warning") for w in values["warnings"]]
    found += [
        Text(f"Warning: {image} reaches {peak:.0f} times the usual peak of {tensor}: left out of its range", "warning")
        for image, (tensor, peak) in list(values["outliers"].items())[:FEW]
    ]
    if values["all_zero"]:
        found.append(
            Text(f"Silent on every image, so their scale is a floor: {', '.join(values['all_zero'][:FEW])}", "warning")
        )
    if len(values["trials"]) > 1:
        found += _search(values["trials"])
    found += task(last["figures"]) + limits(last["checks"])
    found += speed(values.get("speed"))
    if values["blocks"]:
        found.append(sensitivity(values["blocks"], f"Blocks quantized alone ({values['target']})"))
    return Section(f"{values['card']}: int8 for {values['target']} ({where})", [*found, *origin(values, where)])


def verdict(passed: bool, what: str) -> Text:
    return Text(f"Passed: {what}", "good") if passed else Text(f"FAILED: {what}", "bad")


def task(figures: Mapping[str, Any], more: Sequence[Mapping[str, Any]] = ()) -> list[Block]:
    """What moved on images: outputs, the task's own distance, and the score with the interval of its difference."""
    found: list[Block] = [Text(f"{figures['images']} images: {figures['distance']['sentence']}.")]
    if figures["difference"] is None:
        found.append(
            Text(
                f"No {figures['metric'] or 'score'}: {figures['unscored'] or 'the images have no annotations'}.", "note"
            )
        )
    else:
        low, high = figures["interval"]
        columns = ["of", *figures["reference"]]
        scores: list[Line] = [[n, *(f"{100 * v:.2f}" for v in figures[n].values())] for n in ("reference", "engine")]
        found.append(Table(f"Score on {figures['images']} images, in points", columns, scores))
        interval = between(signed(low), signed(high))
        found.append(
            Text(f"{figures['metric']} difference {signed(figures['difference'])} points, 95% interval {interval}.")
        )
    if tensors := [*more, *figures["tensors"]]:
        rows_ = [_tensor(t) for t in tensors]
        found.append(
            Table(
                "Outputs against the reference's",
                ["output", "on", "max", "relative", "cosine", "SQNR dB"],
                rows_,
                "llrrrr",
            )
        )
    return found


def _of(values: Mapping[str, Any]) -> str:
    return f" of {values['convolutions']}" if "convolutions" in values else ""


def _tensor(figures: Mapping[str, Any]) -> Line:
    sqnr = "equal" if figures["sqnr_db"] is None else f"{figures['sqnr_db']:.1f}"
    maximum = Cell(f"{figures['maximum']:.2e}") if figures["finite"] else Cell("not finite", tone="bad")
    return [
        figures["output"],
        figures["inputs"],
        maximum,
        f"{figures['relative']:.2e}",
        f"{figures['cosine']:.8f}",
        sqnr,
    ]


def limits(checks: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Every figure that had a limit."""
    rows: list[Line] = []
    for c in checks:
        state = Cell("passed", tone="good") if c["passed"] else Cell("FAILED", tone="bad")
        value = "not a number" if c["value"] is None else f"{c['value']:.4g}"
        rows.append([c["name"], value, f"{c['limit']:.4g}", state])
    return [Table("Figures and their limits", ["figure", "value", "limit", "verdict"], rows, "lrrl")] if rows else []


def sensitive(values: Mapping[str, Any], where: str) -> Section:
    """A table of `quantize --sensitivity`."""
    written = "written" if values["written"] else "not written: it lost too much"
    how = Text(f"Ranges by {values['method']}; the int8 file was {written}.", "note")
    chart = sensitivity(values["blocks"], f"Blocks quantized alone ({values['target']})")
    title = f"{values['card']}: what each block costs in int8 for {values['target']} ({where})"
    return Section(title, [how, chart, *speed(values.get("speed")), *origin(values, where)])


def sensitivity(blocks: Sequence[Mapping[str, Any]], title: str) -> Bars:
    """Signal to quantization noise by block, the most costly first. A block that changes nothing has no bar."""
    known = sorted((b for b in blocks if b["sqnr_db"] is not None), key=lambda b: b["sqnr_db"])
    bars = [_block(b["pattern"], b["sqnr_db"], bool(b.get("in_float"))) for b in known]
    if len(bars) > MOST:
        title = f"{title}: the {MOST} that cost most, of {len(bars)}"
    return Bars(title, "SQNR of the output in dB; less is worse", [Group("", bars[:MOST])])


def _block(pattern: str, sqnr_db: float, in_float: bool) -> Bar:
    return Bar(
        f"{pattern}, left in float" if in_float else pattern,
        sqnr_db,
        f"{sqnr_db:.1f} dB",
        tone="fp32" if in_float else "int8",
    )


def speed(values: Mapping[str, Any] | None) -> list[Block]:
    """What was made beside the float graph and the one all in int8, where that was measured."""
    if not values:
        return []
    if values["missing"]:
        return [Text(f"Speed not measured: {values['missing']}.", "note")]
    tones = {"float": "fp32", "all int8": "int8"}
    bars = [
        Bar(name, value, f"{ms(value)} ms", tone=tones.get(name, "plain"))
        for name, value in values["milliseconds"].items()
    ]
    return [Bars(f"Speed in {values['engine']}", "ms a batch; less is better", [Group("", bars)])]


def _search(trials: Sequence[Mapping[str, Any]]) -> list[Block]:
    rows: list[Line] = []
    bars: list[Bar] = []
    for t in trials:
        figures = t["figures"]
        change = Cell("–", tone="note")
        if figures["difference"] is not None:
            low, high = figures["interval"]
            change = Cell(signed(figures["difference"]), between(signed(low), signed(high)))
            name = f"{t['convolutions']} convolutions in int8{', unseen images' if t.get('on') == 'verdict' else ''}"
            bars.append(Bar(name, figures["difference"], signed(figures["difference"]), low, high, "int8"))
        images = Cell(str(figures["images"]), PARTS.get(t.get("on", ""), ""))
        rows.append([str(t["convolutions"]), Cell(", ".join(t["excluded"]) or "nothing"), images, change])
    columns = [
        "convolutions in int8",
        "left in float",
        "images",
        f"{trials[0]['figures']['metric'] or 'score'} difference",
    ]
    made: list[Block] = [Table("Every step of the search", columns, rows, "llrr")]
    if bars:
        made.append(
            Bars(
                "Difference of the score, trial by trial",
                "points against float, 95% interval",
                [Group("", bars)],
                dots=True,
            )
        )
    return made
