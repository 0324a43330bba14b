"""The layers into which TensorRT compiled a graph: their precision, and how long each takes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hrnet_deploy.results.bench import LayerTime

KINDS = ("int8", "fp16", "bf16", "fp32")
WORDS = {"int8": ("int8",), "fp16": ("half", "fp16"), "bf16": ("bf16", "bfloat16"), "fp32": ("float", "fp32")}


@dataclass(frozen=True)
class Layer:
    """One layer of a plan. `precision` is that of its first output, or empty if that is neither float nor int8."""

    name: str
    type: str = ""
    precision: str = ""


def layers_of(information: str) -> list[Layer]:
    """The layers in the engine inspector's JSON. For a plan that was built without details there are only names."""
    found = []
    for layer in json.loads(information).get("Layers", []):
        if isinstance(layer, str):
            found.append(Layer(layer))
            continue
        outputs = layer.get("Outputs") or [{}]
        found.append(Layer(layer.get("Name", ""), layer.get("LayerType", ""), _precision(outputs[0])))
    return found


def _precision(tensor: Mapping[str, Any]) -> str:
    text = " ".join(str(tensor.get(key, "")) for key in ("Datatype", "Format/Datatype", "Format")).lower()
    return next((kind for kind in KINDS if any(word in text for word in WORDS[kind])), "")


def counts(layers: list[Layer]) -> dict[str, int]:
    """How many layers compute in each precision, and how many only change the layout of a tensor."""
    kinds: Counter[str] = Counter(
        "reformat" if "reformat" in layer.type.lower() else layer.precision for layer in layers
    )
    return {kind: kinds[kind] for kind in (*KINDS, "reformat") if kinds[kind]}


def timed(layers: list[Layer], times: Mapping[str, float]) -> list[LayerTime]:
    """Layers with their milliseconds in a profiled run (`times`, by name), the slowest first."""
    known = {layer.name: layer for layer in layers}
    rows = [(known.get(name, Layer(name)), ms) for name, ms in times.items()]
    return [LayerTime(layer.name, ms, layer.type, layer.precision) for layer, ms in sorted(rows, key=lambda r: -r[1])]
