"""The further figures of CrowdPose and COCO-WholeBody are those of pycocotools on some images or keypoints alone."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.real import real

from hrnet_deploy.cards import card
from hrnet_deploy.tasks.base import InputFormat
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.pose.detailed_ap import DetailedMatches
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.person import Pose
from hrnet_deploy.tasks.pose.task import PoseTask
from hrnet_deploy.tasks.pose.truth import annotated_points, with_points

WHOLE, CROWD, COCO = "pose_hrnet_w32_wholebody_256x192", "pose_hrnet_w32_crowdpose_256x192", "pose_hrnet_w32_256x192"
RNG = np.random.default_rng(11)


def predicted(task: PoseTask, dataset: Dataset, spread: float) -> list[Pose]:
    """A pose at every annotation, further from it for every further person, with a score of its own."""
    found = []
    for item in dataset.items:
        for n, sample in enumerate(task.samples(item.read(), item)):
            places = np.array(list(annotated_points(sample.context.annotation or {}, task.keypoints)), float)
            if len(places):
                points = places[:, :2] + RNG.normal(0, spread * (n + 1), (len(places), 2))
                scores = RNG.uniform(0.3, 1, len(points)).astype(np.float32)
                found.append(Pose(sample.context, points, points.astype(np.float32), scores))
    return found


def by_pycocotools(truth: Any, results: Any, sigmas: Any, images: list[int], part: slice) -> float:
    """AP by COCOeval's own accumulate and summarize, of some keypoints on some images."""
    from pycocotools import coco, cocoeval

    def cut(entry: dict[str, Any]) -> dict[str, Any]:
        points = entry["keypoints"][3 * part.start : 3 * part.stop]
        return {**entry, "keypoints": points, "num_keypoints": int(np.count_nonzero(points[2::3]))}

    with contextlib.redirect_stdout(io.StringIO()):
        reference = coco.COCO()
        reference.dataset = {**truth, "annotations": [cut(a) for a in truth["annotations"]], "categories": [{"id": 1}]}
        reference.createIndex()
        evaluation = cocoeval.COCOeval(reference, reference.loadRes([cut(r) for r in results]), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas[part])
        evaluation.params.imgIds = images
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def parts(name: str, dataset: Dataset, spread: float) -> tuple[dict[str, float], Any, Any, Keypoints]:
    """The figures of a task, and what pycocotools needs to make them too."""
    task = PoseTask(card(name), InputFormat())
    poses = predicted(task, dataset, spread)
    score = task.score(poses, dataset)
    assert isinstance(score, DetailedMatches)
    assert dataset.truth is not None
    truth = {**dataset.truth, "annotations": [with_points(a, task.keypoints) for a in dataset.truth["annotations"]]}
    change, low, high = score.difference(score)
    assert change == low == high == 0
    return score.figures(), truth, task.records(poses), task.keypoints


def test_the_parts_of_a_whole_body_are_scored_alone() -> None:
    folder = real("coco")
    figures, truth, results, labels = parts(WHOLE, load_dataset(folder, folder / "test_coco_wholebody.json"), 1.2)
    assert list(figures) == [
        "AP", "AP50", "AP75", "AP body", "AP foot", "AP face", "AP lefthand", "AP righthand",
    ]  # fmt: skip
    images = [i["id"] for i in truth["images"]]
    start = 0
    for name, (_, count) in zip(("body", "foot", "face", "lefthand", "righthand"), labels.parts, strict=True):
        own = by_pycocotools(truth, results, labels.sigmas, images, slice(start, start + count))
        assert figures[f"AP {name}"] == pytest.approx(own, abs=1e-12), name
        start += count
    assert start == 133 and 0 < figures["AP face"] < figures["AP body"] < 1


def crowded(folder: Path, indices: list[float]) -> Dataset:
    """Two people on each image, which has this crowdIndex."""
    annotations = []
    for i, _ in enumerate(indices):
        write_image(folder / f"{i}.png", np.zeros((120, 120, 3), np.uint8))
        for n in range(2):
            points = np.column_stack([RNG.uniform(30, 90, (14, 2)), np.full(14, 2)]).ravel().tolist()
            box = [20.0, 20.0, 80.0, 60.0 - n]
            own = {"id": 2 * i + n + 1, "image_id": i, "category_id": 1, "iscrowd": 0}
            annotations.append({**own, "bbox": box, "keypoints": points})
    images = [{"id": i, "file_name": f"{i}.png", "crowdIndex": v} for i, v in enumerate(indices)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "crowd.json").write_text(json.dumps(content))
    return load_dataset(folder, folder / "crowd.json")


def test_the_images_of_each_degree_of_crowding_are_scored_alone(tmp_path: Path) -> None:
    """The bounds are 0.2 and 0.8, and belong to the group above them."""
    indices = [0.0, 0.19, 0.2, 0.5, 0.79, 0.8, 1.0]
    figures, truth, results, labels = parts(CROWD, crowded(tmp_path, indices), 3)
    groups = {"easy": [0, 1], "medium": [2, 3, 4], "hard": [5, 6]}
    for name, images in groups.items():
        own = by_pycocotools(truth, results, labels.sigmas, images, slice(0, 14))
        assert figures[f"AP {name}"] == pytest.approx(own, abs=1e-12), name
    assert len({figures[f"AP {name}"] for name in groups}) == 3


def test_groups_without_anybody_are_left_out(tmp_path: Path) -> None:
    figures, *_ = parts(CROWD, crowded(tmp_path, [0.0, 0.5]), 3)
    assert list(figures) == ["AP", "AP50", "AP75", "AP easy", "AP medium"]


def test_files_without_groups_have_the_three_figures(tmp_path: Path) -> None:
    dataset = crowded(tmp_path, [0.0, 0.5])
    content = json.loads((tmp_path / "crowd.json").read_text())
    del content["images"][1]["crowdIndex"]
    (tmp_path / "crowd.json").write_text(json.dumps(content))
    figures, *_ = parts(CROWD, load_dataset(tmp_path, tmp_path / "crowd.json"), 3)
    assert list(figures) == ["AP", "AP50", "AP75"] and len(dataset) == 2


def test_the_real_file_of_crowdpose_has_its_groups() -> None:
    folder = real("crowdpose")
    figures, *_ = parts(CROWD, load_dataset(folder, folder / "test_crowdpose.json"), 2)
    assert "AP medium" in figures
