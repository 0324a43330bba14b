"""Keypoints of other bodies than COCO's: annotation files, metrics, and the refusal to compare two kinds."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.real import real

from hrnet_deploy.cards import card, cards
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import InputFormat, TaskOptions
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.detections import Boxes
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.person import Pose
from hrnet_deploy.tasks.pose.task import PoseTask
from hrnet_deploy.tasks.pose.truth import annotated_points

COCO, WHOLE, CROWD = "pose_hrnet_w32_256x192", "pose_hrnet_w32_wholebody_256x192", "pose_hrnet_w32_crowdpose_256x192"
ANIMALS, MPII = "pose_hrnet_w32_ap10k_256x256", "pose_hrnet_w32_mpii_256x256"
HANDS = "pose_resnet50_onehand10k_256x256"
RNG = np.random.default_rng(3)


def names_of(name: str) -> list[str]:
    return list(card(name).labels.names)


def flat(points: np.ndarray, v: int = 2) -> list[float]:
    return np.column_stack([points, np.full(len(points), v)]).ravel().tolist()


def layout(name: str) -> Any:
    """Annotations of two images with one body each, as the data set of a card has them."""
    labels = card(name).labels_as(Keypoints)
    bodies = [RNG.uniform(30, 90, (len(labels.names), 2)) for _ in range(2)]
    if name == MPII:
        return [
            {
                "image": f"{i}.png",
                "center": [61.0, 61.0 - 15 * 0.5],
                "scale": 0.5,
                "joints": (body + 1).tolist(),
                "joints_vis": [1] * 15 + [0],
            }
            for i, body in enumerate(bodies)
        ]
    annotations = []
    for i, body in enumerate(bodies):
        own: dict[str, Any] = {"id": i + 1, "image_id": i, "category_id": i + 1 if name == ANIMALS else 1}
        own |= {"bbox": [20.0, 20.0, 80.0, 60.0], "iscrowd": 0, "keypoints": flat(body)}
        start = 0
        for part, count in labels.parts:
            own[part] = flat(body[start : start + count])
            start += count
        annotations.append(own if name == CROWD else {**own, "area": 2500.0})
    called = labels.names[: labels.parts[0][1]] if labels.parts else labels.names
    kinds = ["antelope", "argali sheep"] if name == ANIMALS else ["hand" if name == HANDS else "person"]
    categories = [{"id": n, "name": kind, "keypoints": list(called)} for n, kind in enumerate(kinds, start=1)]
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(2)]
    return {"images": images, "annotations": annotations, "categories": categories}


def loaded(content: Any, folder: Path, **options: Any) -> Dataset:
    for i in range(2):
        write_image(folder / f"{i}.png", np.zeros((120, 120, 3), np.uint8))
    (folder / "own.json").write_text(json.dumps(content))
    return load_dataset(folder, folder / "own.json", **options)


def moved(task: PoseTask, dataset: Dataset, by: float) -> list[Pose]:
    """A pose at every annotation, whose keypoints are so many pixels to the right."""
    found = []
    for item in dataset.items:
        for sample in task.samples(item.read(), item):
            places = list(annotated_points(sample.context.annotation or {}, task.keypoints))
            if places:
                points = np.array(places, float)[:, :2] + (by, 0)
                scores = np.full(len(points), 0.9, np.float32)
                found.append(Pose(sample.context, points, points.astype(np.float32), scores))
    return found


def task(name: str) -> PoseTask:
    return PoseTask(card(name), InputFormat())


@pytest.mark.parametrize("name", [COCO, WHOLE, CROWD, ANIMALS, MPII, HANDS, "pose_hrnet_w32_animalpose_256x256"])
def test_every_layout_is_read_and_scored(name: str, tmp_path: Path) -> None:
    own, dataset = task(name), loaded(layout(name), tmp_path)
    assert own.unscorable_reason(dataset) == ""
    right = moved(own, dataset, 0)
    assert len(right) == 2 and own.score(right, dataset).figures()[own.metric] == 1
    wrong = own.score(moved(own, dataset, 60), dataset)
    assert wrong.figures()[own.metric] < 0.1
    change, low, high = wrong.difference(own.score(right, dataset))
    assert low <= change <= high and change < -0.9
    assert own.metric == {MPII: "PCKh", HANDS: "PCK"}.get(name, "AP")


REAL = [
    (COCO, "coco/test_coco.json", 12),
    (WHOLE, "coco/test_coco_wholebody.json", 12),
    (CROWD, "crowdpose/test_crowdpose.json", 4),
    (MPII, "mpii/test_mpii.json", 5),
    (HANDS, "onehand10k/test_onehand10k.json", 4),
]


@pytest.mark.parametrize(("name", "file", "count"), REAL)
def test_real_files_are_read_and_scored(name: str, file: str, count: int) -> None:
    folder, _, annotations = file.partition("/")
    images = real(folder)
    own, dataset = task(name), load_dataset(images, images / annotations)
    right = moved(own, dataset, 0)
    assert len(right) == count and own.score(right, dataset).figures()[own.metric] == 1


def test_people_of_mpii_are_cropped_as_the_official_code_does(tmp_path: Path) -> None:
    own, dataset = task(MPII), loaded(layout(MPII), tmp_path)
    (sample,) = own.samples(dataset.items[0].read(), dataset.items[0])
    assert sample.context.crop.centre == pytest.approx((60, 60))  # both begin at 0 here, and 15 * scale is added
    assert sample.context.crop.size == pytest.approx((125, 125))


def test_pckh_is_a_share_of_the_head_without_pelvis_and_thorax(tmp_path: Path) -> None:
    content = layout(MPII)[:1]
    content[0]["joints"][8:10] = [[50, 50], [50, 70]]  # neck and top of the head: 20 pixels
    own, dataset = task(MPII), loaded(content, tmp_path)
    (pose,) = moved(own, dataset, 0)
    pose.points[:, 0] += np.array([*[9] * 4, *[11] * 4, *[1] * 8])  # pelvis and thorax (6, 7) are not in the mean
    figures = own.score([pose], dataset).figures()
    assert figures["PCKh"] == pytest.approx(11 / 13)  # of 16: two not in the mean, one not labelled, 4 and 5 too far
    assert figures["PCKh@0.1"] == pytest.approx(7 / 13)
    assert (
        own.reading(dataset)["head"]
        == "from upper_neck to head_top for 1 of 1 people, whose annotations have no headbox"
    )
    with_box = [{**content[0], "headbox": [0, 0, 30, 40]}]  # 0.6 * 50 = 30
    boxed = loaded(with_box, tmp_path)
    pose = moved(own, boxed, 0)[0]
    pose.points[:, 0] += 14.9
    assert own.score([pose], boxed).figures()["PCKh"] == 1 and "head" not in own.reading(boxed)


def test_pck_auc_and_epe_are_those_of_mmpose(tmp_path: Path) -> None:
    own, dataset = task(HANDS), loaded(layout(HANDS), tmp_path)
    figures = own.score(moved(own, dataset, 10.0), dataset).figures()
    # a fifth of the longer side is 16 pixels; of the thresholds 0, 1.5 ... 28.5 pixels, 13 are over 10
    assert figures == pytest.approx({"PCK": 1.0, "AUC": 13 / 20, "EPE px": 10.0})
    assert own.score(moved(own, dataset, 17.0), dataset).figures()["PCK"] == 0
    boxes = [{"image_id": i, "category_id": 1, "bbox": [20, 20, 80, 60], "score": 0.9} for i in range(2)]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    detected = loaded(layout(HANDS), tmp_path, boxes=Boxes(tmp_path / "boxes.json"))
    assert "so it needs the annotated boxes" in own.unscorable_reason(detected)


def test_a_mirrored_hand_has_the_same_keypoints() -> None:
    both = PoseTask(card(HANDS), InputFormat(), TaskOptions(flip_test=True))
    image = np.zeros((60, 60, 3), np.uint8)
    (sample,) = both.samples(image, Item(Path(), 1))
    assert sample.feed["image"].shape[0] == 2
    maps = np.zeros((2, 21, 64, 64), np.float32)
    maps[0, :, 20, 30] = maps[1, :, 20, 63 - 29] = 1  # the mirror image is shifted by one pixel
    assert both.decode([{"heatmaps": maps}], [sample])[0].in_crop.tolist() == [[120, 80]] * 21


def test_the_share_is_that_of_every_keypoint_first(tmp_path: Path) -> None:
    """mmpose averages over keypoints, so a keypoint that is labelled once counts as one that is labelled twice."""
    content = layout(HANDS)
    content["annotations"][1]["keypoints"] = [0.0] * 60 + content["annotations"][1]["keypoints"][60:]
    own, dataset = task(HANDS), loaded(content, tmp_path)
    first, second = moved(own, dataset, 0)
    second.points[20] += 50
    assert own.score([first, second], dataset).figures()["PCK"] == pytest.approx((20 + 0.5) / 21)


def test_the_area_of_a_person_of_crowdpose_is_a_share_of_the_box(tmp_path: Path) -> None:
    own, dataset = task(CROWD), loaded(layout(CROWD), tmp_path)
    labels = own.keypoints
    off = 6.0
    similarity = float(np.exp(-(off**2) / (2 * np.array(labels.sigmas)) ** 2 / (0.53 * 80 * 60) / 2).mean())
    ap = own.score(moved(own, dataset, off), dataset).figures()["AP"]
    assert ap == pytest.approx(np.mean([similarity >= t for t in np.arange(0.5, 0.96, 0.05)]))
    assert str(own.reading(dataset)["area"]).startswith("0.53 of the box")


def test_animals_of_every_kind_are_looked_at(tmp_path: Path) -> None:
    own, dataset = task(ANIMALS), loaded(layout(ANIMALS), tmp_path)
    assert [len(own.samples(i.read(), i)) for i in dataset.items] == [1, 1]


def reason(model: str, file: str, tmp_path: Path, **names: Any) -> str:
    content = layout(file)
    if names:
        content["categories"][0] |= names
    return task(model).unscorable_reason(loaded(content, tmp_path))


def test_animals_are_not_scored_as_people(tmp_path: Path) -> None:
    content = layout(COCO)
    content["categories"][0] |= {"keypoints": names_of(ANIMALS)}
    found = task(COCO).unscorable_reason(loaded(content, tmp_path))
    assert found.startswith(
        "the annotations and the model mean different keypoints: the 17 of the annotations are L_Eye"
    )
    assert "the 17 of the model are nose, left_eye" in found
    with pytest.raises(BadInput, match="mean different keypoints"):
        task(COCO).score([], loaded(content, tmp_path))


def test_other_counts_are_refused_with_both_lists(tmp_path: Path) -> None:
    found = reason(WHOLE, COCO, tmp_path)
    assert "the annotations have 17 keypoints (nose, " in found and "but the model has 133 (nose, " in found
    assert "and 113 more" in found
    assert "have 14 keypoints (left_shoulder" in reason(COCO, CROWD, tmp_path)


@pytest.mark.parametrize(
    ("names", "fits"),
    [
        ([n.replace("_", " ").title() for n in names_of(COCO)], True),
        ([n.replace("left_e", "leftE").replace("right_", "R_") for n in names_of(COCO)], True),
        ([f"kpt{i}" for i in range(17)], True),
        (None, True),
        (["snout", *names_of(COCO)[1:]], True),
        ([*names_of(COCO)[:5], "right_shoulder", "left_shoulder", *names_of(COCO)[7:]], False),
        ([f"part{chr(97 + i)}" for i in range(17)], False),
    ],
)
def test_spellings_fit_and_other_orders_do_not(names: list[str] | None, fits: bool, tmp_path: Path) -> None:
    assert (reason(COCO, COCO, tmp_path, keypoints=names) == "") == fits


def test_a_whole_body_file_fits_a_network_of_its_first_part(tmp_path: Path) -> None:
    content = layout(WHOLE)
    content["annotations"] = [{**a, "keypoints": a["keypoints"][: 3 * 17]} for a in content["annotations"]]
    assert task(COCO).unscorable_reason(loaded(content, tmp_path)) == ""


def test_files_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mpii.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    write_image(tmp_path / "0.png", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(BadInput, match="is not a MATLAB file of version 5 to 7"):
        load_dataset(tmp_path, tmp_path / "mpii.mat")
    content = layout(MPII)
    content[1]["scale"] = "large"
    with pytest.raises(BadInput, match="entry 1 cannot be read"):
        loaded(content, tmp_path)


@pytest.mark.parametrize("name", [WHOLE, MPII])
@pytest.mark.parametrize(
    "value", [None, "x", [], [[1]], {"a": 1}, 1e999, [None] * 9, 10**400], ids=lambda v: str(v)[:9]
)
def test_fields_of_any_kind_are_scored_or_refused(name: str, value: Any, tmp_path: Path) -> None:
    own = task(name)
    for field in ("face_kpts", "keypoints", "headbox", "joints", "joints_vis", "center", "scale", "image", "bbox"):
        content = layout(name)
        people = content if name == MPII else content["annotations"]
        people[0] |= {field: value}
        with contextlib.suppress(BadInput):
            dataset = loaded(content, tmp_path)
            if not own.unscorable_reason(dataset):
                own.score(moved(own, dataset, 0), dataset)


def test_cards_are_whole() -> None:
    for name, known in cards().items():
        if known.task == "pose":
            labels = known.labels_as(Keypoints)
            PoseTask(known, InputFormat())
            count = len(labels.names)
            assert len(set(labels.names)) == count and len(labels.sigmas) in (0, count), name
            assert all(max(pair) < count for pair in (*labels.flip_pairs, *labels.skeleton)), name
            swapped = [i for pair in labels.flip_pairs for i in set(pair)]
            assert len(swapped) == len(set(swapped)), name
            assert not labels.parts or sum(n for _, n in labels.parts) == count, name
            assert all(labels.metric_name == p.metric for p in known.published), name


def test_a_metric_this_version_does_not_know_is_refused() -> None:
    labels = dataclasses.replace(card(COCO).labels_as(Keypoints), metric="NME")
    with pytest.raises(BadInput, match="is scored by 'NME' — this version only knows AP, PCKh, PCK"):
        PoseTask(dataclasses.replace(card(COCO), labels=labels), InputFormat())
