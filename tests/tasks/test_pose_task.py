"""One preprocessing object, equal to the official steps; predictions that land where the people are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support import goldens

from hrnet_deploy.cards import card, folder
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import InputFormat, TaskOptions, task_of
from hrnet_deploy.tasks.dataset import Dataset, Item, load_dataset
from hrnet_deploy.tasks.images import read_image
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.task import Person, Pose, PoseTask

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
    def reason(name: str, *annotations: dict) -> str:
        return task_of(card(name)).unscorable_reason(Dataset((), {"images": [], "annotations": list(annotations)}))

    coco, mpii = "pose_hrnet_w32_256x192", "pose_hrnet_w32_mpii_256x256"
    assert reason(coco, {"keypoints": [1] * 51}) == ""
    assert reason(coco, {"bbox": [0, 0, 1, 1]}) == "the annotations have no keypoints"
    assert reason(coco, {"keypoints": [1] * 15}) == "the annotations have 5 keypoints, but the model has 17"
    assert reason(mpii, {"keypoints": [1] * 48}) == "mpii has no OKS sigmas"
    assert task_of(card(coco)).unscorable_reason(Dataset(())) == "nothing is annotated"
    with pytest.raises(BadInput, match="cannot be scored: nothing is annotated"):
        task().score([], Dataset(()))


def test_a_decoding_this_version_does_not_know_is_refused() -> None:
    other = dataclasses.replace(CARD, labels=dataclasses.replace(CARD.labels_as(Keypoints), decode="dark"))
    with pytest.raises(BadInput, match="needs heatmaps decoded by 'dark'"):
        PoseTask(other, InputFormat())


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


def test_drawing_changes_the_copy_only() -> None:
    image = np.full((256, 192, 3), 128, np.uint8)
    points = np.random.default_rng(0).uniform(20, 180, (17, 2))
    drawn = task().draw(image, [pose(points, np.full(17, 0.9))])
    assert (image == 128).all()
    assert (drawn != 128).any()
    assert (task().draw(image, [pose(points, np.zeros(17))]) == 128).all()
