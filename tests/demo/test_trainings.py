"""The trainings of the demo models write checkpoints that are recognised, and continue where they stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hrnet_deploy
from hrnet_deploy import architecture as arch
from hrnet_deploy import checkpoints
from hrnet_deploy.cards import card, folder

TRAININGS = {
    "pose": ("pose_hrnet_w16_demo_128x96", ["--people", "6"], "AP"),
    "parsing": ("seg_hrnetv2_w16_demo_256x256", ["--scenes", "4", "--even", "1"], "mIoU"),
    "landmarks": ("face_hrnetv2_w8_demo_96x96", ["--faces", "6"], "NME"),
    "detector": ("det_hrnetv2p_w16_demo_256x256", ["--scenes", "4"], "AP"),
    "classifier": ("cls_hrnet_w16_demo_64x64", ["--things", "6"], "top-1"),
}


BY_HAND = {"landmarks"}  # which has the crops and the loop of pose


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.paper] * (n in BY_HAND)) for n in TRAININGS])
def test_a_resumed_training_writes_the_same_checkpoint(name: str, tmp_path: Path) -> None:
    known, drawn, metric = TRAININGS[name]
    steps = {"steps": 2, "settle": 1, "batch": 2, "images": 2, "save-every": 1}
    common = [f"--{option}={value}" for option, value in steps.items()] + [f"--work={tmp_path / 'work'}"]

    def train(output: Path) -> str:
        script = folder() / "demo" / f"train_{name}.py"
        done = subprocess.run(
            [sys.executable, str(script), *drawn, *common, "-o", str(output)],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(hrnet_deploy.__file__).parents[1],
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    train(tmp_path / "a.safetensors")
    output = train(tmp_path / "b.safetensors")
    assert "continuing from step" in output
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    wanted = card(known).architecture
    assert arch.with_known(checkpoints.load(tmp_path / "a.safetensors").architecture, wanted) == wanted
    figures = json.loads((tmp_path / "a.json").read_text())
    assert figures["seed"] == 1 and 0 <= figures[metric] <= 1
