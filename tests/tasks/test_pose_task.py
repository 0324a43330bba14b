"""One preprocessing object, equal to the official steps; predictions that land where the people are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import goldens
from support.tiny import TINY

from hrnet_deploy import architecture as arch
from hrnet_deploy.cards import card, card_for, folder
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import InputFormat, TaskOptions, embedding_of, task_of
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import read_image
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.person import Person, Pose
from hrnet_deploy.tasks.pose.task import PoseTask

CARD = card("pose_hrnet_w32_256x192")


def task(flip_test: bool = False) -> PoseTask:
    return PoseTask(CARD, InputFormat(), TaskOptions(flip_test=flip_test))


def test_the_input_is_the_official_one() -> None:
    """The tensors were made with cv2.getAffineTransform on three float32 points, cv2.warpAffine and /255, -mean, /std,
    as lib/dataset/JointsDataset.py and torchvision's ToTensor and Normalize do."""
    golden = goldens.arrays("pose_input")
    image = read_image(goldens.FOLDER / "pose_input.png")
    detections = tuple({"bbox": b.tolist(), "score": 1.0} for b in golden["boxes"])
    samples = task().samples(image, Item(Path(), 1, detections))
    for sample, expected in zip(samples, golden["tensors"], strict=True):
        assert sample.feed["image"].shape == (1, 3, 256, 192)
        assert sample.feed["image"].dtype == np.float32
        off = np.abs(sample.feed["image"][0, :, ::3, ::3] - expected)
        # warpAffine rounds coordinates to 1/32 pixel: a matrix off by 1e-5 may turn a pixel by a grey level or so
        assert np.quantile(off, 0.999) < 1e-4
        assert off.max() < 0.1


