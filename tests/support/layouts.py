"""State dicts in the layouts of public checkpoints, and how to save them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

State = dict[str, torch.Tensor]


def mmpose_1(state: State) -> State:
    """With the names of mmpose 1.x."""
    return {f"{'head' if k.startswith('final_layer') else 'backbone'}.{k}": v for k, v in state.items()}


def mmpose_0(state: State) -> State:
    """With the names of mmpose 0.x."""
    return {f"{'keypoint_head' if k.startswith('final_layer') else 'backbone'}.{k}": v for k, v in state.items()}


def prefixed(prefix: str) -> Callable[[State], State]:
    """A function that puts a prefix before all names."""
    return lambda state: {prefix + k: v for k, v in state.items()}


def without_counters(state: State) -> State:
    """Without the batch counters, as older versions of PyTorch save it."""
    return {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}


# by name: a function from a state dict to the content of a file, and the layout that is to be recognised
LAYOUTS: dict[str, tuple[Callable[[State], Any], str]] = {
    "plain": (lambda s: s, "official"),
    "state_dict": (lambda s: {"state_dict": s, "epoch": 3}, "official"),
    "model": (lambda s: {"model": s}, "official"),
    "nested": (lambda s: {"state_dict": {"model": s}}, "official"),
    "module": (prefixed("module."), "official, prefix module."),
    "model prefix": (lambda s: {"state_dict": prefixed("model.")(s)}, "official, prefix model."),
    "both prefixes": (prefixed("module.model."), "official, prefix module.model."),
    "compiled": (prefixed("_orig_mod."), "official, prefix _orig_mod."),
    "compiled and parallel": (prefixed("module._orig_mod."), "official, prefix module._orig_mod."),
    "Lightning and compiled": (prefixed("model._orig_mod."), "official, prefix model._orig_mod."),
    "any order": (prefixed("_orig_mod.net.module.pose."), "official, prefix _orig_mod.net.module.pose."),
    "compiled inside": (
        lambda s: {k.replace("backbone.", "backbone._orig_mod."): v for k, v in mmpose_1(s).items()},
        "mmpose 1.x, prefix _orig_mod.",
    ),
    "averaged": (lambda s: {"n_averaged": torch.tensor(7), **prefixed("module.")(s)}, "official, prefix module."),
    "mmpose 1.x": (lambda s: {"meta": {"epoch": 210}, "state_dict": mmpose_1(s)}, "mmpose 1.x"),
    "mmpose 0.x": (lambda s: {"meta": {}, "state_dict": mmpose_0(s), "optimizer": {}}, "mmpose 0.x"),
    "without counters": (without_counters, "official"),
}


def save(content: Any, path: Path, how: str) -> Path:
    """Save as `safetensors`, or with PyTorch in the `zip` or the `legacy` format."""
    if how == "safetensors":
        save_file({k: v.contiguous() for k, v in content.items()}, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    return path
