"""What a classifier's file tells of its classes and of how images are prepared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.tiny import TINY_CLASSIFIER

from hrnet_deploy import checkpoints
from hrnet_deploy.networks import build_network

NAMES = ("ball", "bicycle", "bottle", "chair", "crate", "cup")
OLD = "test_pipeline = [dict(type='Resize', size=(256, -1)), dict(type='CenterCrop', crop_size=224)]"
NEW = """test_pipeline = [
    dict(edge='short', interpolation='bicubic', type='ResizeEdge', scale=236),
    dict(type='CenterCrop', crop_size=224)]"""


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return build_network(TINY_CLASSIFIER).state_dict()


def saved(content: object, path: Path) -> checkpoints.Checkpoint:
    torch.save(content, path)
    return checkpoints.load(path)


def test_a_plain_file_has_numbered_classes_and_the_usual_input(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    found = saved(state, tmp_path / "a.pth")
    assert found.architecture == TINY_CLASSIFIER
    assert found.card.label_names == tuple(f"class_{i}" for i in range(6)) and found.card.dataset == "unknown"
    assert (found.card.input.size, found.card.input.fit, found.card.input.crop_ratio) == ("224x224", "centre", 0.875)


@pytest.mark.parametrize(
    ("meta", "ratio", "kernel"),
    [
        ({"config": OLD, "CLASSES": list(NAMES)}, 0.875, "bilinear"),
        ({"cfg": NEW, "dataset_meta": {"classes": NAMES}}, 224 / 236, "bicubic"),
    ],
)
def test_mmpretrain_saves_the_classes_and_the_pipeline(
    meta: dict[str, object], ratio: float, kernel: str, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    found = saved({"meta": meta, "state_dict": state}, tmp_path / "a.pth")
    assert found.card.label_names == NAMES
    assert found.card.input.crop_ratio == pytest.approx(ratio)
    assert found.card.input.interpolation == kernel
    assert "prepared with crop ratio" in found.summary


def test_timm_writes_a_config_beside_the_weights(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    told = {"crop_pct": 0.95, "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    config = {"architecture": "hrnet_w18", "pretrained_cfg": told, "label_names": list(NAMES)}
    (tmp_path / "config.json").write_text(json.dumps(config))
    spec = saved(state, tmp_path / "pytorch_model.bin.pth").card.input
    assert (spec.crop_ratio, spec.interpolation, spec.mean, spec.std) == (0.95, "bicubic", (0.5,) * 3, (0.5,) * 3)
    for damaged in ('{"pretrained_cfg": 3}', '"pretrained_cfg"', '{"pretrained_cfg": {"crop_pct": "wide", "mean": 2}}'):
        (tmp_path / "config.json").write_text(damaged)
        assert checkpoints.load(tmp_path / "pytorch_model.bin.pth").card.input.crop_ratio == 0.875


def test_the_name_of_a_file_of_timm_tells_the_crop(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    found = saved(state, tmp_path / "hrnet_w18.ms_aug_in1k.pth")
    assert found.card.input.crop_ratio == 0.95 and "prepared with crop ratio 0.95" in found.summary
