"""Our AP is pycocotools' AP, and the bootstrap says what it should."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hrnet_deploy.cards import card
from hrnet_deploy.tasks.average_precision import Matches, paired_difference
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.oks import oks_nms

SIGMAS = card("pose_hrnet_w32_256x192").labels_as(Keypoints).sigmas


def dataset(images: int, noise: float, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """People with random keypoints, and detections of them that are off by `noise` of their size."""
    rng = np.random.default_rng(5)
    blur = np.random.default_rng(seed)
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    results = []
    for image in range(images):
        truth["images"].append({"id": image})
        for _ in range(int(rng.integers(0, 4))):
            size = rng.uniform(40, 200)
            points = rng.uniform(0, size, (17, 2)) + rng.uniform(0, 300, 2)
            visible = rng.integers(0, 3, 17)
            flat = np.column_stack([points, visible]).ravel().tolist()
            person = {
                "keypoints": flat,
                "num_keypoints": int((visible > 0).sum()),
                "bbox": [*points.min(0), size, size],
            }
            own = {"id": len(truth["annotations"]) + 1, "image_id": image, "category_id": 1}
            truth["annotations"].append({**own, **person, "area": size**2 * 0.4, "iscrowd": 0})
            if blur.random() < 0.9:
                found = points + blur.normal(0, noise * size, (17, 2))
                results.append(
                    {
                        "image_id": image,
                        "category_id": 1,
                        "score": float(blur.random()),
                        "keypoints": np.column_stack([found, np.ones(17)]).ravel().tolist(),
                    }
                )
        if blur.random() < 0.3:
            lost = np.column_stack([blur.uniform(0, 400, (17, 2)), np.ones(17)])
            results.append(
                {"image_id": image, "category_id": 1, "score": float(blur.random()), "keypoints": lost.ravel().tolist()}
            )
    return truth, results


def reference(truth: dict[str, Any], results: list[dict[str, Any]]) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats[:3])


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05, 0.1])
def test_ap_is_that_of_pycocotools(noise: float) -> None:
    truth, results = dataset(60, noise, seed=1)
    figures = Matches(truth, results, sigmas=SIGMAS).figures()
    assert np.abs(reference(truth, results) - list(figures.values())).max() < 1e-12


def test_nothing_found_is_zero_and_nobody_there_is_no_number() -> None:
    truth, _ = dataset(10, 0, seed=1)
    assert Matches(truth, [], sigmas=SIGMAS).figures()["AP"] == 0
    empty = {"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1}]}
    assert np.isnan(Matches(empty, [], sigmas=SIGMAS).figures()["AP"])


def test_a_sample_of_all_images_is_the_whole() -> None:
    truth, results = dataset(40, 0.05, seed=2)
    matches = Matches(truth, results, sigmas=SIGMAS)
    assert np.array_equal(matches.ap(np.arange(40)), matches.ap())
    assert not np.array_equal(matches.ap(np.arange(20)), matches.ap())


def test_the_paired_difference_knows_worse_from_the_same() -> None:
    truth, good = dataset(80, 0.02, seed=1)
    _, bad = dataset(80, 0.06, seed=1)
    a, b = Matches(truth, good, sigmas=SIGMAS), Matches(truth, bad, sigmas=SIGMAS)
    change, low, high = paired_difference(a, b, samples=200)
    assert low <= change <= high < 0
    assert paired_difference(a, a, samples=50) == (0, 0, 0)


def test_oks_nms_keeps_the_best_of_near_copies() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.uniform(0, 100, (2, 17, 2))
    points = np.stack([one, one + 0.2, two])
    kept = oks_nms(points, np.array([0.5, 0.9, 0.7]), np.full(3, 100.0**2), SIGMAS)
    assert kept == [1, 2]


def test_ids_that_start_at_zero_and_other_categories_change_nothing() -> None:
    from hrnet_deploy.cards import card as find
    from hrnet_deploy.tasks.base import task_of
    from hrnet_deploy.tasks.dataset import Dataset

    truth, _ = dataset(30, 0, seed=1)
    perfect = [
        {"image_id": a["image_id"], "category_id": 1, "score": 0.9, "keypoints": a["keypoints"]}
        for a in truth["annotations"]
        if a["num_keypoints"]
    ]
    expected = Matches(truth, perfect, sigmas=SIGMAS).figures()
    shifted = {
        **truth,
        "annotations": [{**a, "id": a["id"] - 1} for a in truth["annotations"]],
        "categories": [{"id": 0, "name": "thing"}, {"id": 1}],
    }
    task: Any = task_of(find("pose_hrnet_w32_256x192"))
    task.records = lambda _: perfect
    score = task.score([], Dataset((), shifted))
    assert score.figures() == expected
    assert score.figures()["AP"] > 0.9
    assert score.difference(score) == (0, 0, 0)
