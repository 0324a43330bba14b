"""Landmarks of faces through every command, and the files of their data sets as they are published."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import generate
import numpy as np
import pytest
import torch
from support.real import real
from support.tiny import BODY

from hrnet_deploy import architecture as arch
from hrnet_deploy import checkpoints
from hrnet_deploy.cards import card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.base import InputFormat
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.detections import Boxes
from hrnet_deploy.tasks.geometry import FaceCrop
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.tasks.landmarks.labels import Landmarks
from hrnet_deploy.tasks.landmarks.task import LandmarkTask
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.pose.person import Pose

Run = Callable[..., tuple[int, str, str]]
SHAPE = arch.FaceHRNet(dataclasses.replace(BODY, upsample=arch.Upsample("bilinear")), 68)
DEMO = "face_hrnetv2_w8_demo_96x96"
AFLW, WFLW = "face_hrnetv2_w18_aflw_256x256", "face_hrnetv2_w18_wflw_256x256"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small network for the 68 landmarks of 300W."""
    network = build_network(SHAPE)
    random_weights(network, seed=5)
    path = tmp_path_factory.mktemp("checkpoints") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of drawn faces, for the demo network."""
    folder = tmp_path_factory.mktemp("drawn")
    generate.generate_faces(folder, range(12), seed=44)
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of drawn faces, with 68 landmarks at random places of each."""
    folder = tmp_path_factory.mktemp("faces")
    generate.generate_faces(folder, range(6), seed=43)
    rng, path = np.random.default_rng(3), folder / "annotations.json"
    content = json.loads(path.read_text())
    del content["categories"][0]["keypoints"]
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        points = rng.uniform((x, y), (x + w, y + h), (68, 2))
        annotation["keypoints"] = np.column_stack([points, np.full(68, 1)]).ravel().tolist()
    path.write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        ("HR18-WFLW.pth", "", ("face", "face", False, "the name of the file")),
        ("hrnetv2_w18_300w_256x256-eea53407.pth", "", ("quarter_offset", "standard", True, "the name of the file")),
        ("hrnetv2_w18_300w_256x256_dark-1.pth", "", ("dark", "standard", True, "the name of the file")),
        ("a.pth", "codec = dict(type='MSRAHeatmap', unbiased=True)", ("dark", "standard", True, "the configuration")),
        ("HR18.pth", "codec = dict(type='MSRAHeatmap')", ("quarter_offset", "standard", True, "the configuration")),
    ],
)
def test_the_file_tells_by_which_rule_its_landmarks_are_decoded(
    name: str, config: str, expected: tuple[str, str, bool, str], checkpoint: Path, tmp_path: Path
) -> None:
    state = torch.load(checkpoint, weights_only=True)
    torch.save({"state_dict": state, "meta": {"cfg": config}}, tmp_path / name)
    found = checkpoints.load(tmp_path / name)
    labels = found.card.labels_as(Landmarks)
    assert (labels.decode, labels.crop_geometry, labels.shifts_mirrored) == expected[:3]
    assert f"decoded by {expected[0]} in {expected[1]} crops, {expected[3]}" in found.summary
    assert "--decode" not in found.assumption and found.card.dataset == "300w"


def test_a_rule_that_the_file_does_not_tell_is_assumed_and_said(checkpoint: Path) -> None:
    found = checkpoints.load(checkpoint)
    assert found.card.labels_as(Landmarks).decode == "face"
    assert "assumed to be decoded by face" in found.assumption and "quarter_offset, dark or udp" in found.assumption


@pytest.mark.slow
def test_the_commands_take_a_landmark_network(drawn: Path, tmp_path: Path, run: Run) -> None:
    """`tests/demo` quantizes the same network."""
    plain, half, found = (tmp_path / n for n in ("plain.onnx", "half.onnx", "found"))

    def ran(*words: object) -> str:
        code, out, err = run(*words)
        assert code == 0, err or out
        return " ".join(out.split())

    ran("export", DEMO, "-o", plain, "--exporter", "torchscript")
    ran("check", plain, "--against", DEMO, "--images", drawn, "-o", tmp_path / "check.json")
    ran("half", plain, "-o", half, "--images", drawn)
    ran("bench", plain, "--engine", "ort", "--seconds", "0.05", "-o", tmp_path / "bench.json")
    said = ran("eval", half, "--data", drawn, "--flip-test", "-o", tmp_path / "eval.json")
    assert "NME" in said and "FR@0.1" in said and "the distance of left_eye_outer and right_eye_outer" in said
    ran("predict", half, drawn, "-o", found)
    results = json.loads((found / "results.json").read_text())
    assert len(results) >= 12 and {len(r["keypoints"]) for r in results} == {3 * 21}
    page = tmp_path / "page.html"
    ran("report", *(tmp_path / f"{n}.json" for n in ("check", "bench", "eval")), "-o", page)
    assert "NME" in page.read_text()


