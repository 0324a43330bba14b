"""Each script in examples/, run as somebody who copied it would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import generate
import numpy as np
import pytest
from support.demo import NAME
from support.interpreter import ROOT

from hrnet_deploy.tasks.images import read_image

EXAMPLES = ROOT / "examples"
FOURCC = cv2.VideoWriter.fourcc(*"mp4v")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `pose.onnx` (the demo model), and `people`: drawn images with annotations."""
    folder = tmp_path_factory.mktemp("examples")
    generate.generate(folder / "people", range(120), seed=7)
    shell(f"hrnet-deploy export {NAME} -o pose.onnx", folder)
    return folder


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command line in a folder, with this environment's programs first on the path."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    python = os.environ.get("PYTHONPATH", str(ROOT))
    environment = {**os.environ, "PATH": paths, "PYTHONPATH": python, **variables}
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=540
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


@pytest.mark.slow
def test_a_video_is_predicted_frame_by_frame(folder: Path) -> None:
    image = read_image(sorted((folder / "people").glob("*.png"))[0])
    height, width = image.shape[:2]
    writer = cv2.VideoWriter(str(folder / "clip.mp4"), FOURCC, 10.0, (width, height))
    for _ in range(4):
        writer.write(np.ascontiguousarray(image[..., ::-1]))
    writer.release()
    done = shell(f"python {EXAMPLES}/predict_video.py pose.onnx clip.mp4 -o drawn.mp4", folder)
    assert done.stdout == "4 frames in drawn.mp4\n"
    drawn = cv2.VideoCapture(str(folder / "drawn.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    assert drawn.get(cv2.CAP_PROP_FRAME_WIDTH) in (width, width - 1)  # the codec takes even sizes


@pytest.mark.slow
def test_the_gate_makes_a_baseline_and_passes_against_it(folder: Path) -> None:
    gate = f"{EXAMPLES}/gate.sh {NAME} people baseline"
    first = shell(f"{gate} first", folder, MAX_DROP="2")
    assert "baseline/check.json is new: commit it" in first.stdout
    second = shell(f"{gate} second", folder, MAX_DROP="2", FAIL_ON="ap=0.3,pixels=0.5")
    assert "commit it" not in second.stdout
    for name in ("model.onnx", "int8.onnx", "check.json", "int8.json", "parity.xml", "page.html"):
        assert (folder / "second" / name).stat().st_size


@pytest.mark.slow
def test_quantizing_in_python_gives_a_file_and_its_result(folder: Path) -> None:
    done = shell(f"python {EXAMPLES}/quantize.py pose.onnx people -o int8.onnx --target ort --max-drop 2", folder)
    assert done.stdout.splitlines()[-1].startswith("ort: passed, AP ")
    assert (folder / "int8-ort.onnx").exists()
    read = shell(f"python {EXAMPLES}/read_results.py int8-ort.json", folder)
    assert "int8-ort.json: quantize, measured on" in read.stdout
    assert "convolutions in int8\n  checked on" in read.stdout


def test_results_are_read_and_printed(tmp_path: Path) -> None:
    bench = ROOT / "benchmarks/results/pose_hrnet_w32_256x192.json"
    lines = shell(f"python {EXAMPLES}/read_results.py {bench}", tmp_path).stdout.splitlines()
    assert lines[0].startswith(f"{bench}: bench, measured on AMD EPYC")
    assert any(line.strip().startswith("ort fp32 end_to_end: ") and "times faster" in line for line in lines)
