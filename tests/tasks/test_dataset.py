"""Folders of images and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.dataset import load_dataset
from hrnet_deploy.tasks.images import list_images, read_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(6):
        cv2.imwrite(str(tmp_path / f"{i:012d}.png"), np.full((8, 10, 3), i, np.uint8))
    return tmp_path


def write(folder: Path, content: Any, name: str = "people.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def coco(*boxes: tuple[int, list[float]]) -> dict[str, Any]:
    images = [{"id": i, "file_name": f"{i:012d}.png"} for i in range(6)]
    return {
        "images": images,
        "annotations": [{"image_id": i, "bbox": b, "category_id": 1, "id": n} for n, (i, b) in enumerate(boxes, 1)],
    }


def with_field(**fields: Any) -> dict[str, Any]:
    content = coco((1, [0, 0, 4, 4]))
    content["annotations"][0].update(fields)
    return content


def test_a_folder_alone(folder: Path) -> None:
    dataset = load_dataset(folder)
    assert len(dataset) == 6
    assert dataset.truth is None
    assert all(i.annotations is None for i in dataset.items)


def test_annotations_beside_the_images_are_found(folder: Path) -> None:
    write(folder, coco((1, [0, 0, 4, 4]), (1, [1, 1, 4, 4]), (3, [0, 0, 2, 2])), "annotations.json")
    dataset = load_dataset(folder)
    assert [len(i.annotations or ()) for i in dataset.items] == [0, 2, 0, 1, 0, 0]
    assert dataset.facts["boxes"] == "annotations.json"


def test_detections_find_their_images_by_number(folder: Path) -> None:
    path = write(folder, [{"image_id": 4, "bbox": [0, 0, 4, 4], "score": 0.5, "category_id": 1}])
    dataset = load_dataset(folder, path)
    assert [i.image_id for i in dataset.items] == [4]
    assert dataset.truth is None


def test_a_limit_takes_the_first_and_a_seed_chooses(folder: Path) -> None:
    path = write(folder, coco((1, [0, 0, 4, 4])))
    first = load_dataset(folder, path, limit=2)
    assert [i.image_id for i in first.items] == [0, 1]
    assert first.truth is not None
    assert [i["id"] for i in first.truth["images"]] == [0, 1]
    chosen = [i.image_id for i in load_dataset(folder, path, limit=3, seed=1).items]
    assert chosen == [i.image_id for i in load_dataset(folder, path, limit=3, seed=1).items]
    assert len(set(chosen)) == 3


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"annotations": []}, "neither a COCO annotation file nor a list"),
        ({"images": [{"id": 1}], "annotations": []}, "not in COCO's format"),
        ({"images": [], "annotations": [{"image_id": 1}]}, "not in COCO's format"),
        (coco((1, [0, 0, 4])), "has a box"),
        ({"images": [{"id": 1, "file_name": "other.png"}], "annotations": []}, "has none of the 6 images"),
        ([{"bbox": [0, 0, 1, 1]}], "not a list of COCO detections"),
        ([{"image_id": 77, "bbox": [0, 0, 1, 1]}], "has none of"),
        ("text", "neither"),
        (coco((1, [0, 0, 4, "wide"])), "has bbox 'wide' in image 1 — expected a number"),
        (coco((1, [0, 0, 4, float("nan")])), "has a box"),
        (coco((1, None)), "not in COCO's format"),
        ({**coco((1, [0, 0, 4, 4])), "categories": [{"name": "person"}]}, r"no id in categories\[0\] \(person\)"),
        ({**coco((1, [0, 0, 4, 4])), "categories": 5}, "categories that are no list"),
        (with_field(category_id="person"), "has category_id 'person' in image 1 — expected a whole number"),
        (with_field(area={}), "has area '{}' in image 1"),
        (with_field(iscrowd=0.5), "has iscrowd '0.5' in image 1"),
        (with_field(keypoints="1,2,3"), "has keypoints '1,2,3' in image 1 — expected a list of numbers"),
        (with_field(keypoints=[1, {}, 2]), "has keypoints '{}' in image 1"),
        ([{"image_id": 1, "bbox": [0, 0, 1, 1], "score": "high"}], "has score 'high' in image 1"),
        ([{"image_id": 1e400, "bbox": [0, 0, 1, 1]}], "not a list of COCO detections"),
        (
            {"images": [{"id": i, "file_name": f"{d}/000000000001.png"} for i, d in enumerate("ab")]},
            "several images called 000000000001.png",
        ),
    ],
)
def test_bad_annotations_are_said_to_be_so(folder: Path, content: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        load_dataset(folder, write(folder, content))


def test_bad_folders_and_files(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there are no images"):
        list_images(tmp_path)
    with pytest.raises(BadInput, match="is not a folder"):
        list_images(tmp_path / "none")
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(BadInput, match="is not an image"):
        read_image(tmp_path / "a.png")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(BadInput, match="is not an image"):
        read_image(tmp_path / "empty.png")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(BadInput, match="is not JSON"):
        load_dataset(tmp_path, tmp_path / "a.json")
    with pytest.raises(BadInput, match="--limit 1 or more"):
        load_dataset(tmp_path, limit=0)


def test_images_come_as_rgb(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[[0, 0, 255]]], np.uint8))  # red, as cv2 has it
    assert read_image(tmp_path / "a.png").tolist() == [[[255, 0, 0]]]


def test_ids_written_as_text_are_ids(folder: Path) -> None:
    content = coco((1, [0, 0, 4, 4]))
    text = {
        "images": [{**i, "id": str(i["id"])} for i in content["images"]],
        "annotations": [{**a, "image_id": "1"} for a in content["annotations"]],
    }
    dataset = load_dataset(folder, write(folder, text), limit=2)
    assert dataset.truth is not None
    assert [a["image_id"] for a in dataset.truth["annotations"]] == [1]
    assert [i["id"] for i in dataset.truth["images"]] == [0, 1]