def gaussians(points: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Heatmaps (1, K, 64, 48) with a peak at each point, heatmap pixels."""
    y, x = np.mgrid[:64, :48]
    d = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    return (scores[:, None, None] * np.exp(-d / 8))[None].astype(np.float32)


def test_whole_way_from_a_known_person_back_to_its_keypoints() -> None:
    """If the network were perfect, predictions are where the annotations say, and AP is 1."""
    dataset, own = load_dataset(folder() / "demo" / "images"), task()
    predictions = []
    for item in dataset.items:
        image = item.read()
        annotations = [a for a in item.annotations or () if a["category_id"] == 1]
        samples = own.samples(image, item)
        assert len(samples) == len(annotations)
        for sample, annotation in zip(samples, annotations, strict=True):
            known = np.array(annotation["keypoints"], float).reshape(-1, 3)
            matrix = sample.context.crop.matrix(48, 64)
            at = known[:, :2] @ matrix[:, :2].T + matrix[:, 2]
            visible = (known[:, 2] > 0).astype(float)
            found = own.decode([{"heatmaps": gaussians(at, visible)}], [sample])[0]
            inside = (visible > 0) & (at > 2).all(1) & (at < (45, 61)).all(1)
            pixel = sample.context.crop.size[0] / 48  # of the heatmap, in image pixels
            assert np.abs(found.points - known[:, :2])[inside].max() < pixel * 0.51
            predictions.append(found)
    figures = own.score(predictions, dataset).figures()
    assert figures["AP50"] > 0.99
    assert figures["AP"] > 0.8


def test_the_flip_test_sees_the_image_and_its_mirror() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 80, 3), np.uint8)
    plain, both = (task(f).samples(image, Item(Path(), 1))[0].feed["image"] for f in (False, True))
    assert both.shape == (2, 3, 256, 192)
    assert np.array_equal(both[0], plain[0])
    assert np.array_equal(both[1], plain[0, :, :, ::-1])


def test_without_boxes_the_whole_image_is_one_person() -> None:
    crop = task().samples(np.zeros((100, 300, 3), np.uint8), Item(Path(), 1))[0].context.crop
    assert crop.centre == (150, 50)
    assert crop.size == (375, 500)


def test_crowds_other_classes_and_empty_boxes_are_no_people() -> None:
    box = [10, 10, 50, 80]
    annotations = [
        {"bbox": box, "category_id": 1, "iscrowd": 1},
        {"bbox": box, "category_id": 3},
        {"bbox": [10, 10, 0, 0], "category_id": 1, "score": 0.9},
        {"bbox": box, "category_id": 1, "keypoints": [0] * 51},
        {"bbox": box, "category_id": 1, "score": 0.5},
    ]
    samples = task().samples(np.zeros((100, 100, 3), np.uint8), Item(Path(), 1, tuple(annotations)))
    assert [s.context.box_score for s in samples] == [0.5]


def pose(points: np.ndarray, scores: np.ndarray) -> Pose:
    person = Person(1, task().samples(np.zeros((256, 192, 3), np.uint8), Item(Path(), 1))[0].context.crop, 1.0)
    return Pose(person, points.astype(float), points.astype(np.float32), scores.astype(np.float32))


def test_distances_count_what_the_reference_is_sure_of() -> None:
    points = np.full((17, 2), 50.0)
    moved = points.copy()
    moved[0, 0] += 3  # sure
    moved[1, 0] += 90  # not sure
    scores = np.full(17, 0.9)
    scores[1] = 0.1
    found = task().compare([pose(points, scores)], [pose(moved, scores)]).figures
    assert found["keypoints"] == 16
    assert found["pixels_max"] == pytest.approx(3)
    assert found["pixels_mean"] == pytest.approx(3 / 16)
    assert found["moved_over_1px"] == pytest.approx(1 / 16)


def test_near_copies_of_a_person_are_dropped_from_the_results() -> None:
    points = np.random.default_rng(0).uniform(20, 180, (17, 2))
    better, copy, other = (
        pose(points, np.full(17, 0.9)),
        pose(points + 0.1, np.full(17, 0.8)),
        pose(points[::-1], np.full(17, 0.7)),
    )
    assert [r["score"] for r in task().records([copy, better, other])] == [0.9, 0.7]


def test_scoring_without_keypoints_or_sigmas_is_refused() -> None:
    def reason(name: str, *annotations: dict, **changed: Any) -> str:
        made = dataclasses.replace(card(name).labels_as(Keypoints), **changed)
        own = task_of(dataclasses.replace(card(name), labels=made))
        return own.unscorable_reason(Dataset((), {"images": [], "annotations": list(annotations)}))

    coco, mpii = "pose_hrnet_w32_256x192", "pose_hrnet_w32_mpii_256x256"
    assert reason(coco, {"keypoints": [1] * 51}) == ""
    assert reason(coco, {"bbox": [0, 0, 1, 1]}) == "the annotations have no keypoints"
    assert reason(coco, {"keypoints": [1] * 15}).startswith(
        "the annotations have 5 keypoints, but the model has 17 (nose, left_eye, "
    )
    assert reason(mpii, {"keypoints": [1] * 48}) == ""
    assert reason(mpii, {"keypoints": [1] * 48}, metric="AP") == "its data set has no OKS sigmas"
    assert task_of(card(coco)).unscorable_reason(Dataset(())) == "nothing is annotated"
    with pytest.raises(BadInput, match="cannot be scored: nothing is annotated"):
        task().score([], Dataset(()))


def test_where_the_reference_is_confident_of_nothing_everything_is_compared() -> None:
    points = np.full((17, 2), 50.0)
    found = task().compare([pose(points, np.full(17, 0.1))], [pose(points + 3, np.full(17, 0.7))])
    assert found.figures["keypoints"] == 17
    assert found.figures["moved_over_1px"] == 1
    assert found.figures["score_relative"] == pytest.approx(6)
    assert "the reference has none above 0.2" in found.sentence


def test_a_flip_test_needs_pairs() -> None:
    lone = dataclasses.replace(CARD, labels=Keypoints(("a", "b")))
    with pytest.raises(BadInput, match="which keypoints mirror each other"):
        PoseTask(lone, InputFormat(), TaskOptions(flip_test=True))
    with pytest.raises(BadInput, match="which keypoints mirror each other"):
        embedding_of(lone)(lone, (1, 2, 64, 48), True, 20)
    with pytest.raises(BadInput, match="decodes inside the graph without a flip test"):
        PoseTask(CARD, InputFormat(embedded=True), TaskOptions(flip_test=True))


def test_higher_hrnet_is_not_averaged_decoded_in_another_way_or_grouped() -> None:
    bottom_up = card_for(arch.HigherHRNet(TINY.body, keypoints=17, tags=17))
    with pytest.raises(BadInput, match="is HigherHRNet, whose results are not averaged here — leave --flip-test out"):
        task_of(bottom_up, InputFormat(), options=TaskOptions(flip_test=True))
    dark = dataclasses.replace(bottom_up, labels=bottom_up.labels_as(Keypoints).decoded("dark", ""))
    with pytest.raises(BadInput, match="HigherHRNet.* is decoded in a way of its own — leave --decode and --geometry"):
        task_of(dark, InputFormat())
    with pytest.raises(BadInput, match="use the outputs of the file with a grouping of your own"):
        task_of(bottom_up, InputFormat()).records([])


def test_drawing_changes_the_copy_only() -> None:
    image = np.full((256, 192, 3), 128, np.uint8)
    points = np.random.default_rng(0).uniform(20, 180, (17, 2))
    drawn = task().draw(image, [pose(points, np.full(17, 0.9))])
    assert (image == 128).all()
    assert (drawn != 128).any()
    assert (task().draw(image, [pose(points, np.zeros(17))]) == 128).all()


# --- other people's annotations ------------------------------------------------------------------------------


def drawn_people() -> dict[str, Any]:
    """Those of the package's sample images: people with keypoints, and things without."""
    values: dict[str, Any] = json.loads((folder() / "demo" / "images" / "annotations.json").read_text())
    return values


def scored(content: dict[str, Any], tmp_path: Path) -> tuple[float, dict[str, Any], int]:
    """AP of poses that are a few pixels off, what is said of the annotations, and how many people are looked at."""
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    dataset, own = load_dataset(folder() / "demo" / "images", path), task()
    poses, looked_at = [], 0
    people = [a for a in drawn_people()["annotations"] if any(a.get("keypoints", ()))]
    for person in people:
        points = np.array(person["keypoints"]).reshape(17, 3)[:, :2] + np.tile([[4.0, 0], [0, 1]], (9, 1))[:17]
        found = pose(points, np.full(17, 0.9))
        poses.append(dataclasses.replace(found, person=dataclasses.replace(found.person, image_id=person["image_id"])))
    for item in dataset.items:
        looked_at += len(own.samples(item.read(), item))
    return own.score(poses, dataset).figures()["AP"], own.reading(dataset), looked_at


def every(content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**content, "annotations": [{**a, **fields} for a in content["annotations"]]}


def people_as(number: int, categories: Any) -> dict[str, Any]:
    """The annotations of people alone, with another number."""
    content = drawn_people()
    people = [{**a, "category_id": number} for a in content["annotations"] if a["category_id"] == 1]
    return {**content, "annotations": people, "categories": categories}


@pytest.mark.parametrize(
    ("number", "categories"),
    [
        (9, [{"id": 9, "name": "armpoint"}]),
        (9, [{"id": 9, "name": "People"}, {"id": 1, "name": "ball"}]),
        (0, [{"id": 0, "name": "person"}]),
        (0, None),
        (7, [{"id": 1, "name": "ball"}, {"id": 7, "name": "dancer"}]),
    ],
)
def test_people_have_any_number(number: int, categories: Any, tmp_path: Path) -> None:
    wanted, said, count = scored(drawn_people(), tmp_path)
    assert 0.1 < wanted < 1 and said == {} and count > 0
    ap, said, looked_at = scored(people_as(number, categories), tmp_path)
    assert ap == wanted and looked_at == count
    by_name = categories is not None and any(c["name"].lower() in ("person", "people") for c in categories)
    assert ("boxes_of" in said) == (not by_name)


def test_boxes_of_nobody_are_refused_with_the_list(tmp_path: Path) -> None:
    """Where the first category is a ball, no keypoints are put on it."""

    def look(content: Any) -> int:
        path = tmp_path / "boxes.json"
        path.write_text(json.dumps(content))
        items = load_dataset(folder() / "demo" / "images", path).items
        return sum(len(task().samples(i.read(), i)) for i in items)

    def boxes(*numbers: int) -> list[dict[str, Any]]:
        return [{"image_id": 3, "category_id": n, "bbox": [10, 10, 50, 80], "score": 0.9} for n in numbers]

    content = drawn_people()
    assert look(boxes(1, 3)) == 1
    assert look(boxes(0, 0)) == 2  # detectors of the YOLO family
    for unclear in (boxes(0, 1), boxes(3)):  # 1 is a bicycle there; a lone 3 is a car
        with pytest.raises(BadInput, match="the network looks at the category person: none is called so"):
            look(unclear)
    balls = [{k: v for k, v in a.items() if "keypoints" not in k} for a in content["annotations"]]
    with pytest.raises(BadInput, match=r"categories 1 \(ball\), .* none of them has keypoints"):
        look({**content, "annotations": balls, "categories": [{"id": 1, "name": "ball"}]})


def test_the_area_is_that_of_the_box_where_there_is_none_and_it_is_said(tmp_path: Path) -> None:
    content = drawn_people()
    without = [{k: v for k, v in a.items() if k != "area"} for a in content["annotations"]]
    results = [scored({**content, "annotations": without}, tmp_path)]
    results += [scored(every(content, area=area), tmp_path) for area in (0, None, "0")]
    people = sum(any(a.get("keypoints", ())) for a in content["annotations"])
    for ap, said, _ in results:
        assert ap == results[0][0] > scored(content, tmp_path)[0]  # boxes are larger than what they show
        assert said["area"] == f"that of the box for {people} of {people} people, whose annotations have none"


def with_points(change: Callable[[list[float]], Any]) -> dict[str, Any]:
    content = drawn_people()
    known = [{**a, "keypoints": change(a["keypoints"])} if "keypoints" in a else a for a in content["annotations"]]
    return {**content, "annotations": known}


def test_keypoints_without_visibility_all_count_and_it_is_said(tmp_path: Path) -> None:
    def pairs(points: list[float]) -> list[float]:
        return [v for i, v in enumerate(points) if i % 3 != 2]

    ap, said, _ = scored(with_points(pairs), tmp_path)
    assert ap == scored(drawn_people(), tmp_path)[0]
    assert "whose keypoints all count" in str(said["visibility"])


def test_no_labelled_keypoint_is_a_sentence_and_no_score(tmp_path: Path) -> None:
    hidden = with_points(lambda points: [0 if i % 3 == 2 else v for i, v in enumerate(points)])
    with pytest.raises(BadInput, match="no keypoint of the annotations is labelled: the visibility v of all is 0"):
        scored(hidden, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: every(c, iscrowd=None, num_keypoints=None),
        lambda c: every(c, iscrowd="0", num_keypoints=0),
        lambda c: {**c, "annotations": [{"keypoints": None, **a} for a in c["annotations"]]},
        lambda c: {**c, "annotations": [{**a, "bbox": [str(v) for v in a["bbox"]]} for a in c["annotations"]]},
        lambda c: {**c, "annotations": [{**a, "category_id": str(a["category_id"])} for a in c["annotations"]]},
        lambda c: {**c, "annotations": [{**a, "category_id": float(a["category_id"])} for a in c["annotations"]]},
        lambda c: with_points(lambda p: [str(v) for v in p]),
        lambda c: with_points(lambda p: [p[i : i + 3] for i in range(0, 51, 3)]),
        lambda c: with_points(lambda p: [None if v == 0 else v for v in p]),
        lambda c: {**c, "categories": None},
    ],
)
def test_empty_fields_and_numbers_as_text_change_nothing(change: Callable[[Any], Any], tmp_path: Path) -> None:
    wanted = scored(drawn_people(), tmp_path)
    assert scored(change(drawn_people()), tmp_path)[::2] == wanted[::2]
