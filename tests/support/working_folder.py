"""Folders in which the commands of the documents run as they are written: with the names that the documents use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import generate
import torch

from hrnet_deploy import checkpoints
from hrnet_deploy.tasks.images import read_image, write_image
from support.documents import Block
from support.interpreter import ROOT

DEMO = {  # the demo model that stands in for a file of the README
    "pose_hrnet_w32.pth": "pose_hrnet_w16_demo_128x96",
    "weights.pth": "pose_hrnet_w16_demo_128x96",
    "hrnet_w48_cityscapes.pth": "seg_hrnetv2_w16_demo_256x256",
    "faster_rcnn_hrnetv2p_w32.pth": "det_hrnetv2p_w16_demo_256x256",
}
SECONDS = 1500  # of one block, on a busy machine
ALLOWED = {"may exit 1": (0, 1)}


def tutorial_folder(folder: Path, images: int = 120) -> Path:
    """A folder as the tutorials begin with: a checkout, and the folder `people` of drawn images."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(ROOT / "models")
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    generate.generate(folder / "people", range(images), seed=7)
    return folder


def readme_folder(folder: Path, images: int) -> Path:
    """A folder with the checkpoints, images and annotations that the README names; demo models stand in for them."""
    drawn = folder / "drawn_people"
    generate.generate(drawn, range(images), seed=7)
    for name, card in DEMO.items():
        torch.save({"state_dict": dict(checkpoints.load(card).state)}, folder / name)
    for name, count in {"val2017": images, "val": 40, "photos": 6, "streets": 6}.items():
        (folder / name).mkdir()
        for path in sorted(drawn.glob("*.png"))[:count]:
            shutil.copy(path, folder / name)
    (folder / "val_labels").symlink_to(drawn / "labels")
    for name in ("person_keypoints_val2017.json", "instances_val2017.json", "people.json"):
        shutil.copy(drawn / "annotations.json", folder / name)
    boxes = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.9}
        for a in json.loads((drawn / "annotations.json").read_text())["annotations"]
    ]
    (folder / "person_detections.json").write_text(json.dumps(boxes))
    first = sorted(drawn.glob("*.png"))[0]
    write_image(folder / "photos/people.jpg", read_image(first))
    return folder


def run_block(block: Block, folder: Path) -> None:
    """Run one block in a folder, and fail with what it printed where its exit code is not allowed."""
    if block.language == "python":
        command = [sys.executable, "-c", block.text]
    else:
        command = ["bash", "-euxo", "pipefail", "-c", block.script]
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PATH": paths, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=SECONDS)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # the shell's own commands too
        raise
    allowed = ALLOWED.get(block.marker, (0,))
    assert process.returncode in allowed, f"{block.name} ended with {process.returncode}:\n{printed[-6000:]}"
