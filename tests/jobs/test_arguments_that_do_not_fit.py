"""What commands say to arguments and files that do not fit each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.calibrate import Statistics
from hrnet_deploy.jobs.bench import BenchRequest
from hrnet_deploy.jobs.quantize import QuantizeRequest
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.workflow.partial import PartialFolder
from hrnet_deploy.workflow.split import Split

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for i in range(2):
            cv2.imwrite(str(tmp_path / folder / f"{i}.png"), np.full((96, 64, 3), 90, np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("bench --batch 2", "--sweep and --layers need a file — name one"),
        ("export CHECKPOINT -o o.onnx --opset 99", "--opset 99 cannot be exported"),
        (
            "export CHECKPOINT -o o.onnx --opset 12 --exporter dynamo",
            "--opset 12 cannot be exported: the dynamo exporter",
        ),
        ("predict MODEL a/0.png b/0.png --boxes boxes.json -o o", "--boxes needs all images in one folder"),
        ("predict MODEL a/0.png a/1.png --boxes boxes.json -o o", "boxes.json has nothing about 1.png"),
        ("predict MODEL clip.mp4 a/0.png -o o", "give a video alone and without boxes"),
        ("quantize MODEL -o o.onnx --images a --calibration-cache other.npz", "holds the statistics of another model"),
    ],
)
def test_arguments_that_do_not_fit_each_other(
    arguments: str,
    sentence: str,
    images: Path,
    tiny_onnx: Path,
    tiny_checkpoint: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(images)
    (images / "boxes.json").write_text(json.dumps([{"image_id": 0, "bbox": [1, 1, 50, 80], "score": 1}]))
    (images / "clip.mp4").write_bytes(b"")
    Statistics.empty("another", ("a",)).save(images / "other.npz")
    for i in range(2, 12):
        shutil.copy(images / "a/0.png", images / f"a/{i}.png")
    known = {"MODEL": tiny_onnx, "CHECKPOINT": tiny_checkpoint}
    code, _, error = run(*(known.get(w, w) for w in arguments.split()))
    assert (code, error.count("error: ")) == (2, 1)
    assert sentence in " ".join(error.split())
    assert not (images / "o").exists() and not (images / "o.onnx").exists()


def test_something_has_to_be_measured() -> None:
    with pytest.raises(BadInput, match="nothing to measure — name an ONNX file, or a card"):
        BenchRequest(models=(), engines=("ort",))


def test_an_empty_pattern_excludes_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--exclude is empty — give a pattern such as 'stage4.2.\*', or leave it out"):
        QuantizeRequest(tmp_path / "a.onnx", tmp_path / "b.onnx", Split(tmp_path), exclude=("",))


def test_two_commands_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with PartialFolder(tmp_path / "out", {"a": 1}):
        with pytest.raises(BadInput, match="another command is writing into .* — wait for it"):
            with PartialFolder(tmp_path / "out", {"a": 1}):
                pass


def test_a_picture_has_a_known_format(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot write .*a.xyz — name a .png or .jpg"):
        write_image(tmp_path / "a.xyz", np.zeros((4, 4, 3), np.uint8))
