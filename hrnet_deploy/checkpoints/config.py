"""The configuration of a training, which OpenMMLab's frameworks save beside the weights. It is read as text and never
executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PLACES = ("cfg", "config", "dataset_meta")  # of mmengine, of mmcv 1.x, and what mmpose 1.x says of the data set
MOST = 2_000_000  # characters; a configuration has some thousands


def training_config(content: Any) -> str:
    """The configuration in the content of a checkpoint: what is under `meta`. Empty where there is none."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return ""
    parts: list[Any] = [meta.get(place) for place in PLACES]
    if isinstance(meta.get("CLASSES"), (list, tuple)):  # of mmcv 1.x
        parts.append({"classes": meta["CLASSES"]})
    try:
        return "\n".join(p if isinstance(p, str) else repr(p) for p in parts if isinstance(p, (str, Mapping)))[:MOST]
    except RecursionError:  # nested deeper than any configuration
        return ""


def config_beside(path: Path) -> str:
    """The config.json beside a checkpoint, as timm writes it; empty where there is none."""
    place = path.with_name("config.json")
    try:
        if place.stat().st_size > MOST:
            return ""
        text = place.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    return text if '"pretrained_cfg"' in text else ""


def settings(config: str, name: str) -> list[str]:
    """Every value that a configuration gives to a setting, as text, whether written `name='value'` or as a
    dictionary."""
    return [m[1] for m in re.finditer(rf"""(?<![\w.]){re.escape(name)}['"]?\s*[:=]\s*['"]?([\w.+-]+)""", config)]
