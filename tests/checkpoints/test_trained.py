"""What the file of a checkpoint tells of its decoding: the configuration inside it, and its name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from support.tiny import SIZE, TINY

from hrnet_deploy import architecture as arch
from hrnet_deploy import checkpoints
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.pose.labels import Keypoints

Run = Callable[..., tuple[int, str, str]]

NEW = """
codec = dict(type='{codec}', input_size=(192, 256), heatmap_size=(48, 64), sigma=2{more})
model = dict(test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap={shift}))
val_pipeline = [dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=(192, 256){affine})]
dataset_type = 'CocoDataset'
"""
OLD = """
target_type = 'GaussianHeatmap'
model = dict(type='TopDown', test_cfg=dict(flip_test=True, post_process='{rule}', shift_heatmap={shift},
    target_type=target_type, modulate_kernel={kernel}{more}))
"""
PLAIN = NEW.format(codec="MSRAHeatmap", more="", shift=True, affine="")
DARK = NEW.format(codec="MSRAHeatmap", more=", unbiased=True", shift=True, affine="")
UDP = NEW.format(codec="UDPHeatmap", more="", shift=False, affine=", use_udp=True")
OLD_PLAIN = OLD.format(rule="default", shift=True, kernel=11, more="")
OLD_DARK = OLD.format(rule="unbiased", shift=True, kernel=17, more="")
OLD_UDP = OLD.format(rule="default", shift=False, kernel=11, more=", use_udp=True")


@pytest.fixture
def saved(tiny_network: torch.nn.Module, tmp_path: Path) -> Callable[..., Path]:
    def save(name: str, **meta: object) -> Path:
        content = {"state_dict": tiny_network.state_dict(), "meta": {"epoch": 210, **meta}}
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


@pytest.mark.parametrize(
    ("name", "meta", "expected"),
    [
        ("best.pth", {"cfg": PLAIN}, ("quarter_offset", "standard", True, 11)),
        ("best.pth", {"cfg": DARK}, ("dark", "standard", True, 11)),
        ("best.pth", {"cfg": UDP}, ("udp", "udp", False, 11)),
        ("best.pth", {"config": OLD_PLAIN}, ("quarter_offset", "standard", True, 11)),
        ("best.pth", {"config": OLD_DARK}, ("dark", "standard", True, 17)),
        ("best.pth", {"config": OLD_UDP}, ("udp", "udp", False, 11)),
        ("best.pth", {"cfg": {"codec": {"type": "UDPHeatmap"}}}, ("udp", "udp", False, 11)),
        ("hrnet_w32_coco_256x192_dark-07f147eb_20200812.pth", {}, ("dark", "standard", True, 11)),
        ("td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192-73ede547.pth", {}, ("udp", "udp", False, 11)),
        ("renamed_udp.pth", {"cfg": DARK}, ("dark", "standard", True, 11)),
    ],
)
def test_the_file_tells_its_decoding(
    name: str, meta: dict, expected: tuple[str, str, bool, int], saved: Callable[..., Path]
) -> None:
    found = checkpoints.load(saved(name, **meta))
    labels = found.card.labels_as(Keypoints)
    assert (labels.decode, labels.crop_geometry, labels.shifts_mirrored, labels.blur) == expected
    source = "the configuration in the file" if meta else "the name of the file"
    assert f"decoded by {expected[0]} in {expected[1]} crops" in found.summary and source in found.summary
    assert "--decode" not in found.assumption


def test_what_the_file_does_not_tell_is_assumed_and_said(saved: Callable[..., Path]) -> None:
    for meta in ({}, {"cfg": "codec = dict(type='MegviiHeatmap')"}):
        found = checkpoints.load(saved("best.pth", **meta))
        assert found.card.labels_as(Keypoints).decode == "quarter_offset"
        assert "assumed to be decoded by quarter_offset in standard crops" in found.assumption
        assert "--decode dark or --decode udp" in found.assumption


def test_offset_regression_is_refused_by_name(saved: Callable[..., Path], tmp_path: Path) -> None:
    for name, cfg in (("hrnet_w32_udp_regress-be2dbba4.pth", ""), ("a.pth", "heatmap_type='combined'")):
        with pytest.raises(BadInput, match="UDP with offset regression"):
            checkpoints.load(saved(name, cfg=cfg))
    regressed = build_network(dataclasses.replace(TINY, keypoints=51))
    random_weights(regressed, seed=1)
    torch.save(regressed.state_dict(), tmp_path / "a.pth")
    assert "or of 17 keypoints one heatmap and two maps" in checkpoints.load(tmp_path / "a.pth").assumption


def test_an_option_goes_before_the_file_and_the_file_before_a_card(
    saved: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    file, out = saved("best.pth", cfg=UDP), tmp_path / "a.onnx"
    (tmp_path / "own.yaml").write_text(_card())
    size = ("--size", "x".join(map(str, SIZE)), "--no-simplify", "--exporter", "torchscript")
    code, _, err = run("export", file, "-o", out, "--card", tmp_path / "own.yaml", *size)
    assert code == 2 and "says dark — choose with --decode udp or --decode dark" in err
    options = ExportOptions(size=SIZE, exporter="torchscript", simplify=False, decode="dark", geometry="standard")
    assert export(ExportRequest(str(file), out, options)).passed
    labels = read_description(out).card.labels_as(Keypoints)
    assert (labels.decode, labels.crop_geometry, labels.shifts_mirrored) == ("dark", "standard", True)


def _card() -> str:

    values = {
        "architecture": arch.to_dict(TINY),
        "input": {"height": 256, "width": 192},
        "dataset": "mine",
        "keypoints": {"names": [f"k{i}" for i in range(17)], "decode": "dark"},
    }
    return yaml.safe_dump(json.loads(json.dumps(values)))
