"""Result files of schema 1 as schema 2 has them, so that figures people have kept still read."""

from __future__ import annotations

from typing import Any

KNOWN = ("provider", "threads", "mode", "precision", "note", "gpu", "memory")
RENAMED_INFO = {"requests": "in_flight", "inferences_a_call": "inferences_per_call", "layer_counts": "layer_counts"}
PARTS = {"choice": "validation", "verdict": "test"}


def upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """The values as the newest schema has them. What is not as schema 1 had it stays, for validation to name."""
    if values.get("schema") != 1:
        return values
    kind = str(values.get("kind"))
    return UPGRADES.get(kind, lambda v: v)(dict(values))


def engine_info(facts: Any) -> Any:
    """What schema 1 kept as free `facts` of an engine."""
    if not isinstance(facts, dict):
        return facts
    found: dict[str, Any] = {k: facts[k] for k in KNOWN if k in facts}
    found |= {new: facts[old] for old, new in RENAMED_INFO.items() if old in facts}
    if "device" in facts:
        found.setdefault("provider", str(facts["device"]))
    timings = {k: v for k, v in facts.items() if k.endswith("_ms")}
    rest = set(facts) - set(KNOWN) - set(RENAMED_INFO) - set(timings) - {"device", "layers", "name"}
    found["timings"] = timings
    found["options"] = {k: str(facts[k]) for k in facts if k in rest}
    return found


def _bench(values: dict[str, Any]) -> dict[str, Any]:
    rows = values.get("rows")
    if isinstance(rows, list):
        values["rows"] = [_row(dict(r)) if isinstance(r, dict) else r for r in rows]
    return values


def _row(row: dict[str, Any]) -> dict[str, Any]:
    facts = row.pop("facts", {})
    row["info"] = engine_info(facts)
    if isinstance(facts, dict) and facts.get("layers"):
        row["layers"] = facts["layers"]
    return row


def _nested_bench(values: dict[str, Any]) -> dict[str, Any]:
    if isinstance(values.get("result"), dict):
        values["result"] = _bench(dict(values["result"]))
    return values


def _cost_table(values: dict[str, Any]) -> dict[str, Any]:
    values["kind"] = "cost_table"
    columns = values.get("columns")
    if isinstance(columns, list):
        values["columns"] = [_nested_bench(dict(c)) if isinstance(c, dict) else c for c in columns]
    return values


def _check(values: dict[str, Any]) -> dict[str, Any]:
    values["engine_info"] = engine_info(values.pop("engine_facts", None))
    values["first_difference"] = values.pop("first", "")
    return values


def _eval(values: dict[str, Any]) -> dict[str, Any]:
    values["engine_info"] = engine_info(values.pop("engine_facts", None))
    return values


def _export(values: dict[str, Any]) -> dict[str, Any]:
    engine = values.get("engine")
    if isinstance(engine, dict):
        values |= {"engine": engine.get("name"), "engine_info": engine_info(engine)}
    return values


def _quantize(values: dict[str, Any]) -> dict[str, Any]:
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


def _sensitivity(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "speed": _speed(values.get("speed"))}


def _tune(values: dict[str, Any]) -> dict[str, Any]:
    candidates = values.get("candidates")
    if isinstance(candidates, list):
        values["candidates"] = [
            {**c, "rejected": c.get("out", ""), "test_figures": c.get("verdict")} if isinstance(c, dict) else c
            for c in candidates
        ]
    return _nested_bench(values)


def _run(values: dict[str, Any]) -> dict[str, Any]:
    values.setdefault("folder", "")
    stages = values.get("stages")
    if isinstance(stages, list):
        values["stages"] = [_stage(s) if isinstance(s, dict) else s for s in stages]
    return _nested_bench(values)


def _stage(stage: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 kept the whole report of a stage; what is shown of it is its figures."""
    report = stage.get("report")
    if not isinstance(report, dict):
        return stage
    trials = report.get("trials")
    figures = report.get("task") or report.get("figures")
    if figures is None and isinstance(trials, list) and trials:
        figures = trials[-1].get("figures")
    return {**stage, "report": "", "figures": figures}


def _build(values: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 kept the whole manifest; its description holds the card as `graph.metadata` writes it."""
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