@pytest.mark.slow
def test_an_embedded_file_decodes_landmarks(checkpoint: Path, faces: Path, tmp_path: Path) -> None:
    from hrnet_deploy.jobs.check import CheckRequest, check
    from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export

    options = ExportOptions(size=(64, 64), embed=True, flip_test=True, exporter="torchscript")
    done = export(ExportRequest(str(checkpoint), tmp_path / "a.onnx", options))
    assert done.passed, done.checks
    report = check(CheckRequest(tmp_path / "a.onnx", str(checkpoint), images=faces))
    assert report.passed and report.task is not None and report.task.metric == "NME"


def test_a_smaller_error_is_no_loss(tmp_path: Path) -> None:
    from support.results import evaluation

    from hrnet_deploy.jobs.compare import CompareRequest, compare
    from hrnet_deploy.results import codec

    for name, nme, share in (("base", 0.04, 0.5), ("new", 0.03, 0.6)):
        figures = {"NME": nme, "FR@0.1": nme / 10, "AUC@0.1": share}
        codec.write(tmp_path / f"{name}.json", dataclasses.replace(evaluation(), metric="NME", figures=figures))
    better = compare(CompareRequest(tmp_path / "base.json", tmp_path / "new.json", "nme=0.1"))
    worse = compare(CompareRequest(tmp_path / "new.json", tmp_path / "base.json", "nme=0.1"))
    assert better.passed and not any(c.worse for c in better.changes)
    assert not worse.passed and all(c.worse for c in worse.changes)


# --- annotations -----------------------------------------------------------------------------------------


