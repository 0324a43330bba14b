"""Detection as a task: an image to the input and boxes back, matching, AP of boxes, pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support.tiny import DETECTOR

from hrnet_deploy.cards import ModelCard, card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks.average_precision import Matches, paired_difference
from hrnet_deploy.tasks.base import InputFormat, task_of
from hrnet_deploy.tasks.classes import Classes
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.detection.task import DetectionTask, ImageDetections

NAMES = ("person", "ball", "crate", "sign", "plant", "bottle")
CARD = ModelCard("tiny", DETECTOR, Input(96, 128, fit="pad"), "drawn", Classes(NAMES))


def found(boxes: Any, scores: Any, labels: Any, image: int = 1, full: bool = False) -> ImageDetections:
    at = np.asarray(boxes, np.float32).reshape(-1, 4)
    return ImageDetections(
        image, at.astype(float), at, np.asarray(scores, np.float32), np.asarray(labels, np.int64), full
    )


@pytest.mark.parametrize(
    ("size", "longest", "used"),
    [
        ((427, 640), 1333, (800, 1199)),  # as mmdetection: int(640 * 800/427 + 0.5)
        ((480, 640), 1333, (800, 1067)),
        ((360, 640), 1333, (750, 1333)),  # the long side is the limit
        ((360, 640), None, (756, 1344)),
        ((640, 480), 1333, (800, 600)),  # upright: fits in the frame
        ((1, 3000), 1333, (1, 1333)),
    ],
)
def test_an_image_keeps_its_shape_in_the_input(
    size: tuple[int, int], longest: int | None, used: tuple[int, int]
) -> None:
    of = card("faster_rcnn_hrnetv2p_w18_800x1344")
    task = DetectionTask(dataclasses.replace(of, input=dataclasses.replace(of.input, longest=longest)), InputFormat())
    image = np.full((*size, 3), (255, 0, 0), np.uint8)
    sample = task.samples(image, Item(Path(), 1))[0]
    x = sample.feed["image"]
    assert x.shape == (1, 3, 800, 1344) and x.dtype == np.float32
    assert sample.feed["image_size"].tolist() == [list(used)]
    assert sample.context.zoom == pytest.approx((used[1] / size[1], used[0] / size[0]))
    assert np.allclose(
        x[0, :, : used[0], : used[1]].max(axis=(1, 2)),
        (np.array([1.0, 0, 0]) - of.input.mean) / of.input.std,
        atol=1e-5,
    )
    assert not x[..., used[0] :, :].any() and not x[..., used[1] :].any()


def test_the_resizing_is_that_of_mmdetection() -> None:
    """Scale and normalise, step by step, with the constants of mmdetection's configurations."""
    import cv2

    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    task = DetectionTask(CARD, InputFormat())
    zoom = min(96 / 50, 128 / 70)
    scaled = cv2.resize(image, (int(70 * zoom + 0.5), int(50 * zoom + 0.5)), interpolation=cv2.INTER_LINEAR).astype(
        np.float32
    )
    wanted = (scaled - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
    got = task.feed(image)["image"][0, :, :91, :128].transpose(1, 2, 0)
    assert np.abs(got - wanted).max() < 1e-5


def test_boxes_go_back_to_the_image() -> None:
    task = DetectionTask(CARD, InputFormat())
    sample = task.samples(np.zeros((200, 200, 3), np.uint8), Item(Path(), 7))[0]
    outputs: dict[str, NDArray] = {
        "boxes": np.array([[[0, 0, 48, 96], [9, 9, 10, 10]]], np.float32),
        "scores": np.array([[0.9, 0]], np.float32),
        "labels": np.array([[2, -1]]),
        "count": np.array([1]),
    }
    prediction = task.decode([outputs], [sample])[0]
    assert np.abs(prediction.boxes - [[0, 0, 100, 200]]).max() < 1e-12
    assert prediction.labels.tolist() == [2] and not prediction.full
    assert task.records([prediction]) == [{"image_id": 7, "category_id": 3, "bbox": [0, 0, 100, 200], "score": 0.9}]


def test_coco_has_gaps_between_its_numbers() -> None:
    task = DetectionTask(card("faster_rcnn_hrnetv2p_w32_800x1344"), InputFormat())
    records = task.records([found([[0, 0, 5, 5]] * 3, [0.9, 0.8, 0.7], [0, 11, 79])])
    assert [r["category_id"] for r in records] == [1, 13, 90]


TWO = [[10, 10, 50, 50], [20, 60, 40, 90]]


def test_matches_are_found_whatever_their_order() -> None:
    task = task_of(CARD)
    a = found(TWO, [0.8, 0.7], [1, 1])
    b = found([TWO[1], [10.5, 10, 50, 49]], [0.71, 0.6], [1, 1])
    figures = task.compare([a], [b]).figures
    assert figures["missing"] == figures["extra"] == 0
    assert figures["pixels_max"] == 1 and figures["pixels_mean"] == 0.5
    assert figures["score_max"] == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize(
    ("other", "missing", "extra"),
    [
        (found(TWO, [0.8, 0.7], [1, 2]), 0.5, 0.5),  # another class
        (found(TWO[:1], [0.8], [1]), 0.5, 0.0),
        (found([*TWO, [70, 70, 90, 90]], [0.8, 0.7, 0.6], [1, 1, 0]), 0.0, 1 / 3),
        (
            found([*TWO, [70, 70, 90, 90]], [0.8, 0.7, 0.2], [1, 1, 0]),
            0.0,
            0.0,
        ),  # nobody asks for one that scores so little
        (found([TWO[0], TWO[0]], [0.8, 0.8], [1, 1]), 0.5, 0.5),  # one cannot match two
        (found([], [], []), 1.0, 0.0),
    ],
)
def test_what_has_no_match_is_counted(other: ImageDetections, missing: float, extra: float) -> None:
    figures = task_of(CARD).compare([found(TWO, [0.8, 0.7], [1, 1])], [other]).figures
    assert figures["missing"] == missing and figures["extra"] == pytest.approx(extra)


def test_where_nothing_is_found_nothing_is_judged() -> None:
    from hrnet_deploy.parity import budget_for, judge
    from hrnet_deploy.results.figures import TaskFigures, all_passed

    task = task_of(CARD)
    distance = task.compare([found([], [], [])], [found([], [], [])])
    assert not all_passed(judge(budget_for("fp32", task), [], TaskFigures(1, 1, [], distance)))


def test_the_end_of_a_full_list_may_differ() -> None:
    a, b = (found([*TWO, last], [0.8, 0.7, 0.4], [1, 1, 0], full=True) for last in ([70, 70, 90, 90], [60, 5, 80, 30]))
    assert task_of(CARD).compare([a], [b]).figures["missing"] == 0


def test_a_detector_is_refused_what_it_cannot_do() -> None:
    with pytest.raises(
        BadInput,
        match="--flip-test is the flip test of pose, segmentation and landmarks, tiny is for detection — leave it out",
    ):
        task_of(CARD, flip_test=True)
    with pytest.raises(BadInput, match="fit: pad"):
        task_of(dataclasses.replace(CARD, input=Input(96, 128)))


def test_pictures_have_boxes_and_leave_the_image_alone() -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    task = task_of(CARD)
    drawn = task.draw(image, [found([[20, 40, 60, 90], [5, 5, 10, 10]], [0.9, 0.1], [1, 2])])
    assert not image.any() and drawn[90, 40].any() and drawn[60, 60].any()
    assert not drawn[5:11, 5:11].any()  # too unsure to be drawn


# AP of boxes


def boxes_of(images: int, noise: float, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Boxes of three of four categories, one of them a crowd, and detections of them off by `noise` of their size."""
    rng, blur = np.random.default_rng(5), np.random.default_rng(seed)
    categories = [{"id": i, "name": n} for i, n in ((1, "person"), (3, "ball"), (7, "crate"), (9, "sign"))]
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}
    results = []
    for image in range(images):
        truth["images"].append({"id": image})
        for _ in range(int(rng.integers(0, 6))):
            size, category = rng.uniform(20, 200, 2), int(rng.choice([1, 3, 7]))
            box = [*rng.uniform(0, 300, 2), *size]
            own = {"id": len(truth["annotations"]) + 1, "image_id": image, "category_id": category, "bbox": box}
            truth["annotations"].append({**own, "area": float(size.prod()), "iscrowd": int(rng.random() < 0.1)})
            if blur.random() < 0.9:
                off = (np.array(box) + blur.normal(0, noise, 4) * [*size, *size]).tolist()
                label = category if blur.random() < 0.9 else 9
                results.append({"image_id": image, "category_id": label, "bbox": off, "score": float(blur.random())})
    return truth, results


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_ap_of_boxes_is_that_of_pycocotools(noise: float) -> None:
    truth, results = boxes_of(50, noise, seed=1)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes([dict(r) for r in results]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = Matches(truth, results, (1, 3, 7, 9)).figures()
    assert np.abs(evaluation.stats[:3] - list(figures.values())).max() < 1e-12


def test_a_sample_counts_images_as_often_as_it_holds_them() -> None:
    """The bootstrap's shortcut gives what a dataset with those images copied gives."""
    truth, results = boxes_of(12, 0.05, seed=2)
    sample = np.random.default_rng(0).integers(0, 12, 12)
    copied: dict[str, Any] = {"images": [{"id": i} for i in range(12)], "annotations": []}
    again = []
    for new, old in enumerate(sample):
        copied["annotations"] += [{**a, "image_id": new} for a in truth["annotations"] if a["image_id"] == old]
        again += [{**r, "image_id": new} for r in results if r["image_id"] == old]
    matches = Matches(truth, results, (1, 3, 7, 9))
    assert np.abs(matches.ap(sample) - Matches(copied, again, (1, 3, 7, 9)).ap()).max() < 1e-12
    assert not np.array_equal(matches.ap(sample), matches.ap())


def test_the_paired_difference_of_boxes_knows_worse_from_the_same() -> None:
    truth, good = boxes_of(60, 0.02, seed=1)
    _, bad = boxes_of(60, 0.08, seed=1)
    a, b = Matches(truth, good, (1, 3, 7)), Matches(truth, bad, (1, 3, 7))
    change, low, high = paired_difference(a, b, samples=100)
    assert low <= change <= high < 0 and b.difference(b) == (0, 0, 0)


def test_classes_are_matched_to_a_dataset_by_name() -> None:
    """A dataset's own numbers, in another order than the card's."""
    truth = {
        "images": [{"id": 1}],
        "categories": [{"id": 40 - i, "name": n} for i, n in enumerate(NAMES)],
        "annotations": [{"image_id": 1, "category_id": 39, "bbox": [10, 10, 40, 40]}],
    }
    task = task_of(CARD)
    prediction = [found(TWO[:1], [0.9], [1])]
    assert task.score(prediction, Dataset((), truth)).figures()["AP"] == pytest.approx(1)
    unnamed = {
        **truth,
        "categories": [{"id": 2}],
        "annotations": [{"image_id": 1, "category_id": 2, "bbox": [10, 10, 40, 40]}],
    }
    assert task.score(prediction, Dataset((), unnamed)).figures()["AP"] == pytest.approx(1)
    foreign = {**unnamed, "annotations": [{"image_id": 1, "category_id": 77, "bbox": [10, 10, 40, 40]}]}
    assert "one of its classes" in task.unscorable_reason(Dataset((), foreign))
    assert "nothing is annotated" in task.unscorable_reason(Dataset(()))


def annotated(categories: Any, *annotations: tuple[int, list[float]]) -> Dataset:
    """One image with boxes, (category, box) each."""
    known = [{"id": n, "image_id": 1, "category_id": c, "bbox": b} for n, (c, b) in enumerate(annotations, 1)]
    return Dataset((), {"images": [{"id": 1}], "categories": categories, "annotations": known})


def of_names(*names: str) -> ModelCard:
    return dataclasses.replace(CARD, labels=Classes(names))


ONE = TWO[0]
BOX, ELSEWHERE = [10.0, 10, 40, 40], [200.0, 200, 9, 9]


def named(*names: str, first: int = 1) -> list[dict[str, Any]]:
    return [{"id": i, "name": n} for i, n in enumerate(names, first)]


@pytest.mark.parametrize(
    ("classes", "categories", "number"),
    [
        (("ball", "traffic light"), named("car", "Traffic_Lights", "balls"), 3),  # spelling, order, one more
        (("Traffic-Light", "ball"), named("traffic light", first=0), 0),  # a subset, counted from 0
        (("berry", "class_0"), named("berries", first=7), 7),
        (("bus", "person"), named("person", "buses"), 2),
    ],
)
def test_classes_are_found_in_another_spelling(classes: tuple[str, ...], categories: Any, number: int) -> None:
    task = task_of(of_names(*classes))
    (label,) = [i for i, n in enumerate(classes) if n.lower()[:3] in ("bal", "tra", "ber", "bus")][:1]
    dataset = annotated(categories, (number, BOX))
    assert task.score([found([ONE], [0.9], [label])], dataset).figures()["AP"] == pytest.approx(1)
    assert task.score([found([ONE], [0.9], [1 - label])], dataset).figures()["AP"] == 0


def test_a_person_is_not_taken_for_a_crate() -> None:
    """The annotations have people and crates, in another order than the network's numbers; one class is not theirs."""
    task = task_of(CARD)
    dataset = annotated(named("crate", "person", "boat"), (2, BOX), (3, ELSEWHERE))
    assert task.score([found([ONE], [0.9], [0])], dataset).figures()["AP"] == pytest.approx(1)
    assert task.score([found([ONE], [0.9], [2])], dataset).figures()["AP"] == 0
    assert task.reading(dataset) == {
        "classes_not_annotated": "4 of 6 (ball, sign, plant, bottle)",
        "categories_not_scored": "boat",
    }
    assert task.reading(annotated(named(*NAMES), (2, BOX))) == {}


def test_a_network_without_names_is_matched_by_order_and_it_is_said() -> None:
    """A single class of one's own, numbered 0, 1 or 9."""
    task = task_of(of_names("class_0"))
    for number in (0, 1, 9):
        dataset = annotated(named("person", first=number), (number, BOX))
        assert task.score([found([ONE], [0.9], [0])], dataset).figures()["AP"] == pytest.approx(1)
        said = task.reading(dataset)["classes"]
        assert said == "matched by order, the network does not name them: class_0 is person"
    with pytest.raises(
        BadInput, match=r"categories 0 \(a\), 1 \(b\), the network has the classes class_0, which nobody"
    ):
        task.score([], annotated(named("a", "b", first=0), (0, BOX)))


def test_numbers_count_where_nothing_is_named_and_it_is_said() -> None:
    task = task_of(CARD)
    dataset = annotated(None, (2, BOX))
    assert task.score([found([ONE], [0.9], [1])], dataset).figures()["AP"] == pytest.approx(1)
    assert "matched by number" in str(task.reading(dataset)["classes"])
    with pytest.raises(BadInput, match=r"has the number 0, .* the network numbers 1 \(person\), 2 \(ball\)"):
        task.score([], annotated(None, (0, BOX), (2, BOX)))


@pytest.mark.parametrize(
    ("categories", "sentence"),
    [
        (named("boat", "cat"), r"categories 1 \(boat\), 2 \(cat\), the network has the classes person, ball, crate"),
        (named("Person", "persons"), "several categories are called person"),
    ],
)
def test_names_that_do_not_fit_are_refused_with_both_lists(categories: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        task_of(CARD).score([], annotated(categories, (1, BOX)))
    assert task_of(CARD).reading(annotated(categories, (1, BOX))) == {}


def test_annotations_without_a_category_are_counted() -> None:
    dataset = annotated(named(*NAMES), (1, BOX), (2, ELSEWHERE))
    assert dataset.truth is not None
    del dataset.truth["annotations"][1]["category_id"]
    assert task_of(CARD).score([found([ONE], [0.9], [0])], dataset).figures()["AP"] == pytest.approx(1)
    assert task_of(CARD).reading(dataset) == {"not_scored": "1 of 2 annotations, without category_id"}
