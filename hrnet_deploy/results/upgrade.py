"""Converts result files of schema 1 to schema 2, so that old files can still be read."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]  # an object of a file, not validated yet

KNOWN = ("provider", "threads", "mode", "precision", "note", "gpu", "memory")
RENAMED_INFO = {"requests": "in_flight", "inferences_a_call": "inferences_per_call", "layer_counts": "layer_counts"}
PARTS = {"choice": "validation", "verdict": "test"}


def upgraded(values: Json) -> Json:
    """The values in the newest schema. Values that do not fit schema 1 are not changed; validation then reports
    them."""
    if values.get("schema") != 1:
        return values
    kind = str(values.get("kind"))
    return UPGRADES.get(kind, lambda v: v)(dict(values))


def engine_info(facts: Any) -> Any:
    """The engine's information, which schema 1 kept as free `facts`."""
    if not isinstance(facts, dict):
        return facts
    found: Json = {k: facts[k] for k in KNOWN if k in facts}
    found |= {new: facts[old] for old, new in RENAMED_INFO.items() if old in facts}
    if "device" in facts:
        found.setdefault("provider", str(facts["device"]))
    timings = {k: v for k, v in facts.items() if k.endswith("_ms")}
    rest = set(facts) - set(KNOWN) - set(RENAMED_INFO) - set(timings) - {"device", "layers", "name"}
    found["timings"] = timings
    found["options"] = {k: str(facts[k]) for k in facts if k in rest}
    return found


def _bench(values: Json) -> Json:
    rows = values.get("rows")
    if isinstance(rows, list):
        values["rows"] = [_row(dict(r)) if isinstance(r, dict) else r for r in rows]
    return values


def _row(row: Json) -> Json:
    facts = row.pop("facts", {})
    row["info"] = engine_info(facts)
    if isinstance(facts, dict) and facts.get("layers"):
        row["layers"] = facts["layers"]
    return row


def _nested_bench(values: Json) -> Json:
    if isinstance(values.get("result"), dict):
        values["result"] = _bench(dict(values["result"]))
    return values


def _cost_table(values: Json) -> Json:
    values["kind"] = "cost_table"
    columns = values.get("columns")
    if isinstance(columns, list):
        values["columns"] = [_nested_bench(dict(c)) if isinstance(c, dict) else c for c in columns]
    return values


def _check(values: Json) -> Json:
    values["engine_info"] = engine_info(values.pop("engine_facts", None))
    values["first_difference"] = values.pop("first", "")
    return values


def _eval(values: Json) -> Json:
    values["engine_info"] = engine_info(values.pop("engine_facts", None))
    return values


def _export(values: Json) -> Json:
    engine = values.get("engine")
    if isinstance(engine, dict):
        values |= {"engine": engine.get("name"), "engine_info": engine_info(engine)}
    return values


def _quantize(values: Json) -> Json:
    values["all_zero"] = values.pop("silent", [])
    values.setdefault("convolutions", 0)
    trials = values.get("trials")
    if isinstance(trials, list):
        values["trials"] = [_trial(t) for t in trials]
    values["speed"] = _speed(values.get("speed"))
    return values


def _trial(trial: Any) -> Any:
    return {**trial, "on": PARTS.get(str(trial.get("on")), "test")} if isinstance(trial, dict) else trial


def _speed(speed: Any) -> Any:
    return {**speed, "over_int8": speed.get("of_integers")} if isinstance(speed, dict) else speed


def _sensitivity(values: Json) -> Json:
    return {**values, "speed": _speed(values.get("speed"))}


def _tune(values: Json) -> Json:
    candidates = values.get("candidates")
    if isinstance(candidates, list):
        values["candidates"] = [
            {**c, "rejected": c.get("out", ""), "test_figures": c.get("verdict")} if isinstance(c, dict) else c
            for c in candidates
        ]
    return _nested_bench(values)


def _run(values: Json) -> Json:
    values.setdefault("folder", "")
    stages = values.get("stages")
    if isinstance(stages, list):
        values["stages"] = [_stage(s) if isinstance(s, dict) else s for s in stages]
    return _nested_bench(values)


def _stage(stage: Json) -> Json:
    """Schema 1 kept the whole report of a stage, of which only the figures are shown."""
    report = stage.get("report")
    if not isinstance(report, dict):
        return stage
    trials = report.get("trials")
    figures = report.get("task") or report.get("figures")
    if figures is None and isinstance(trials, list) and trials:
        figures = trials[-1].get("figures")
    return {**stage, "report": "", "figures": figures}


def _build(values: Json) -> Json:
    """Schema 1 kept the whole manifest, whose description has the card as `graph.metadata` writes it."""
    manifest = values.get("manifest")
    if not isinstance(manifest, dict):
        return values
    description = manifest.get("description")
    description = description if isinstance(description, dict) else {}
    card = description.get("card")
    info = engine_info(values.get("facts"))
    if isinstance(info, dict):
        info["layer_counts"] = manifest.get("layers", {})
    return {
        **values,
        "card": card.get("name", "") if isinstance(card, dict) else "",
        "precision": description.get("precision", ""),
        "onnx": manifest.get("onnx"),
        "builder": f"TensorRT {manifest.get('tensorrt')}",
        "identity": manifest.get("identity"),
        "profiles": manifest.get("profiles"),
        "build_seconds": manifest.get("build_seconds"),
        "engine_info": info,
        "warning": manifest.get("warning", ""),
    }


UPGRADES = {
    "build": _build,
    "suite": _cost_table,
    "bench": _bench,
    "check": _check,
    "eval": _eval,
    "export": _export,
    "quantize": _quantize,
    "sensitivity": _sensitivity,
    "tune": _tune,
    "run": _run,
}
