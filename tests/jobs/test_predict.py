"""Images, folders and videos to results and pictures; nothing half done."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from support.tiny import SIZE, TINY

import hrnet_deploy
from hrnet_deploy import architecture as arch
from hrnet_deploy.cards import card_for, folder
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import describe, load_model, read_description, save_model
from hrnet_deploy.jobs import predict as job
from hrnet_deploy.tasks.images import Video, read_image
from hrnet_deploy.workflow.open_model import ModelUse

Run = Callable[..., tuple[int, str, str]]
IMAGES = folder() / "demo" / "images"


def test_a_folder_with_annotations_gives_a_result_a_person(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    code, text, err = run("predict", tiny_onnx, IMAGES, "-o", out)
    assert (code, err) == (0, "")
    assert "19 results of 6 images" in text
    records = json.loads((out / "results.json").read_text())
    assert len(records) == 19
    assert set(records[0]) == {"file_name", "image_id", "category_id", "keypoints", "score"}
    assert len(records[0]["keypoints"]) == 51
    assert sorted(p.name for p in out.glob("*.png")) == sorted(p.with_suffix(".png").name for p in IMAGES.glob("*.jpg"))
    assert read_image(out / "000003.png").shape == read_image(IMAGES / "000003.jpg").shape


def test_single_images_are_one_box_each_unless_boxes_are_given(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    files = [IMAGES / "000003.jpg", IMAGES / "000011.jpg"]
    assert "2 results of 2 images" in run("predict", tiny_onnx, *files, "-o", tmp_path / "a")[1]
    boxes = ("--boxes", IMAGES / "annotations.json")
    assert (
        "6 results of 2 images" in run("predict", tiny_onnx, *files, *boxes, "--no-pictures", "-o", tmp_path / "b")[1]
    )
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["results.json"]


def test_boxes_of_another_category_are_said(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    """A pose network of people looks at workers where these are the only ones with keypoints, and says so."""
    content = json.loads((IMAGES / "annotations.json").read_text())
    for category in content["categories"]:
        category["name"] = {"person": "worker"}.get(category["name"], category["name"])
    (tmp_path / "workers.json").write_text(json.dumps(content))
    boxes = ("--boxes", tmp_path / "workers.json", "--no-pictures")
    code, text, _ = run("predict", tiny_onnx, IMAGES, *boxes, "-o", tmp_path / "a", "--json")
    assert code == 0
    found = json.loads(text)
    left_out = sum(a["category_id"] != 1 for a in content["annotations"])
    assert (found["results"], found["boxes"]) == (
        19,
        {
            "boxes_of": "category 1 (worker), the only one with keypoints",
            "boxes_left_out": f"{left_out} of {len(content['annotations'])}",
        },
    )
    _, text, _ = run("predict", tiny_onnx, IMAGES, *boxes, "-o", tmp_path / "b")
    text = " ".join(text.split())
    assert "The results are of the boxes of category 1 (worker), the only one with keypoints." in text
    assert f"{left_out} of {len(content['annotations'])} boxes are of other categories and were left out." in text


def test_embedded_and_plain_files_predict_the_same(exported: Callable[..., Path], tmp_path: Path, run: Run) -> None:
    run("predict", exported(), IMAGES, "--flip-test", "-o", tmp_path / "a")
    run("predict", exported(embed=True, batch=2, flip_test=True), IMAGES, "-o", tmp_path / "b")
    a, b = (np.array([r["keypoints"] for r in json.loads((tmp_path / d / "results.json").read_text())]) for d in "ab")
    assert np.abs(a - b).max() < 0.01


def test_a_video_gives_a_video(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 12.0, (64, 96))
    for i in range(5):
        writer.write(np.full((96, 64, 3), 40 * i, np.uint8))
    writer.release()
    code, text, _ = run("predict", tiny_onnx, clip, "-o", tmp_path / "out")
    assert code == 0
    assert "5 results of 5 images" in text
    made = Video(tmp_path / "out" / "clip.mp4")
    assert (made.count, made.frames_per_second) == (5, 12.0)
    assert next(iter(made)).shape == (96, 64, 3)
    assert [r["image_id"] for r in json.loads((tmp_path / "out" / "results.json").read_text())] == [0, 1, 2, 3, 4]


def test_an_interrupted_run_leaves_nothing(tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "write_image", stop)
    with pytest.raises(KeyboardInterrupt):
        job.predict(job.PredictRequest(ModelUse(tiny_onnx), [IMAGES], tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_kept_unless_forced(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    code, _, err = run("predict", tiny_onnx, IMAGES / "000003.jpg", "-o", out)
    assert code == 2
    assert "exists already — pass --force" in err
    assert run("predict", tiny_onnx, IMAGES / "000003.jpg", "-o", out, "--force")[0] == 0
    assert sorted(p.name for p in out.iterdir()) == ["000003.png", "mine.txt", "results.json"]


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        (["none.jpg"], "does not exist"),
        (["text.jpg"], "is not an image"),
        (["text.mp4"], "is not a video"),
        (["empty"], "there are no images in"),
    ],
)
def test_bad_inputs_leave_nothing(inputs: list[str], sentence: str, tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    for name in ("text.jpg", "text.mp4"):
        (tmp_path / name).write_text("text")
    (tmp_path / "empty").mkdir()
    code, _, err = run("predict", tiny_onnx, *[tmp_path / i for i in inputs], "-o", tmp_path / "out")
    assert code == 2
    assert sentence in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "text.jpg", "text.mp4"]


def test_outputs_that_cannot_be_written_are_refused_first(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_text("mine")
    for output, sentence in (("file", "is a file — name a folder"), ("none/out", "does not exist — create it first")):
        code, _, err = run("predict", tiny_onnx, IMAGES, "-o", tmp_path / output)
        assert (code, sentence in " ".join(err.split())) == (2, True), err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_video_without_a_frame_is_said_and_leaves_nothing(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 12.0, (64, 96))
    for i in range(3):
        writer.write(np.full((96, 64, 3), 40 * i, np.uint8))
    writer.release()
    data = bytearray(clip.read_bytes())
    at = data.index(b"mdat") + 4
    size = int.from_bytes(data[at - 8 : at - 4])
    data[at : at + size - 8] = bytes(size - 8)  # the compressed frames
    clip.write_bytes(data)
    code, _, err = run("predict", tiny_onnx, clip, "-o", tmp_path / "out")
    assert code == 2
    assert "clip.mp4 has no frame that this machine can decode — convert it to MP4 (H.264)" in " ".join(err.split())
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_an_embedded_file_has_its_decoding_inside(exported: Callable[..., Path], tmp_path: Path, run: Run) -> None:
    code, _, err = run("predict", exported(embed=True), IMAGES, "-o", tmp_path / "out", "--decode", "dark")
    assert code == 2
    assert "decodes inside the graph — export it again with --decode and --geometry" in " ".join(err.split())


def test_a_network_without_results_of_its_own_does_not_predict(tiny_onnx: Path, tmp_path: Path) -> None:
    model, description = load_model(tiny_onnx), read_description(tiny_onnx)
    other = card_for(arch.HigherHRNet(TINY.body, keypoints=17, tags=17)).resized(*SIZE)
    nodes = [("stage0", 34, 4), ("stage1", 17, 2)]
    del model.graph.output[:]
    for name, channels, step in nodes:
        shape = [1, channels, SIZE[0] // step, SIZE[1] // step]
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(shape, np.float32), f"{name} value"))
        model.graph.node.append(onnx.helper.make_node("Identity", [f"{name} value"], [name]))
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    describe(model, dataclasses.replace(description, card=other))
    save_model(model, tmp_path / "a.onnx")
    with pytest.raises(BadInput, match="cannot predict: the keypoints of HigherHRNet are of all people in an image"):
        hrnet_deploy.Predictor(tmp_path / "a.onnx")


def test_a_program_of_one_s_own_needs_two_lines(tiny_onnx: Path) -> None:
    image = read_image(IMAGES / "000003.jpg")
    predictor = hrnet_deploy.Predictor(tiny_onnx)
    assert len(predictor(image)) == 1
    found = predictor(image, boxes=[(10, 20, 90, 180), (100, 20, 90, 180)])
    assert [p.points.shape for p in found] == [(17, 2), (17, 2)]
    assert predictor(image, boxes=[]) == []
    assert predictor.draw(image, found).shape == image.shape
    others: list[Any] = [image / np.float32(255), image[..., 0], image.transpose(2, 0, 1)]
    for other in others:
        with pytest.raises(BadInput, match=r"an image is an array \(H, W, 3\) of uint8"):
            predictor(other)


def test_images_that_nobody_annotated_are_looked_at(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    """Two images with their people, and four as a whole; also beside an annotations.json of another tool."""
    shutil.copytree(IMAGES, tmp_path / "photos")
    path = tmp_path / "photos" / "annotations.json"
    content = json.loads(path.read_text())
    first = {i["id"] for i in content["images"][:2]}
    people = sum(a["image_id"] in first and a["category_id"] == 1 for a in content["annotations"])
    path.write_text(json.dumps({**content, "images": content["images"][:2]}))
    said = run("predict", tiny_onnx, tmp_path / "photos", "-o", tmp_path / "a", "--no-pictures")[1]
    assert f"{people + 4} results of 6 images" in said
    path.write_text('{"_via_settings": {}, "_via_img_metadata": {}}')
    said = run("predict", tiny_onnx, tmp_path / "photos", "-o", tmp_path / "b", "--no-pictures")[1]
    assert "6 results of 6 images" in said