def photographs(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        write_image(folder / name, np.random.default_rng(1).integers(0, 255, (90, 120, 3), dtype=np.uint8))
    return folder


def csv_file(path: Path, count: int, *faces: tuple[Any, ...]) -> Path:
    """The official annotations of faces: image, scale, for AFLW the size, centre and landmarks."""
    rows = [",".join(map(str, face)) for face in faces]
    middle = ["box_size"] * (len(faces[0]) % 2) + ["center_w", "center_h"]
    columns = ["image_name", "scale", *middle, *(f"original_{i // 2}_{'xy'[i % 2]}" for i in range(2 * count))]
    path.write_text("\n".join([",".join(columns), *rows]) + "\n")
    return path


def points(count: int) -> list[float]:
    return np.random.default_rng(2).uniform(20, 60, 2 * count).round(3).tolist()


def perfect(task: LandmarkTask, dataset: Dataset) -> list[Pose]:
    """The annotated places as predictions."""
    found = []
    for item in dataset.items:
        for sample in task.samples(item.read(), item):
            places = np.array(sample.context.annotation["keypoints"], np.float64).reshape(-1, 3)[:, :2]
            found.append(Pose(sample.context, places, places.astype(np.float32), np.ones(len(places), np.float32)))
    return found


def test_the_official_files_of_300w_and_wflw_are_read(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", "a.png", "b.png", "c.png")
    rows = [(f"folder/{n}.png", 0.25, 50.5, 41, *points(98)) for n in "aab"]
    dataset = load_dataset(images, csv_file(tmp_path / "test.csv", 98, *rows))
    assert [len(i.annotations or ()) for i in dataset.items] == [2, 1]
    assert dataset.remarks["left_out"] == "1 of 3 images, which test.csv does not list"
    task = LandmarkTask(card(WFLW), InputFormat())
    crop = task.samples(dataset.items[0].read(), dataset.items[0])[0].context.crop
    assert isinstance(crop, FaceCrop)
    assert (crop.centre, crop.size) == ((50.5, 41), (0.25 * 1.25 * 200,) * 2)
    assert task.score(perfect(task, dataset), dataset).figures()["NME"] == pytest.approx(0, abs=1e-6)
    assert "different keypoints" not in task.unscorable_reason(dataset)


def test_the_official_file_of_aflw_has_the_size_of_each_face(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", "a.png")
    dataset = load_dataset(images, csv_file(tmp_path / "aflw.csv", 19, ("a.png", 0.3, 50, 40, 40, *points(19))))
    task = LandmarkTask(card(AFLW), InputFormat())
    moved = [dataclasses.replace(p, points=p.points + (5, 0)) for p in perfect(task, dataset)]
    assert task.score(moved, dataset).figures()["NME"] == pytest.approx(0.1, abs=1e-6)
    assert task.reading(dataset)["normaliser"] == "the size of the face"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("image_name,scale,center_w,center_h,x,y\n", "has no faces"),
        ("image_name,scale,center_w,center_h,x,y\na.png,1,2,3,4\n", "it has 5 columns, the first row has 6"),
        ("image_name,scale,center_w,center_h,x,y\na.png,1,2,three,4,5\n", "a row 2 that cannot be read"),
        ("image_name,scale,center_w,center_h,x,y\na.png,1,2,nan,4,5\n", "a number is too large, or none"),
        ("image_name,scale,center_w,center_h,x,y\na.png,0,2,3,4,5\n", "a size is not above zero"),
        (b"image_name,scale,center_w,center_h,x,y\n\xff\xfe\x00\xd8", "is not a CSV file"),
    ],
)
def test_a_damaged_file_of_faces_is_refused(content: str | bytes, sentence: str, tmp_path: Path) -> None:
    images, path = photographs(tmp_path / "images", "a.png"), tmp_path / "faces.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput, match=sentence):
        load_dataset(images, path)


@pytest.mark.parametrize("wrong", [{"center": [1]}, {"scale": "big"}, {"scale": float("nan")}, {"center": None}])
def test_a_centre_or_a_scale_that_is_no_number_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    task = LandmarkTask(card(AFLW), InputFormat())
    annotation = {"image_id": 4, "bbox": [1.0, 2.0, 30.0, 40.0], "center": [20.0, 20.0], "scale": 0.3, **wrong}
    with pytest.raises(BadInput, match="an annotation of image 4 has a center or a scale that cannot be read"):
        task._box(annotation, 90, 120)


def test_a_face_without_centre_and_scale_has_its_box() -> None:
    task = LandmarkTask(card(AFLW), InputFormat())
    assert task._box({"bbox": [1.0, 2.0, 30.0, 40.0]}, 90, 120) == (1, 2, 29, 39)
    detected = {"bbox": [1.0, 2.0, 30.0, 40.0], "score": 0.5, "center": [9, 9], "scale": 3}
    assert task._box(detected, 90, 120) == (1, 2, 30, 40)


def test_boxes_of_a_detector_cannot_be_scored_by_the_error_of_faces(faces: Path, tmp_path: Path) -> None:
    content = json.loads((faces / "annotations.json").read_text())
    boxes = [
        {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.9} for a in content["annotations"]
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    dataset = load_dataset(faces, boxes=Boxes(tmp_path / "boxes.json"))
    task = LandmarkTask(card("face_hrnetv2_w18_300w_256x256"), InputFormat())
    assert "needs the annotated boxes" in task.unscorable_reason(dataset)
    samples = task.samples(dataset.items[0].read(), dataset.items[0])
    assert len(samples) == len(dataset.items[0].annotations or ())


def test_annotations_of_another_data_set_are_refused(faces: Path) -> None:
    task = LandmarkTask(card(WFLW), InputFormat())
    assert "the annotations have 68 keypoints" in task.unscorable_reason(load_dataset(faces))


@pytest.mark.parametrize(("folder", "name"), [("300w", "face_hrnetv2_w18_300w_256x256"), ("wflw", WFLW)])
def test_public_annotations_are_read_and_scored(folder: str, name: str) -> None:
    place = real(folder)
    dataset = load_dataset(place, place / f"test_{folder}.json")
    task = LandmarkTask(card(name), InputFormat())
    assert not task.unscorable_reason(dataset)
    found = perfect(task, dataset)
    assert len(found) == sum(len(i.annotations or ()) for i in dataset.items) >= 2
    assert task.score(found, dataset).figures()["NME"] == pytest.approx(0, abs=1e-6)
    for item in dataset.items:
        for sample in task.samples(item.read(), item):  # every landmark lies in its crop, near the middle
            annotation = sample.context.annotation
            places = np.array(annotation["keypoints"]).reshape(-1, 3)[:, :2]
            matrix = sample.context.crop.matrix(256, 256)
            inside = places @ matrix[:, :2].T + matrix[:, 2]
            assert (inside > 8).all() and (inside < 248).all()
            assert sample.feed["image"].shape == (1, 3, 256, 256)
