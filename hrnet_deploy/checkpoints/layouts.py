"""The names a checkpoint gives its tensors, brought to those of the official repositories.

Sources: HRNet-Human-Pose-Estimation (official), mmpose 0.x TopdownHeatmapSimpleHead and 1.x HeatmapHead, which
put the body under `backbone.` and keep its names otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from hrnet_deploy.checkpoints.detectors import is_detector, to_current

T = TypeVar("T")

WRAPPER_PREFIXES = ("module.", "model.")  # DataParallel, Lightning and EMA wrappers
HEADS = {"head.": "mmpose 1.x", "keypoint_head.": "mmpose 0.x"}
NOT_WEIGHTS = ("data_preprocessor.",)  # mean and std as mmengine keeps them; the card has its own


def to_official(tensors: Mapping[str, T]) -> tuple[str, dict[str, T]]:
    """The name of the layout, and the same tensors under their official names."""
    names, prefix = dict(tensors), ""
    while True:
        found = [p for p in WRAPPER_PREFIXES if names and all(n.startswith(p) for n in names)]
        if not found:
            break
        prefix += found[0]
        names = {n.removeprefix(found[0]): t for n, t in names.items()}
    layout = "official"
    if is_detector(names):
        layout, names = to_current({n: t for n, t in names.items() if not n.startswith(NOT_WEIGHTS)})
    elif any(n.startswith("backbone.") for n in names):
        layout = next((v for head, v in HEADS.items() if any(n.startswith(head) for n in names)), "mmpose")
        names = {_without_part(n): t for n, t in names.items() if not n.startswith(NOT_WEIGHTS)}
    return f"{layout}, prefix {prefix}" if prefix else layout, names


def _without_part(name: str) -> str:
    for part in ("backbone.", *HEADS):
        if name.startswith(part):
            return name.removeprefix(part)
    return name
