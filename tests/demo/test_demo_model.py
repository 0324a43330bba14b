"""The demo checkpoints are small, accurate on unseen images, and have no outliers in their activations."""

from __future__ import annotations

from pathlib import Path

import generate
import numpy as np
import pytest
import torch
from support.demo import NAME
from support.nudging import nudged

from hrnet_deploy import checkpoints
from hrnet_deploy.cards import card, shipped_checkpoint
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source
from hrnet_deploy.jobs import quantize as quantization
from hrnet_deploy.jobs.check import CheckRequest, check
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
from hrnet_deploy.jobs.quantize import quantize
from hrnet_deploy.tasks.base import dataset_samples, task_of
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.workflow.split import Split

PARSER, DETECTOR = "seg_hrnetv2_w16_demo_256x256", "det_hrnetv2p_w16_demo_256x256"
FACES = "face_hrnetv2_w8_demo_96x96"
CLASSIFIER = "cls_hrnet_w16_demo_64x64"
UNSEEN = 10_001  # a series that is used neither for training nor for validation


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    generate.generate(folder, range(500), seed=UNSEEN)
    return folder


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.onnx"
    assert export(ExportRequest(NAME, path, ExportOptions(dynamic=("batch",)))).passed
    return path


@pytest.mark.parametrize("name", [NAME, PARSER, DETECTOR, FACES, CLASSIFIER])
def test_the_checkpoint_is_small_and_fits_its_card(name: str) -> None:
    path = shipped_checkpoint(card(name))
    assert path is not None
    assert path.stat().st_size <= 8_000_000
    found = checkpoints.load(name)
    assert found.card.name == name
    assert found.summary.endswith("0 missing, 0 unexpected")


@pytest.mark.slow
def test_the_pose_model_reaches_075_on_500_unseen_images_in_pytorch_and_in_onnx_runtime(
    people: Path, onnx_file: Path
) -> None:
    report = check(CheckRequest(onnx_file, NAME, images=people))
    assert report.passed
    assert report.task is not None
    assert report.task.images == 500
    assert report.task.reference["AP"] >= 0.75
    assert report.task.engine["AP"] >= 0.75


@pytest.mark.slow
@pytest.mark.parametrize(("name", "metric", "least"), [(PARSER, "mIoU", 0.70), (DETECTOR, "AP50", 0.90)])
def test_the_other_models_and_their_int8_versions_on_300_unseen_images(
    name: str, metric: str, least: float, people: Path, tmp_path: Path
) -> None:
    assert export(ExportRequest(name, tmp_path / "float.onnx", ExportOptions())).passed
    split = Split(people, calibration_images=64, held_out=300)
    done = quantize(quantization.QuantizeRequest(tmp_path / "float.onnx", tmp_path / "int8.onnx", split))
    figures = done.trials[-1].figures
    assert figures.images == 300
    assert figures.reference[metric] >= least
    assert figures.difference is not None
    assert abs(figures.difference) <= 1.0  # half a point is the goal; 300 images measure it to half a point


@pytest.mark.slow
def test_the_landmark_model_and_its_int8_version_on_unseen_images(tmp_path: Path) -> None:
    generate.generate_faces(tmp_path / "faces", range(132), seed=UNSEEN)
    options = ExportOptions(exporter="torchscript")
    assert export(ExportRequest(FACES, tmp_path / "float.onnx", options)).passed
    split = Split(tmp_path / "faces", calibration_images=32, held_out=100)
    done = quantize(quantization.QuantizeRequest(tmp_path / "float.onnx", tmp_path / "int8.onnx", split))
    figures = done.trials[-1].figures
    assert figures.images == 100
    assert figures.reference["NME"] < 0.05
    assert figures.engine["NME"] == pytest.approx(figures.reference["NME"], rel=0.04)  # 2% is the goal, on 500 images


@pytest.mark.slow
def test_the_classifier_and_its_int8_version_on_unseen_images(tmp_path: Path) -> None:
    generate.generate_things(tmp_path / "things", range(264), seed=UNSEEN)
    assert export(ExportRequest(CLASSIFIER, tmp_path / "float.onnx", ExportOptions(exporter="torchscript"))).passed
    split = Split(tmp_path / "things", calibration_images=64, held_out=200)
    done = quantize(quantization.QuantizeRequest(tmp_path / "float.onnx", tmp_path / "int8.onnx", split))
    figures = done.trials[-1].figures
    assert figures.images == 200
    assert figures.reference["top-1"] >= 0.88  # 0.9 is the goal, and one image is half a point
    assert figures.difference is not None
    assert abs(figures.difference) <= 1.0  # half a point is the goal, on 500 images


@pytest.mark.slow
def test_a_copy_with_a_wrong_weight_fails_by_its_metric_too(people: Path, onnx_file: Path, tmp_path: Path) -> None:
    bad = nudged(onnx_file, tmp_path / "bad.onnx", "stage4.1.branches.0.1.conv2.weight", by=20.0)
    report = check(CheckRequest(bad, NAME, images=people, limit=60))
    failed = {c.name for c in report.checks if not c.passed}
    assert "AP difference, points" in failed
    assert report.first_difference.startswith("stage4.1.branches.0.1.bn2")


@pytest.mark.slow
def test_no_image_has_extreme_activations(people: Path) -> None:
    """A batch norm with an underestimated variance can amplify a rare image a thousandfold."""
    network = checkpoints.load(NAME).network()
    peaks: dict[str, list[float]] = {}
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda _, __, y, n=name: peaks.setdefault(n, []).append(float(y.abs().max())))
    with torch.inference_mode():
        for _, _, samples in dataset_samples(task_of(card(NAME)), load_dataset(people, limit=300)):
            for sample in samples:
                network(torch.from_numpy(sample.feed["image"]))
    assert max(max(v) / float(np.median(v)) for v in peaks.values()) < 20


@pytest.mark.slow
def test_the_flip_test_does_not_hurt(people: Path, onnx_file: Path) -> None:
    dataset = load_dataset(people, limit=150)
    scores = []
    for flip in (False, True):
        task = task_of(card(NAME), flip_test=flip)
        engine = open_engine("ort", Source(card(NAME), onnx_file))
        found = []
        for _, _, samples in dataset_samples(task, dataset):
            outputs = [engine.run(s.feed) for s in samples]
            found += task.decode(outputs, samples)
        scores.append(task.score(found, dataset).figures()["AP"])
    assert scores[1] > scores[0] - 0.01
