"""What the file of a checkpoint tells of its classes and its input: mmpretrain saves the configuration of the training
in it, and timm writes a config.json beside it. The weights show neither."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from hrnet_deploy.checkpoints.config import settings
from hrnet_deploy.registry import FromFile, Labels
from hrnet_deploy.tasks.classification.labels import ImageClasses

KERNELS = ("bilinear", "bicubic")
LIST = re.compile(r"""['"]?classes['"]?\s*[:=]\s*(\[[^\[\]]*\]|\([^()]*\))""")
OWN = "the names in the file"  # what the data set is called whose classes a file names


def from_file(architecture: object, dataset: str, labels: Labels, config: str, file_name: str) -> FromFile:
    """See `registry.Trained`. The configuration goes before the name of the file."""
    given, names = _of_timm(config)
    if not given:
        given, names = _of_mmpretrain(config), names or _names(config)
    if not given and {"aug", "in1k"} <= set(re.findall("[a-z0-9]+", file_name.lower())):
        given = {"crop_ratio": 0.95}  # timm's ms_aug_in1k
    told = [f"{name.replace('_', ' ')} {value}" for name, value in given.items()]
    remark = f"prepared with {', '.join(told)}, as the file says" if told else ""
    if len(names) == len(labels.names) and names != labels.names and len(set(names)) == len(names):
        known = isinstance(labels, ImageClasses) and labels.folders == names
        if not known:
            return FromFile(OWN, ImageClasses(names), remark, input=given)
    return FromFile(dataset, labels, remark, input=given)


def _of_timm(config: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the input, and the names of the classes, in the config.json of timm."""
    try:
        content = json.loads(config)
    except (ValueError, RecursionError):
        return {}, ()
    found = content.get("pretrained_cfg") if isinstance(content, Mapping) else None
    if not isinstance(found, Mapping):
        return {}, ()
    given: dict[str, Any] = {}
    if found.get("interpolation") in KERNELS:
        given["interpolation"] = found["interpolation"]
    if _is_number(found.get("crop_pct")) and 0.05 <= found["crop_pct"] <= 1:
        given["crop_ratio"] = float(found["crop_pct"])
    for name in ("mean", "std"):
        values = found.get(name)
        if isinstance(values, list) and len(values) == 3 and all(_is_number(v) and 0 < v < 1 for v in values):
            given[name] = tuple(map(float, values))
    named = content.get("label_names") or found.get("label_names") or ()
    return given, tuple(map(str, named)) if isinstance(named, list) else ()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_mmpretrain(config: str) -> dict[str, Any]:
    """The fields of the input in a configuration of mmpretrain: the resize and the centre crop of its last pipeline."""
    crops = re.findall(r"CenterCrop['\"]?\s*,\s*['\"]?crop_size['\"]?\s*[:=]\s*(\d+)", config)
    edges = re.findall(r"ResizeEdge['\"]?\s*,\s*['\"]?scale['\"]?\s*[:=]\s*(\d+)", config)
    edges = edges or re.findall(r"Resize['\"]?\s*,\s*['\"]?size['\"]?\s*[:=]\s*\((\d+)\s*,\s*-1\)", config)
    given: dict[str, Any] = {}
    if crops and edges and 0 < int(crops[-1]) <= int(edges[-1]):
        given["crop_ratio"] = int(crops[-1]) / int(edges[-1])
        kernels = [k for k in settings(config, "interpolation") if k in KERNELS]
        given["interpolation"] = kernels[-1] if kernels else KERNELS[0]
    return given


def _names(config: str) -> tuple[str, ...]:
    """The names of the classes in a configuration, as mmpretrain writes them."""
    for found in LIST.finditer(config):
        try:
            values = ast.literal_eval(found[1])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(values, list | tuple) and values and all(isinstance(v, str) for v in values):
            return tuple(values)
    return ()
