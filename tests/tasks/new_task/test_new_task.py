"""A task and a network of its own go through every command, and no file outside this folder knows of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hrnet_deploy import checkpoints
from hrnet_deploy.cards import ModelCard, card_for
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.networks import build_network
from hrnet_deploy.tasks.base import adoption_of, training_of
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.tasks.registry import task_entry

from .architecture import BrightnessNet
from .network import solve

Run = Callable[..., tuple[int, str, str]]
NAMES = ("dark", "bright")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = build_network(BrightnessNet(8))
    solve(network)  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("brightness") / "brightness.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images, every other one bright, and their annotations."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    entries, annotations = [], []
    for number in range(12):
        bright = number % 2
        pixels = rng.normal(180 if bright else 70, 20, (40, 60, 3)).clip(0, 255).astype(np.uint8)
        write_image(folder / f"{number}.png", pixels)
        entries.append({"id": number, "file_name": f"{number}.png"})
        annotations.append({"image_id": number, "category_id": bright + 1, "bbox": [0, 0, 60, 40]})
    content = {"images": entries, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hrnet_deploy.cli import app

    path = tmp_path_factory.mktemp("onnx") / "brightness.onnx"
    app(["export", str(checkpoint), "-o", str(path)], standalone_mode=False)
    return path


def test_its_checkpoint_is_recognised_and_its_file_says_what_it_is(checkpoint: Path, exported: Path) -> None:
    found = checkpoints.load(checkpoint)
    assert found.architecture == BrightnessNet(8) and found.card.name == "brightness"
    description = read_description(exported)
    assert description.card == found.card
    assert (description.card.task, description.card.label_names) == ("brightness", NAMES)
    assert ModelCard.from_dict(json.loads(json.dumps(found.card.to_dict()))) == found.card


def test_a_network_of_other_labels_gets_numbered_ones() -> None:
    made = card_for(BrightnessNet(8, classes=3))
    assert made.label_names == ("class_0", "class_1", "class_2") and made.input.size == "32x48"


def test_check_and_eval_and_predict(exported: Path, checkpoint: Path, images: Path, tmp_path: Path, run: Run) -> None:
    code, out, err = run("check", exported, "--against", checkpoint, "--images", images, "-o", tmp_path / "check.json")
    assert code == 0, out + err
    assert "0% of images changed their class" in out

    code, out, err = run("eval", exported, "--data", images, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["metric"], found["figures"]) == ("accuracy", {"accuracy": 1.0})
    assert found["annotations"]["file"] == str(images / "annotations.json")

    code, _, err = run("predict", exported, images, "-o", tmp_path / "found")
    assert code == 0, err
    records = json.loads((tmp_path / "found" / "results.json").read_text())
    assert [r["category_id"] for r in records] == [1 + int(r["image_id"]) % 2 for r in records] and len(records) == 12
    assert len(list((tmp_path / "found").glob("*.png"))) == 12


def test_quantize_bench_and_report(exported: Path, checkpoint: Path, images: Path, tmp_path: Path, run: Run) -> None:
    """`bench` measures in processes of its own, which have to know the task and the family too."""
    integers = tmp_path / "int8.onnx"
    code, out, err = run("quantize", exported, "-o", integers, "--images", images, "--no-speed", "--json")
    assert code == 0, out + err
    (tmp_path / "quantize.json").write_text(out)

    measured = tmp_path / "bench.json"
    engines = ("--engine", "torch", "--engine", "ort", "--checkpoint", checkpoint)
    code, out, err = run("bench", exported, integers, *engines, "--seconds", 0.1, "--rounds", 6, "-o", measured)
    assert code == 0, out + err
    assert "pipeline" in json.loads(measured.read_text())["rows"][0]["regions"]

    code, _, err = run("report", measured, tmp_path / "quantize.json", "-o", tmp_path / "page.html")
    assert code == 0, err
    assert "brightness" in (tmp_path / "page.html").read_text()


def test_its_decoding_can_be_embedded(checkpoint: Path, images: Path, tmp_path: Path, run: Run) -> None:
    code, out, err = run("export", checkpoint, "-o", tmp_path / "embedded.onnx", "--embed", "--images", images)
    assert code == 0, out + err
    code, out, err = run("eval", tmp_path / "embedded.onnx", "--data", images, "--json")
    assert code == 0 and json.loads(out)["figures"] == {"accuracy": 1.0}, err
    code, out, err = run("export", checkpoint, "-o", tmp_path / "flipped.onnx", "--embed", "--flip-test")
    assert code == 2 and "--flip-test is the flip test of pose, segmentation and landmarks" in err


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (("--flip-test",), "--flip-test is the flip test of pose, segmentation and landmarks"),
        (("--scales", "0.5,1"), "--scales is the multi-scale test of segmentation"),
        (("--upright", "other.onnx"), "--upright is the second, upright input of detection"),
    ],
)
def test_options_of_other_tasks_are_refused(
    exported: Path, images: Path, run: Run, option: tuple[str, ...], sentence: str
) -> None:
    code, out, err = run("eval", exported, "--data", images, *option)
    assert (code, out) == (2, "") and sentence in err and "is for brightness — leave it out" in err


def test_a_score_that_is_not_a_number_is_refused(exported: Path, images: Path, tmp_path: Path, run: Run) -> None:
    """The annotations are of these images, and there is nothing in them to score."""
    content = json.loads((images / "annotations.json").read_text())
    (tmp_path / "empty.json").write_text(json.dumps({**content, "annotations": []}))
    code, out, err = run("eval", exported, "--data", images, "--annotations", tmp_path / "empty.json", "--json")
    assert (code, out) == (2, "") and "accuracy of brightness is not a number" in err


def test_a_task_that_nobody_registered_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no task 'depth' — this version knows pose, segmentation, detection"):
        task_entry("depth")
    with pytest.raises(BadInput, match="unknown network family 'depth_net' — known: faster_rcnn"):
        ModelCard.from_dict({"name": "a", "architecture": {"family": "depth_net"}})


def test_labels_of_another_task_are_refused() -> None:
    from hrnet_deploy.cards import card
    from hrnet_deploy.tasks.base import task_of

    pose = card("pose_hrnet_w32_256x192")
    with pytest.raises(BadInput, match="has labels of another task than pose"):
        task_of(dataclasses.replace(pose, labels=card_for(BrightnessNet(8)).labels))


def test_what_the_task_does_not_define_is_refused() -> None:
    made = card_for(BrightnessNet(8))
    with pytest.raises(BadInput, match="adopt is not available for brightness — export the checkpoint with"):
        adoption_of(made)
    with pytest.raises(BadInput, match="the task brightness has no training step to measure — leave --train out"):
        training_of(made)
