"""Detectors are recognised by their tensors, and those of old versions of mmdetection are converted."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import goldens
from support.tiny import DETECTOR

from hrnet_deploy import architecture as arch
from hrnet_deploy import checkpoints
from hrnet_deploy.cards import ModelCard, card, card_for, cards
from hrnet_deploy.checkpoints.layouts import to_official
from hrnet_deploy.checkpoints.recognise import recognise
from hrnet_deploy.errors import BadInput
from hrnet_deploy.networks import build_network

State = dict[str, torch.Tensor]
HEAD = "roi_head.bbox_head."


def shapes(network: arch.Architecture) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {k: tuple(v.shape) for k, v in build_network(network).state_dict().items()}


def old(state: State) -> State:
    """The same detector as mmdetection 0.x saves it: the background is class 0 and has deltas of its own."""
    named = {re.sub(r"^neck\.fpn_convs\.(\d)\.conv", r"neck.fpn_conv.\1", k): v for k, v in state.items()}
    named = {
        k.replace("reduction_conv.conv", "reduction_conv.0").replace(HEAD, "bbox_head."): v for k, v in named.items()
    }
    for leaf in ("weight", "bias"):
        named[f"bbox_head.fc_cls.{leaf}"] = named[f"bbox_head.fc_cls.{leaf}"].roll(1, 0)
        deltas = named[f"bbox_head.fc_reg.{leaf}"]
        named[f"bbox_head.fc_reg.{leaf}"] = torch.cat([torch.ones_like(deltas[:4]), deltas])
    return named


@pytest.mark.parametrize(
    ("wrap", "layout"),
    [
        (lambda s: s, "mmdetection"),
        (lambda s: {"meta": {"epoch": 12}, "state_dict": s, "optimizer": {}}, "mmdetection"),
        (lambda s: {"state_dict": {**s, "data_preprocessor.mean": torch.zeros(3)}}, "mmdetection"),
        (lambda s: {f"module.{k}": v for k, v in s.items()}, "mmdetection, prefix module."),
        (old, "mmdetection before 2.0"),
    ],
)
def test_every_layout_gives_the_same_detector(
    wrap: Callable[[State], State], layout: str, tiny_detector: Path, tmp_path: Path
) -> None:
    state = torch.load(tiny_detector, weights_only=True)
    torch.save(wrap(state), tmp_path / "a.pth")
    found = checkpoints.load(tmp_path / "a.pth")
    assert found.layout == layout and found.architecture == DETECTOR
    assert all(torch.equal(v, state[k]) for k, v in found.network().state_dict().items())
    assert ("one pixel wider" in found.assumption) == (wrap is old)


DETECTORS = [c for c in cards().values() if c.task == "detection"]


@pytest.mark.parametrize("of", DETECTORS, ids=[c.name for c in DETECTORS])
def test_detectors_are_distinguished_by_their_tensors(of: ModelCard) -> None:
    assert arch.with_known(recognise(shapes(of.architecture)), of.architecture) == of.architecture


def test_the_key_list_of_an_old_detector_is_recognised() -> None:
    listed = {k: tuple(s) for k, s, _ in goldens.meta("mmdet_faster_rcnn_hrnetv2p_w32")["state_dict"]}
    _, names = to_official(listed)
    assert recognise(names) == card("faster_rcnn_hrnetv2p_w32_800x1344").architecture


def test_a_detector_with_other_classes_gets_the_input_size_of_its_body() -> None:
    shape = arch.FasterRCNN(arch.Body.of_width(18), classes=7)
    found = card_for(shape)
    assert found.input.size == "800x1344" and len(found.label_names) == 7
    assert card("faster_rcnn_hrnetv2p_w18_800x1344").labels == card("faster_rcnn_resnet101_fpn_800x1344").labels


def test_properties_not_in_the_weights_are_taken_from_a_card(tiny_detector: Path) -> None:
    found = checkpoints.load(tiny_detector)
    wanted = dataclasses.replace(DETECTOR, anchor_scale=4.0, proposals=arch.Proposals(kept=50))
    assert found.architecture != wanted and found.with_known(wanted).architecture == wanted
    assert found.with_known(dataclasses.replace(wanted, hidden=64)).architecture == DETECTOR
    assert found.with_known(wanted).network().shape == wanted


@pytest.mark.parametrize(
    ("name", "shape", "sentence"),
    [
        ("roi_head.mask_head.conv_logits.weight", (80, 256, 1, 1), "is Mask R-CNN"),
        ("roi_head.bbox_head.0.fc_cls.weight", (81, 1024), "is Cascade R-CNN"),
        ("rpn_head.rpn_cls.weight", (15, 16, 1, 1), "15 anchors per position"),
        (f"{HEAD}fc_cls.weight", (7, 32, 1, 1), "expected a fully connected layer's two dimensions"),
    ],
)
def test_other_detectors_are_refused_by_name(name: str, shape: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        recognise({**shapes(DETECTOR), name: shape})


def test_a_missing_tensor_of_a_detector_is_named(tiny_detector: Path, tmp_path: Path) -> None:
    state = torch.load(tiny_detector, weights_only=True)
    del state["rpn_head.rpn_reg.bias"]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(BadInput, match=r"1 missing \(rpn_head.rpn_reg.bias\)"):
        checkpoints.load(tmp_path / "a.pth")
