"""Four files that other exporters wrote of the trained demo models: adopted, quantized, checked and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import generate
import pytest
import torch
from support import foreign
from torch import nn

from hrnet_deploy import checkpoints
from hrnet_deploy.jobs.adopt import AdoptRequest, adopt
from hrnet_deploy.jobs.check import CheckRequest, check
from hrnet_deploy.jobs.evaluate import EvalRequest, evaluate
from hrnet_deploy.jobs.quantize import QuantizeRequest, quantize
from hrnet_deploy.workflow.open_model import ModelUse
from hrnet_deploy.workflow.split import Split

pytestmark = pytest.mark.slow
POSE, PARTS, THINGS = (
    "pose_hrnet_w16_demo_128x96",
    "seg_hrnetv2_w16_demo_256x256",
    "det_hrnetv2p_w16_demo_256x256",
)
IMAGES = 24


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    generate.generate(folder, range(IMAGES), seed=11)
    return folder


def mmdeploy_pose(path: Path) -> Path:
    """mmdeploy's names and its static batch of one."""
    return foreign.torchscript(checkpoints.load(POSE).network(), path, (1, 3, 128, 96), opset=11)


def pixels_last(path: Path) -> Path:
    """Pixels with their colours last, which the graph normalises, and other names; the batch is open."""
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])

    def before(x: torch.Tensor) -> torch.Tensor:
        return ((x.float() - mean) / std).permute(0, 3, 1, 2)

    wrapped = foreign.Wrapped(checkpoints.load(POSE).network(), before=before)
    names = ("serving_input", ["stage4_heatmaps"])
    return foreign.torchscript(wrapped, path, (1, 128, 96, 3), 17, names, {0: "N"}, pixels=True)


def labels_inside(path: Path) -> Path:
    """Class scores resized, as a softmax, and the best class as mmdeploy writes it; all axes are open."""

    def after(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        large = nn.functional.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=False)
        return large.softmax(1).argmax(1, keepdim=True)

    wrapped = foreign.Wrapped(checkpoints.load(PARTS).network(), after=after)
    return foreign.torchscript(wrapped, path, (1, 3, 256, 256), 13, open_axes={0: "batch", 2: "height", 3: "width"})


def boxes_and_labels(path: Path) -> Path:
    """mmdeploy's form of a detector: dets (1, n, 5) and labels (1, n), with a batch of one."""

    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = checkpoints.load(THINGS).network()

        def forward(self, x: torch.Tensor) -> Any:
            boxes, scores, labels, _ = self.network(x, torch.tensor([[256.0, 256.0]]))
            return torch.cat([boxes, scores[..., None]], -1), labels

    return foreign.dynamo(Detector(), path, (1, 3, 256, 256), ("input", ("dets", "labels")))


FILES = {
    "TorchScript with mmdeploy's names and a static batch": (mmdeploy_pose, POSE, False),
    "NHWC pixels": (pixels_last, POSE, True),
    "softmax and argmax inside": (labels_inside, PARTS, False),
    "dets and labels": (boxes_and_labels, THINGS, True),
}


@pytest.mark.parametrize("name", FILES)
def test_a_foreign_file_is_adopted_quantized_checked_and_scored(name: str, people: Path, tmp_path: Path) -> None:
    make, card, against = FILES[name]
    adopted, int8 = tmp_path / "adopted.onnx", tmp_path / "int8.onnx"
    source = make(tmp_path / "end2end.onnx")
    result = adopt(AdoptRequest(source, adopted, card=card, against=card if against else ""))
    assert result.passed, result.checks
    assert result.named == result.layers
    if against:
        assert result.activations is not None and result.activations.verdict == "fits"
    exact = check(CheckRequest(adopted, card, images=people, limit=2))
    if card != THINGS:  # padding is image to a detector of another exporter, and images here have some
        assert exact.passed, exact.checks
    quantized = quantize(QuantizeRequest(adopted, int8, Split(people, calibration_images=12, held_out=8), max_drop=2.0))
    assert quantized.passed, quantized.trials[-1].checks
    scores = [evaluate(EvalRequest(ModelUse(f), people, limit=6)).figures for f in (adopted, int8)]
    metric = next(iter(scores[0]))
    assert scores[0][metric] > 0.5 and abs(scores[0][metric] - scores[1][metric]) < 0.1
