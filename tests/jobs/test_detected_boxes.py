"""AP in the boxes of a detector is what pycocotools computes from the results that `predict` writes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import generate
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support.demo import NAME
from support.real import real

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import describe, description_of, load_model, save_model
from hrnet_deploy.jobs.check import CheckRequest, check
from hrnet_deploy.jobs.evaluate import EvalRequest, evaluate
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
from hrnet_deploy.jobs.predict import PredictRequest, predict
from hrnet_deploy.tasks.detections import Boxes
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.workflow.open_model import ModelUse
from hrnet_deploy.workflow.split import Split

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people, and `boxes.json`: a box that is a little off for every person, with a copy that is further off, one
    of nobody in every image, and boxes of another class."""
    folder = tmp_path_factory.mktemp("people")
    generate.generate(folder, range(6), seed=43)
    truth = json.loads((folder / "annotations.json").read_text())
    rng = np.random.default_rng(1)
    found = []
    for a in truth["annotations"]:
        if a["category_id"] == 1:
            for off in (2.0, 6.0):
                box = (np.array(a["bbox"]) + rng.normal(0, off, 4)).round(2).tolist()
                found.append({"image_id": a["image_id"], "category_id": 1, "bbox": box, "score": rng.uniform(0.3, 1)})
    for image in truth["images"]:
        own = {"image_id": image["id"], "bbox": [5, 5, 40, 60]}
        found += [{**own, "category_id": 1, "score": 0.1}, {**own, "category_id": 3, "score": 0.9}]
    (folder / "boxes.json").write_text(json.dumps(found))
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The demo network at two sizes of its input."""
    folder = tmp_path_factory.mktemp("models")
    small, large = folder / "small.onnx", folder / "large.onnx"
    options = ExportOptions(dynamic=("height", "width"), exporter="torchscript", simplify=False)
    export(ExportRequest(NAME, small, options))
    model = load_model(small)
    found = description_of(model, small)
    describe(model, dataclasses.replace(found, card=found.card.resized(192, 160)))
    save_model(model, large)
    return [small, large]


def by_pycocotools(truth: Path, results: Path) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes(json.loads(results.read_text())), "keypoints")
        evaluation.params.catIds = [1]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(v) for v in evaluation.stats[:3]]


@pytest.mark.slow
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("name", ["drawn", "photographs"])
def test_ap_is_that_of_pycocotools(name: str, flip: bool, models: list[Path], people: Path, tmp_path: Path) -> None:
    images, truth, boxes = people, people / "annotations.json", people / "boxes.json"
    if name == "photographs":
        images = real("coco")
        truth, boxes = images / "test_coco.json", images / "test_coco_det_AP_H_56.json"
    for number, model in enumerate(models):
        use, out = ModelUse(model, flip_test=flip), tmp_path / str(number)
        found = evaluate(EvalRequest(use, images, truth, boxes=Boxes(boxes)))
        predict(PredictRequest(use, [images], out, Boxes(boxes), pictures=False))
        assert list(found.figures.values()) == pytest.approx(by_pycocotools(truth, out / "results.json"), abs=1e-12)
        assert found.figures["AP"] > 0.05
        assert found.protocol["boxes"] == boxes.name and len(str(found.protocol["boxes_sha256"])) == 64
        assert (found.protocol["box_threshold"], found.protocol["nms"]) == (0.0, 0.9)


def test_thresholds_decide_which_people_there_are(tiny_onnx: Path, people: Path) -> None:
    """Without suppression there are as many results as boxes; with much of it, one for each image."""

    def count(**options: float) -> int:
        dataset = load_dataset(people, boxes=Boxes(people / "boxes.json", **options))
        return sum(len(i.annotations or ()) for i in dataset.items)

    listed = json.loads((people / "boxes.json").read_text())
    assert count() == len(listed)
    assert count(threshold=0.2) == sum(b["score"] >= 0.2 for b in listed)

    def results(nms: float, folder: Path) -> int:
        request = PredictRequest(ModelUse(tiny_onnx), [people], folder, Boxes(people / "boxes.json", nms=nms), False)
        return predict(request).results

    assert results(1.0, people.parent / "all") == sum(b["category_id"] == 1 for b in listed)
    assert results(0.0, people.parent / "few") == 6


def test_check_and_a_split_take_the_same_boxes(tiny_onnx: Path, people: Path) -> None:
    boxes = Boxes(people / "boxes.json", 0.2)
    done = check(CheckRequest(tiny_onnx, str(tiny_onnx), people, boxes=boxes))
    people_found = [b for b in json.loads((people / "boxes.json").read_text()) if b["score"] >= 0.2]
    assert done.task.samples == sum(b["category_id"] == 1 for b in people_found)
    assert done.task.difference == 0 and done.task.protocol["box_threshold"] == 0.2
    split = Split(people, calibration_images=2, held_out=3, boxes=boxes)
    parts = split.parts()
    assert parts.test.detected and parts.test.truth is not None
    assert split.arguments()[2:8] == ["--boxes", str(boxes.file), "--box-threshold", "0.2", "--nms", "0.9"]


def test_images_without_a_detection_count_as_missed(people: Path, tmp_path: Path) -> None:
    some = [b for b in json.loads((people / "boxes.json").read_text()) if b["image_id"] != 1]
    (tmp_path / "some.json").write_text(json.dumps(some))
    dataset = load_dataset(people, boxes=Boxes(tmp_path / "some.json"))
    assert len(dataset) == 6 and dataset.truth is not None and len(dataset.truth["images"]) == 6
    assert [i.annotations for i in dataset.items if i.image_id == 1] == [()]
    assert dataset.remarks["without_boxes"] == "1 of 6 images, in which nothing was detected"


def test_what_does_not_fit_is_one_sentence(
    tiny_onnx: Path, exported_seg: Callable[..., Path], people: Path, tmp_path: Path, run: Run
) -> None:
    boxes, truth = people / "boxes.json", people / "annotations.json"

    def refused(*arguments: object) -> str:
        code, out, err = run(*arguments)
        assert code == 2 and not out and err.count("\n") == 1
        return err

    (tmp_path / "images").symlink_to(people)
    of = ("eval", tiny_onnx, "--data", people)
    assert "is a list of detections" in (mistake := refused(*of, "--annotations", boxes)) and "--boxes" in mistake
    assert "no ground truth — give such a list with --boxes" in refused(*of, "--annotations", boxes, "--boxes", boxes)
    assert "give them with --boxes" in refused(*of, "--nms", 0.5)
    assert "--nms 7 cannot be used" in refused(*of, "--boxes", boxes, "--nms", 7)
    assert "--boxes is the boxes of a detector of pose" in refused(
        "eval", exported_seg(), "--data", people, "--boxes", boxes
    )
    assert "needs image_id and bbox" in refused(*of, "--boxes", _written(tmp_path, [{"image_id": 1}]))
    elsewhere = _written(tmp_path, [{"image_id": 77, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 1}])
    assert "its image_id are 77" in refused(*of, "--annotations", truth, "--boxes", elsewhere)


def _written(folder: Path, content: Any) -> Path:
    (folder / "written.json").write_text(json.dumps(content))
    return folder / "written.json"


def test_boxes_alone_say_where_people_are(tiny_onnx: Path, people: Path, tmp_path: Path) -> None:
    """Where nothing is annotated there is nothing to score, but calibration and comparison need no truth."""
    for path in people.glob("*.png"):
        (tmp_path / path.name).symlink_to(path)
    dataset = load_dataset(tmp_path, boxes=Boxes(people / "boxes.json"))
    assert dataset.truth is None and all(i.annotations for i in dataset.items)
    with pytest.raises(BadInput, match="boxes are given, but no annotations"):
        evaluate(EvalRequest(ModelUse(tiny_onnx), tmp_path, boxes=Boxes(people / "boxes.json")))


def test_boxes_in_another_kind_of_file_are_refused(people: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text('{"boxes": []}')
    with pytest.raises(BadInput, match="is JSON, but neither a list of COCO detections nor a COCO annotation file"):
        load_dataset(people, boxes=Boxes(tmp_path / "boxes.json"))
