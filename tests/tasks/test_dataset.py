"""Folders of images and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.images import list_images, read_image
from hrnet_deploy.tasks.loading import load_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(6):
        cv2.imwrite(str(tmp_path / f"{i:012d}.png"), np.full((8, 10, 3), i, np.uint8))
    return tmp_path


def write(folder: Path, content: Any, name: str = "people.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def coco(*boxes: tuple[int, Any]) -> dict[str, Any]:
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
        (coco((1, [0, 0, 4, float("nan")])), "has bbox 'nan' in image 1 — expected a number"),
        (with_field(iscrowd=-1), "has iscrowd '-1' in image 1 — expected 0 or 1"),
        (with_field(area=float("inf")), "has area 'inf' in image 1 — expected a number"),
        (with_field(area=10**400), "has area '10000"),
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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_json_of_other_systems_is_read(folder: Path, encoding: str) -> None:
    content = coco((1, [0, 0, 4, 4]))
    content["images"] = [{**i, "file_name": f"val\\é\\{i['file_name']}"} for i in content["images"]]
    path = folder / "people.json"
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    assert [len(i.annotations or ()) for i in load_dataset(folder, path).items] == [0, 1, 0, 0, 0, 0]


VIA_IMAGE = {"filename": "a.png", "size": 9, "regions": [], "file_attributes": {}}


@pytest.mark.parametrize(
    ("content", "tool"),
    [
        ({"_via_settings": {}, "_via_img_metadata": {}}, "VIA"),
        ({"a.png9": VIA_IMAGE}, "VIA"),
        ({"version": "5.0.1", "flags": {}, "shapes": [], "imagePath": "a.png", "imageData": None}, "LabelMe"),
        ([{"id": 1, "data": {"image": "a.png"}, "annotations": []}], "Label Studio"),
        ([{"image": "a.png", "annotations": []}], "CreateML"),
        ({"description": "", "objects": [], "size": {"height": 8, "width": 10}}, "Supervisely"),
        ({"imgHeight": 8, "imgWidth": 10, "objects": []}, "Cityscapes"),
    ],
)
def test_annotations_of_another_tool_are_called_by_its_name(folder: Path, content: Any, tool: str) -> None:
    """Where they were asked for; where they only lie beside the images, they are left out."""
    with pytest.raises(BadInput, match=rf"is a file of .*{tool}.* — export the annotations from it in COCO's format"):
        load_dataset(folder, write(folder, content))
    write(folder, content, "annotations.json")
    dataset = load_dataset(folder)
    assert len(dataset) == 6 and dataset.truth is None and all(i.annotations is None for i in dataset.items)
    assert tool in dataset.remarks["not_used"] and tool in dataset.nothing_annotated


def test_images_that_nobody_annotated_are_counted_or_kept(folder: Path) -> None:
    content = coco((1, [0, 0, 4, 4]))
    content["images"] = content["images"][:2]
    path = write(folder, content)
    dataset = load_dataset(folder, path)
    assert len(dataset) == 2
    assert dataset.remarks == {"left_out": "4 of 6 images, which people.json does not list"}
    every = load_dataset(folder, path, every_image=True)
    assert [i.path.name for i in every.items] == [f"{i:012d}.png" for i in range(6)]
    assert [None if i.annotations is None else len(i.annotations) for i in every.items] == [0, 1, *[None] * 4]
    assert len({i.image_id for i in every.items}) == 6 and every.remarks == {}
    detected = write(folder, [{"image_id": 4, "bbox": [0, 0, 4, 4], "score": 0.5, "category_id": 1}], "found.json")
    found = load_dataset(folder, detected, every_image=True)  # a detector that gives nothing has found nothing
    assert [len(i.annotations or ()) for i in found.items] == [0, 0, 0, 0, 1, 0]
    assert all(i.annotations is not None for i in found.items)


@pytest.mark.parametrize(
    ("image_id", "name"),
    [
        (3, "COCO_val2014_000000000003.png"),
        ("3", "COCO_val2014_000000000003.png"),
        (3, "frame-3.png"),
        ("bus", "bus.png"),
        ("bus.png", "bus.png"),
    ],
)
def test_detections_find_images_by_a_number_in_the_name_or_by_the_name(
    image_id: Any, name: str, tmp_path: Path
) -> None:
    for other in (name, "x_13.png", "\u00b2\u00b3.png"):  # superscript digits are no number
        cv2.imwrite(str(tmp_path / other), np.zeros((8, 10, 3), np.uint8))
    boxes = write(tmp_path, [{"image_id": image_id, "bbox": [0, 0, 4, 4], "score": 0.5}])
    assert [i.path.name for i in load_dataset(tmp_path, boxes).items] == [name]


def test_a_number_in_two_names_is_refused_unless_one_is_the_number(folder: Path) -> None:
    boxes = write(folder, [{"image_id": 4, "bbox": [0, 0, 4, 4], "score": 0.5}])
    cv2.imwrite(str(folder / "a_4.png"), np.zeros((8, 10, 3), np.uint8))
    assert [i.path.name for i in load_dataset(folder, boxes).items] == ["000000000004.png"]
    (folder / "000000000004.png").rename(folder / "b_4.png")
    with pytest.raises(BadInput, match=r"a_4.png and b_4.png have both the image_id 4"):
        load_dataset(folder, boxes)


def test_hidden_files_of_other_systems_are_no_images(folder: Path) -> None:
    (folder / "._000000000001.png").write_bytes(b"\0\5\26\7")
    (folder / "folder.png").mkdir()
    assert len(load_dataset(folder)) == 6


def test_a_keypoint_that_is_not_a_number_is_one_that_nobody_placed(folder: Path) -> None:
    path = write(folder, with_field(keypoints=[float("nan"), float("nan"), 0, 3, 4, None]))
    (item,) = [i for i in load_dataset(folder, path).items if i.annotations]
    assert item.annotations is not None
    assert item.annotations[0]["keypoints"] == [0, 0, 0, 3, 4, 0]
