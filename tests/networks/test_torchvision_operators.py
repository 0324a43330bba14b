"""torchvision's NMS and RoIAlign inside our operators, by a stand-in with torchvision's signatures."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from support.tiny import DETECTOR, FRAME, TINY
from torch import Tensor

from hrnet_deploy.bench.measured_model import MeasuredModel, MeasureSpec
from hrnet_deploy.cards import card
from hrnet_deploy.engines.base import Source
from hrnet_deploy.networks import operators, torchvision_operators
from hrnet_deploy.networks.boxes import overlap
from hrnet_deploy.networks.operators import nms, pool_regions
from hrnet_deploy.tasks.base import InputFormat

STRIDES = [4, 8]


def stand_in(calls: list[str]) -> types.ModuleType:
    """`torchvision.ops` computed by our own functions."""
    module: Any = types.ModuleType("torchvision.ops")

    def their_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
        calls.append("nms")
        order = scores.argsort(descending=True, stable=True)
        return order[operators._greedy(overlap(boxes[order], boxes[order]) > iou_threshold)]

    def their_roi_align(
        input: Tensor,
        boxes: Tensor,
        output_size: int,
        spatial_scale: float = 1.0,
        sampling_ratio: int = -1,
        aligned: bool = False,
    ) -> Tensor:
        calls.append("roi_align")
        assert input.ndim == 4 and boxes.shape[1] == 5 and not boxes[:, 0].any()
        count = max(sampling_ratio, 0)
        return operators.roi_align(input[0], boxes[:, 1:], spatial_scale, output_size, count, aligned)

    module.nms, module.roi_align = their_nms, their_roi_align
    return module


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is called of an installed and working torchvision."""
    made: list[str] = []
    package: Any = types.ModuleType("torchvision")
    package.ops, package.__version__ = stand_in(made), "0.99"
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.ops", package.ops)
    torchvision_operators.working.cache_clear()
    yield made
    torchvision_operators.working.cache_clear()


def boxes_of(count: int, groups: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    corner = 60 * torch.rand(groups, count, 2)
    return torch.cat([corner, corner + 2 + 40 * torch.rand(groups, count, 2)], -1), torch.rand(groups, count)


def test_results_are_equal_with_and_without_torchvision(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, scores = boxes_of(200, 3)
    levels = [torch.rand(1, 8, 32, 32), torch.rand(1, 8, 16, 16)]
    level = torch.arange(200) % 3 - 1  # a third is pooled from no level
    theirs = nms(boxes, scores, 0.4, 0.2), pool_regions(levels, boxes[0], level, STRIDES, 7)
    assert calls.count("nms") == 1 + 3 and calls.count("roi_align") == 1 + 2  # the first call of each is the trial
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    torchvision_operators.working.cache_clear()
    ours = nms(boxes, scores, 0.4, 0.2), pool_regions(levels, boxes[0], level, STRIDES, 7)
    assert torch.equal(theirs[0], ours[0]) and 0 < ours[0].sum() < ours[0].numel()
    assert torch.equal(theirs[1], ours[1]) and ours[1].any()


def test_the_remark_says_whose_operators_they_are(calls: list[str]) -> None:
    assert torchvision_operators.remark("cpu") == "NMS and RoIAlign are torchvision's 0.99"


@pytest.mark.parametrize("fault", ["not installed", "does not import", "no kernel", "wrong"])
def test_torchvision_that_does_not_work_is_left_alone(
    fault: str, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_kernel(*_: object, **__: object) -> Tensor:
        raise NotImplementedError("Could not run 'torchvision::nms' with arguments from the 'CPU' backend")

    ops: Any = sys.modules["torchvision.ops"]
    if fault == "not installed":
        monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    elif fault == "does not import":
        original = importlib.import_module

        def broken(name: str, *rest: Any) -> Any:
            if name.startswith("torchvision"):
                raise RuntimeError("operator torchvision::nms does not exist")
            return original(name, *rest)

        monkeypatch.setattr(torchvision_operators.importlib, "import_module", broken)
    elif fault == "no kernel":
        ops.nms = no_kernel
    else:
        ops.nms = lambda boxes, scores, iou_threshold: torch.arange(len(scores))
    assert torchvision_operators.working("cpu") is None
    assert torchvision_operators.remark("cpu") == "NMS and RoIAlign are this package's own, in plain PyTorch"
    boxes, scores = boxes_of(20, 1)
    assert nms(boxes, scores, 0.5, 0.0).any()


def opened(name: str, architecture: Any, size: tuple[int, int]) -> MeasuredModel:
    chosen = dataclasses.replace(card(name), architecture=architecture).resized(*size)
    return MeasuredModel(MeasureSpec("torch", Source(chosen, weights="random"), InputFormat(), 1, 1))


def test_the_row_of_a_detector_in_pytorch_says_whose_operators_it_runs(calls: list[str]) -> None:
    found = opened("faster_rcnn_hrnetv2p_w32_800x1344", DETECTOR, FRAME).describe().remark
    assert found == "NMS and RoIAlign are torchvision's 0.99" and len(calls) > 2
    assert opened("pose_hrnet_w32_256x192", TINY, (64, 64)).describe().remark == ""
