"""One image among others that cannot be read: the others' results are there, and it is named; a score leaves it out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hrnet_deploy.cards import folder
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.readable import readable
from hrnet_deploy.workflow.split import Split

Run = Callable[..., tuple[int, str, str]]
IMAGES = folder() / "demo" / "images"
BROKEN = "000003.jpg"
REASON = "is cut off: the file ends before the image does — copy or download it again"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """The sample images, the first of which is cut off."""
    made = tmp_path / "images"
    shutil.copytree(IMAGES, made)
    (made / BROKEN).write_bytes((made / BROKEN).read_bytes()[:3000])
    return made


def test_predict_writes_the_others(images: Path, tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    code, said, err = run("predict", tiny_onnx, images, "-o", tmp_path / "out", "--report", tmp_path / "report.json")
    assert (code, err) == (0, "")
    assert "of 5 images" in said
    assert "1 image was left out of everything above: the files cannot be read" in said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["skipped"] == [{"file": str(images / BROKEN), "reason": REASON}]
    assert (report["images"], len(report["pictures"])) == (5, 5)
    names = {r["file_name"] for r in json.loads((tmp_path / "out" / "results.json").read_text())}
    assert names == {p.name for p in images.glob("*.jpg")} - {BROKEN}


@pytest.mark.parametrize("command", ["predict", "eval", "check", "half"])
def test_strict_refuses_it(command: str, images: Path, tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    where = {
        "predict": [images, "-o", tmp_path / "out"],
        "eval": ["--data", images],
        "check": ["--against", tiny_onnx, "--images", images],
        "half": ["-o", tmp_path / "half.onnx", "--images", images],
    }[command]
    code, said, err = run(command, tiny_onnx, *where, "--strict")
    assert (code, said) == (2, "")
    assert err == f"error: {images / BROKEN} {REASON}\n"


def test_a_score_is_that_of_the_images_that_are_left(images: Path, tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    code, said, err = run("eval", tiny_onnx, "--data", images, "--json")
    assert (code, err) == (0, "")
    found = json.loads(said)
    assert found["skipped"] == [{"file": str(images / BROKEN), "reason": REASON}]
    (images / BROKEN).unlink()
    alone = json.loads(run("eval", tiny_onnx, "--data", images, "--json")[1])
    assert (found["images"], found["figures"]) == (5, alone["figures"])


@pytest.mark.parametrize("command", ["check", "half"])
def test_comparisons_name_it(command: str, images: Path, tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    where = ["--against", tiny_onnx] if command == "check" else ["-o", tmp_path / "half.onnx"]
    code, said, err = run(command, tiny_onnx, *where, "--images", images, "--json")
    assert err == ""
    assert code == 0, said
    assert [Path(s["file"]).name for s in json.loads(said)["skipped"]] == [BROKEN]


def test_the_other_images_stay_in_their_parts(images: Path) -> None:
    parts = Split(images, calibration_images=3).parts(search=True)
    whole = Split(IMAGES, calibration_images=3).parts(search=True)
    assert [s.file for s in parts.skipped] == [str(images / BROKEN)]
    for some, all_of_them in zip(parts, whole, strict=True):
        assert [i.path.name for i in some.items] == [i.path.name for i in all_of_them.items if i.path.name != BROKEN]
    with pytest.raises(BadInput, match="is cut off"):
        Split(images, calibration_images=3, strict=True).parts(search=True)


def test_nothing_is_left_if_no_image_can_be_read(images: Path, tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    for path in images.glob("*.jpg"):
        path.write_bytes(path.read_bytes()[:2000])
    for command in (["eval", tiny_onnx, "--data", images], ["predict", tiny_onnx, images, "-o", tmp_path / "out"]):
        code, said, err = run(*command)
        assert (code, said) == (2, "")
        assert f"none of the images can be read: {images / BROKEN} is cut off" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images"]


def test_a_damaged_label_map_leaves_its_image_out(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    (tmp_path / "labels").mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((8, 8, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "labels" / f"{name}.png"), np.eye(8, dtype=np.uint8))
    path = tmp_path / "labels" / "b.png"
    path.write_bytes(path.read_bytes()[:-20])
    found = readable(load_dataset(tmp_path))
    assert [i.path.name for i in found.items] == ["a.png"]
    assert [(s.file, s.reason) for s in found.skipped] == [(str(tmp_path / "b.png"), f"{path} {REASON}")]
