"""The generator of drawn people gives the same image every time, with correct annotations."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import generate
import numpy as np
import pytest
from drawn.face import LANDMARKS
from drawn.portrait import portrait
from drawn.scene import CATEGORIES, KEYPOINTS, PARTS, Scene, scene
from drawn.things import NAMES, thing

from hrnet_deploy.cards import card, folder


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [scene(123, i) for i in range(60)]


def test_the_same_image_every_time(scenes: list[Scene]) -> None:
    again = scene(123, 7)
    assert np.array_equal(again.image, scenes[7].image)
    assert again.annotations == scenes[7].annotations
    assert not np.array_equal(scene(124, 7).image[:240, :240], scenes[7].image[:240, :240])


def test_boxes_and_areas_lie_in_the_image(scenes: list[Scene]) -> None:
    for drawn in scenes:
        height, width = drawn.parts.shape
        assert drawn.image.shape == (height, width, 3)
        for annotation in drawn.annotations:
            x, y, w, h = annotation["bbox"]
            assert 0 <= x < x + w <= width
            assert 0 <= y < y + h <= height
            assert 0 < annotation["area"] <= w * h


def test_keypoints_lie_on_the_people_they_belong_to(scenes: list[Scene]) -> None:
    visible = 0
    for drawn in scenes:
        for person in drawn.people:
            x, y, w, h = person["bbox"]
            points = np.array(person["keypoints"]).reshape(17, 3)
            assert person["num_keypoints"] == (points[:, 2] > 0).sum()
            seen = points[points[:, 2] == 2]
            visible += len(seen)
            assert (
                (seen[:, 0] >= x - 1) & (seen[:, 0] <= x + w + 1) & (seen[:, 1] >= y - 1) & (seen[:, 1] <= y + h + 1)
            ).all()
            assert (drawn.parts[seen[:, 1].astype(int), seen[:, 0].astype(int)] > 0).all()
    assert visible > 500


def test_left_is_left_seen_from_the_front_and_right_from_the_back(scenes: list[Scene]) -> None:
    """A person showing nose and both eyes faces the viewer, and has the left shoulder on the viewer's right."""
    front = back = wrong = 0
    for drawn in scenes:
        for person in drawn.people:
            p = dict(zip(KEYPOINTS, np.array(person["keypoints"]).reshape(17, 3), strict=True))
            if min(p[k][2] for k in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")) == 0:
                continue
            along = np.array(
                [
                    p["left_shoulder"][:2] - p["right_shoulder"][:2],
                    (p["left_hip"] + p["right_hip"] - p["left_shoulder"] - p["right_shoulder"])[:2],
                ]
            )
            # positive if the left shoulder is on the viewer's right, as it is from the front
            facing = float(np.cross(*np.column_stack([along, [0, 0]]))[2])
            eyes = p["left_eye"][2] > 0 and p["right_eye"][2] > 0 and p["nose"][2] > 0
            none = not p["left_eye"][2] and not p["right_eye"][2] and not p["nose"][2]
            front += eyes
            back += none
            wrong += (eyes and facing < 0) + (none and facing > 0)
    assert front > 20
    assert back > 5
    assert wrong <= 0.1 * (front + back)  # heads can turn further than trunks


def test_the_names_are_those_of_the_card() -> None:
    assert tuple(KEYPOINTS) == card("pose_hrnet_w16_demo_128x96").label_names
    assert CATEGORIES[0] == "person"
    assert len(PARTS) == 9


def test_a_generated_data_set_has_cocos_format(tmp_path: Path) -> None:
    generate.generate(tmp_path, [0, 4], seed=9)
    written = json.loads((tmp_path / "annotations.json").read_text())
    assert [i["file_name"] for i in written["images"]] == ["000000.png", "000004.png"]
    assert {a["image_id"] for a in written["annotations"]} <= {0, 4}
    assert len({a["id"] for a in written["annotations"]}) == len(written["annotations"])
    image = cv2.imread(str(tmp_path / "000004.png"))
    assert image is not None
    assert np.array_equal(image[..., ::-1], scene(9, 4).image)
    parts = cv2.imread(str(tmp_path / "labels/000004.png"), cv2.IMREAD_UNCHANGED)
    assert parts is not None
    assert parts.max() < len(PARTS)


def test_the_sample_images_are_what_the_generator_draws() -> None:
    written = json.loads((folder() / "demo/images/annotations.json").read_text())
    for image in written["images"]:
        drawn = scene(77, image["id"])
        mine = [a for a in written["annotations"] if a["image_id"] == image["id"]]
        assert [a["bbox"] for a in mine] == [a["bbox"] for a in drawn.annotations]
        assert (image["height"], image["width"]) == drawn.parts.shape


def test_portraits_are_the_same_every_time_with_landmarks_in_their_places() -> None:
    one, again = portrait(5, 3), portrait(5, 3)
    assert np.array_equal(one.image, again.image) and one.annotations == again.annotations
    assert not np.array_equal(portrait(6, 3).image[:180, :180], one.image[:180, :180])
    inside = faces = 0
    for index in range(12):
        drawn = portrait(7, index)
        height, width = drawn.image.shape[:2]
        for face in drawn.annotations:
            points = np.array(face["keypoints"]).reshape(-1, 3)[:, :2]
            at = dict(zip(LANDMARKS, points, strict=True))
            across = at["left_eye_outer"] - at["right_eye_outer"]  # to the viewer's right: faces look out of the image
            down = at["chin"] - at["nose_bridge"]
            assert across[0] > 0 and across[0] * down[1] - across[1] * down[0] > 0
            x, y, side, _ = face["bbox"]
            assert np.allclose(face["center"], (x + side / 2, y + side / 2), atol=0.02)
            assert face["scale"] == pytest.approx(side / 200, abs=1e-4)
            inside += int(((points >= 0) & (points < (width, height))).all(1).sum())
            faces += 1
    assert inside > 0.97 * faces * len(LANDMARKS)
    assert card("face_hrnetv2_w8_demo_96x96").label_names == LANDMARKS


def test_things_of_every_class_are_drawn_the_same_every_time(tmp_path: Path) -> None:
    image, label = thing(123, 7)
    again, same = thing(123, 7)
    assert np.array_equal(image, again) and label == same
    assert image.dtype == np.uint8 and min(image.shape[:2]) >= 88
    generate.generate_things(tmp_path, range(80), seed=123)
    assert {p.name: len(list(p.iterdir())) > 0 for p in tmp_path.iterdir()} == dict.fromkeys(NAMES, True)
    assert card("cls_hrnet_w16_demo_64x64").label_names == NAMES
