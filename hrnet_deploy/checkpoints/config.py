"""The configuration of a training, which OpenMMLab's frameworks save beside the weights. It is read as text and never
executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PLACES = ("cfg", "config", "dataset_meta")  # of mmengine, of mmcv 1.x, and what mmpose 1.x says of the data set
MOST = 2_000_000  # characters; a configuration has some thousands


def training_config(content: Any) -> str:
    """The configuration in the content of a checkpoint: what is under `meta`. Empty where there is none."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return ""
    parts = (meta.get(place) for place in PLACES)
    try:
        return "\n".join(p if isinstance(p, str) else repr(p) for p in parts if isinstance(p, (str, Mapping)))[:MOST]
    except RecursionError:  # nested deeper than any configuration
        return ""


def settings(config: str, name: str) -> list[str]:
    """Every value that a configuration gives to a setting, as text, whether written `name='value'` or as a
    dictionary."""
    return [m[1] for m in re.finditer(rf"""(?<![\w.]){re.escape(name)}['"]?\s*[:=]\s*['"]?([\w.+-]+)""", config)]
