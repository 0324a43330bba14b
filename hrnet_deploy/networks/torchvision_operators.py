"""torchvision's NMS and RoIAlign, where they are installed and work.

They are compiled, and faster than this package's own. Whether they work is found out by calling them: torchvision
can be imported where its operators do not fit the installed PyTorch, or have no code for the device.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, Protocol

import torch
from torch import Tensor

OWN = "NMS and RoIAlign are this package's own, in plain PyTorch"


class Operators(Protocol):
    """What is used of `torchvision.ops`. Its functions have the signatures of torchvision 0.15 and later."""

    def nms(self, boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
        """boxes (N, 4), scores (N,) -> indices of the boxes that stay, by falling score."""

    def roi_align(
        self,
        input: Tensor,
        boxes: Tensor,
        output_size: int,
        spatial_scale: float = 1.0,
        sampling_ratio: int = -1,
        aligned: bool = False,
    ) -> Tensor:
        """input (N, C, H, W), boxes (R, 5) with the index of the image first -> (R, C, output_size, output_size)."""


@functools.cache
def working(device: str) -> Operators | None:
    """torchvision's operators where both run on a device ("cpu" or "cuda") and give what they should, else None."""
    try:
        operators: Any = importlib.import_module("torchvision.ops")
        boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.9], [5.0, 5.0, 8.0, 8.0]], device=device)
        stays = operators.nms(boxes, torch.tensor([0.5, 0.9, 0.7], device=device), 0.5)
        regions = torch.cat([boxes.new_zeros(3, 1), boxes], 1)
        pooled = operators.roi_align(boxes.new_ones(1, 2, 10, 10), regions, 2, 1.0, sampling_ratio=-1, aligned=True)
        works = stays.tolist() == [1, 2] and torch.allclose(pooled, torch.ones_like(pooled))
    except Exception:  # a missing module, a missing kernel and a library that does not fit have no common type
        return None
    return operators if works else None


def remark(device: str) -> str:
    """Whose NMS and RoIAlign a detector runs in PyTorch on a device, for whoever reads how fast it is."""
    if working(device) is None:
        return OWN
    version = getattr(importlib.import_module("torchvision"), "__version__", "")
    return f"NMS and RoIAlign are torchvision's {version}".rstrip()
