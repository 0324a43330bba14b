"""MPII's own files: the boxes of heads beside a list of people, and the structure of the data set's file of MATLAB."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.mat import HEADER, element, mat_file, matrix

from hrnet_deploy.cards import card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks import matlab
from hrnet_deploy.tasks.base import InputFormat
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.matlab import read_mat
from hrnet_deploy.tasks.pose.person import Pose
from hrnet_deploy.tasks.pose.task import PoseTask

RNG = np.random.default_rng(5)
JOINTS = RNG.uniform(30, 90, (2, 16, 2)).round(2)


def people() -> list[dict[str, Any]]:
    """Two people on two images, as in valid.json."""
    return [
        {
            "image": f"{i}.png",
            "center": [60.0, 60.0],
            "scale": 0.5,
            "joints": JOINTS[i].tolist(),
            "joints_vis": [1] * 16,
        }
        for i in range(2)
    ]


def release() -> dict[str, Any]:
    """The same people as the data set's own file has them: the second lacks its last keypoint, a third has none."""

    def rect(i: int, count: int = 16) -> dict[str, Any]:
        points = [
            {"x": JOINTS[i, k, 0], "y": JOINTS[i, k, 1], "id": np.array([[k]], "u1"), "is_visible": "1"}
            for k in range(count)
        ]
        corners = {"x1": 10.0, "y1": 10.0, "x2": 40.0, "y2": 50.0}
        return {**corners, "annopoints": [{"point": points}], "scale": 0.5, "objpos": [{"x": 60.0, "y": 60.0}]}

    empty: dict[str, Any] = {k: np.zeros((0, 0)) for k in rect(0)}
    images = [
        {"image": [{"name": "0.png"}], "annorect": [rect(0), empty]},
        {"image": [{"name": "1.png"}], "annorect": [rect(1, 15)]},
        {"image": [{"name": "test.png"}], "annorect": np.zeros((0, 0))},
    ]
    return {"RELEASE": [{"annolist": images, "img_train": np.ones((1, 3)), "version": "12"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(2):
        write_image(tmp_path / f"{i}.png", np.zeros((120, 120, 3), np.uint8))
    return tmp_path


def score(dataset: Dataset, by: float) -> float:
    """PCKh of every keypoint being so many pixels away."""
    task = PoseTask(card("pose_hrnet_w32_mpii_256x256"), InputFormat())
    poses = []
    for item in dataset.items:
        for sample in task.samples(item.read(), item):
            points = np.array(sample.context.annotation["keypoints"]).reshape(-1, 3)[:, :2] + (by, 0)
            poses.append(Pose(sample.context, points, points.astype(np.float32), np.ones(16, np.float32)))
    return task.score(poses, dataset).figures()["PCKh"]


@pytest.mark.parametrize("names", [("valid.json", "gt_valid.mat"), ("mpii_val.json", "mpii_gt_val.mat")])
def test_heads_are_those_of_the_file_beside(folder: Path, names: tuple[str, str]) -> None:
    """As the official evaluation: 0.6 of the diagonal of the box, here 0.6 * 50 = 30 pixels."""
    (folder / names[0]).write_text(json.dumps(people()))
    boxes = np.zeros((2, 2, 2))
    boxes[1] = [[30, 30], [40, 40]]
    missing = np.zeros((16, 2), "u1")
    missing[3, 1] = 1
    (folder / names[1]).write_bytes(mat_file({"headboxes_src": boxes, "jnt_missing": missing}))
    dataset = load_dataset(folder, folder / names[0])
    assert dataset.remarks["head_boxes"] == f"those of {names[1]}"
    assert [a["headbox"] for a in dataset.truth["annotations"]] == [[0, 0, 30, 40]] * 2  # type: ignore[index]
    assert dataset.truth["annotations"][1]["keypoints"][11] == 0  # type: ignore[index]
    assert score(dataset, 14.9) == 1 and score(dataset, 15.1) == 0
    (folder / names[1]).write_bytes(mat_file({"headboxes_src": boxes[..., :1], "jnt_missing": missing}))
    with pytest.raises(BadInput, match=r"is not of the 2 people in .* \(headboxes_src has the shape \(2, 2"):
        load_dataset(folder, folder / names[0])


@pytest.mark.parametrize("compressed", [False, True])
def test_the_file_of_the_data_set_gives_its_annotated_people(folder: Path, compressed: bool) -> None:
    (folder / "mpii_human_pose_v1_u12_1.mat").write_bytes(mat_file(release(), compressed))
    dataset = load_dataset(folder, folder / "mpii_human_pose_v1_u12_1.mat")
    (folder / "same.json").write_text(json.dumps(people()))
    assert dataset.truth is not None
    same = load_dataset(folder, folder / "same.json").truth
    assert same is not None
    for own, other in zip(dataset.truth["annotations"], same["annotations"], strict=True):
        count = 48 if own["id"] == 1 else 45
        assert own["bbox"] == other["bbox"]
        assert own["keypoints"][:count] == pytest.approx(other["keypoints"][:count])
        assert own["keypoints"][count:] in ([], [-2.0, -2.0, 0])
    assert score(dataset, 14.9) == 1 and score(dataset, 15.1) == 0  # of 0.6 * 50


def test_a_file_of_something_else_is_refused(folder: Path) -> None:
    for content in ({"a": 1.0}, {"RELEASE": 3.0}, {"RELEASE": [{"annolist": "x"}]}):
        (folder / "other.mat").write_bytes(mat_file(content))
        with pytest.raises(BadInput, match="does not have the people of MPII"):
            load_dataset(folder, folder / "other.mat")


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    numbers = np.arange(6.0).reshape(2, 3)
    cells: list[Any] = ["ü", np.array([[1, 2]], "i4"), []]
    (tmp_path / "a.mat").write_bytes(mat_file({"n": numbers, "t": "name", "c": cells, "s": [{"a": 1.0, "b": "x"}] * 2}))
    found = read_mat(tmp_path / "a.mat")
    assert np.array_equal(found["n"], numbers) and found["t"] == "name"
    assert found["c"][0] == "ü" and np.array_equal(found["c"][1], [[1, 2]]) and found["c"][2] == []
    assert [s["b"] for s in found["s"]] == ["x", "x"] and found["s"][1]["a"].item() == 1


def test_a_file_that_scipy_wrote_is_read(tmp_path: Path) -> None:
    """scipy.io.savemat({"s": array of {"x": 1.5, "t": "ab"}, "m": 2x2 of int16}, do_compression=True), scipy 1.17.1."""
    (tmp_path / "a.mat").write_bytes(base64.b64decode(BY_SCIPY))
    found = read_mat(tmp_path / "a.mat")
    assert found["s"][0]["x"].item() == 1.5 and found["s"][0]["t"] == "ab"
    assert np.array_equal(found["m"], [[1, 2], [3, 4]])


BY_SCIPY = (
    "TUFUTEFCIDUuMCBNQVQtZmlsZSBQbGF0Zm9ybTogcG9zaXgsIENyZWF0ZWQgb246IFRodSBOb3YgMjYgMjE6MDA6MTAgMjAyNgAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABSU0PAAAATgAAAHic42NgYNgAxGxAzAHE"
    "TAwQwArlM8IxI0MxWJwFrIYRSFcwlDDwAdkWSPrZcOqHAE6oOAT8sAfpN0DSz4JFPxOSfgEgLzGJgQEA4i4FNw8AAAArAAAAeJzj"
    "Y2BgsABiNiDmAGIuBghghfKZoJgRCHOBNDNUnBHIYmJgYQAAIXwA9A=="
)


def test_files_of_other_versions_are_refused_with_the_cure(tmp_path: Path) -> None:
    for start in (b"\x89HDF\r\n\x1a\n", b"MATLAB 7.3 MAT-file"):
        (tmp_path / "a.mat").write_bytes(start + b"\0" * 200)
        with pytest.raises(BadInput, match="of version 7.3 — save it with -v7"):
            read_mat(tmp_path / "a.mat")
    (tmp_path / "a.mat").write_bytes(b"\0" * 200)
    with pytest.raises(BadInput, match="is not a MATLAB file of version 5 to 7"):
        read_mat(tmp_path / "a.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_anywhere_is_one_sentence(tmp_path: Path, compressed: bool) -> None:
    whole = mat_file({"RELEASE": release()["RELEASE"][:1], "n": np.ones((2, 3))}, compressed)
    places = RNG.integers(len(HEADER), len(whole), 80)
    said = []
    for place, value in zip(places, RNG.integers(0, 256, 80), strict=True):
        for damaged in (whole[:place], whole[:place] + bytes([value]) + whole[place + 1 :]):
            (tmp_path / "a.mat").write_bytes(damaged)
            try:
                read_mat(tmp_path / "a.mat")
            except BadInput as error:
                said.append(str(error))
    assert len(said) > 60 and all("is a damaged MATLAB file" in s for s in said)


def test_sizes_are_checked_before_memory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = matrix("n", np.ones((2, 3))).replace(
        (2).to_bytes(4, "little") + (3).to_bytes(4, "little"), b"\xff\xff\xff\x7f" * 2
    )
    deep: Any = 1.0
    for _ in range(40):
        deep = [deep]
    monkeypatch.setattr(matlab, "LARGEST", 10_000)
    bomb = mat_file({"n": np.zeros((100, 100))}, compressed=True)
    for data, sentence in (
        (HEADER + huge, "has more elements than bytes"),
        (mat_file({"d": deep}), "are too deep"),
        (bomb, "or has more than"),
        (HEADER + element(14, element(6, bytes(8))), "lacks a part"),
        (HEADER + matrix("n", 1.0).replace(bytes([9, 0, 0, 0, 8]), bytes([99, 0, 0, 0, 8])), "of an unknown kind"),
    ):
        (tmp_path / "a.mat").write_bytes(data)
        with pytest.raises(BadInput, match=sentence):
            read_mat(tmp_path / "a.mat")
