"""What TensorRT made of a graph: layers by precision, and how long each takes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

KINDS = ("int8", "fp16", "bf16", "fp32")
WORDS = {"int8": ("int8",), "fp16": ("half", "fp16"), "bf16": ("bf16", "bfloat16"), "fp32": ("float", "fp32")}


def layers_of(information: str) -> list[dict[str, Any]]:
    """Name, type and precision of each layer, of the engine inspector's JSON. Precision is that of a layer's output, or
    empty where it is of no number; a plan built without details gives names alone."""
    found = []
    for layer in json.loads(information).get("Layers", []):
        if isinstance(layer, str):
            found.append({"name": layer, "type": "", "precision": ""})
            continue
        outputs = layer.get("Outputs") or [{}]
        found.append(
            {"name": layer.get("Name", ""), "type": layer.get("LayerType", ""), "precision": _precision(outputs[0])}
        )
    return found


def _precision(tensor: Mapping[str, Any]) -> str:
    said = " ".join(str(tensor.get(key, "")) for key in ("Datatype", "Format/Datatype", "Format")).lower()
    return next((kind for kind in KINDS if any(word in said for word in WORDS[kind])), "")


def counts(layers: list[dict[str, Any]]) -> dict[str, int]:
    """How many layers compute in each precision, and how many only change the layout of a tensor."""
    kinds: Counter[str] = Counter(
        "reformat" if "reformat" in layer["type"].lower() else layer["precision"] for layer in layers
    )
    return {kind: kinds[kind] for kind in (*KINDS, "reformat") if kinds[kind]}


def timed(layers: list[dict[str, Any]], times: Mapping[str, float]) -> list[dict[str, Any]]:
    """Layers with the milliseconds a profiled run gave each, the slowest first."""
    known = {layer["name"]: layer for layer in layers}
    rows = [{**known.get(name, {"name": name, "type": "", "precision": ""}), "ms": ms} for name, ms in times.items()]
    return sorted(rows, key=lambda r: -r["ms"])
