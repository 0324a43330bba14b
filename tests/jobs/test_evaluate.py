"""eval: the task's metric of a file, with the flip test and at several scales."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import generate
import numpy as np
import pytest
import torch
from support.tiny import TINY_SEG

from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source, run_samples
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.jobs.evaluate import EvalRequest, evaluate
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.base import TaskOptions
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.tasks.segmentation.multi_scale import MultiScale
from hrnet_deploy.workflow.open_model import ModelUse

Run = Callable[..., tuple[int, str, str]]
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """What `seg_checkpoint` holds."""
    made = build_network(TINY_SEG)
    random_weights(made, seed=3)
    return made.eval()


@pytest.fixture(scope="module")
def open_axes(exported_seg: Callable[..., Path]) -> Path:
    return exported_seg(dynamic=("batch", "height", "width"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    generate.generate(folder, range(4), seed=43)
    return folder


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images of noise with label maps of noise."""
    folder = tmp_path_factory.mktemp("street")
    (folder / "labels").mkdir()
    for i in range(3):
        write_image(folder / f"{i}.png", RNG.integers(0, 256, (50, 90, 3), dtype=np.uint8))
        write_image(folder / "labels" / f"{i}.png", RNG.integers(0, 19, (50, 90), dtype=np.uint8))
    return folder


def test_it_says_the_metric_and_what_it_depends_on(
    exported_seg: Callable[..., Path], street: Path, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "eval.json"
    code, said, _ = run("eval", exported_seg(), "--data", street, "--flip-test", "-o", out)
    assert code == 0
    values: dict[str, Any] = json.loads(out.read_text())
    assert (values["kind"], values["metric"], values["images"]) == ("eval", "mIoU", 3)
    assert 0 < values["figures"]["mIoU"] < 0.2
    assert values["protocol"]["flip_test"] is True
    assert f"mIoU {100 * values['figures']['mIoU']:.2f}" in said and "flip test yes" in said
    again = evaluate(EvalRequest(ModelUse(exported_seg(), flip_test=True), street))
    assert again.figures == values["figures"]
    assert evaluate(EvalRequest(ModelUse(exported_seg()), street)).figures != values["figures"]


def test_people_are_scored_by_keypoint_ap(tiny_onnx: Path, people: Path, run: Run) -> None:
    code, said, _ = run("eval", tiny_onnx, "--data", people, "--json")
    assert code == 0
    values = json.loads(said)
    assert values["metric"] == "AP"
    assert len(values["annotations"]["sha256"]) == 64


def test_several_scales_are_the_mean_of_probabilities_at_the_image(network: torch.nn.Module, open_axes: Path) -> None:
    found = read_description(open_axes)
    image = RNG.integers(0, 256, (70, 120, 3), dtype=np.uint8)
    scales, item = (0.5, 1.0, 1.5), Item(Path(), 3)
    task = MultiScale(found.card, found.input_format, TaskOptions(flip_test=True, scales=scales))
    engine = open_engine("ort", Source(found.card, open_axes))
    samples = task.samples(image, item)
    assert [s.feed["image"].shape for s in samples] == [(2, 3, 32, 64), (2, 3, 64, 128), (2, 3, 96, 192)]
    (merged,) = task.decode(run_samples(engine, [s.feed for s in samples]), samples)
    total = torch.zeros(1, 19, 70, 120)
    with torch.inference_mode():
        for sample in samples:
            x = torch.from_numpy(sample.feed["image"].copy())
            both = network(x)
            logits = (both[:1] + both[1:].flip(-1)) / 2
            at_input = torch.nn.functional.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False)
            used = sample.context.used
            at_image = torch.nn.functional.interpolate(
                at_input[..., : used[0], : used[1]], size=(70, 120), mode="bilinear"
            )
            total += at_image.softmax(1)
    assert merged.image_id == 3
    assert (merged.labels == total[0].argmax(0).numpy()).mean() > 0.995  # two classes may tie to some digits


def test_one_scale_is_no_multi_scale_test(open_axes: Path, street: Path) -> None:
    plain = evaluate(EvalRequest(ModelUse(open_axes), street)).figures
    assert evaluate(EvalRequest(ModelUse(open_axes, scales=(1.0,)), street)).figures == pytest.approx(plain, abs=1e-3)
    assert evaluate(EvalRequest(ModelUse(open_axes, scales=(0.5, 1.5)), street)).figures != plain


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--scales", "0.5,x"), "is not a list of factors"),
        (("--scales", "0.5,99"), "--scales needs factors of the input size between 0.1 and 8"),
        (("--scales", "0.5"), "or with --dynamic"),
        (("--annotations", "nowhere"), "nowhere"),
        (("--engine", "trt"), "the trt engine cannot run here"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    exported_seg: Callable[..., Path], street: Path, run: Run, arguments: tuple[str, ...], sentence: str
) -> None:
    code, out, err = run("eval", exported_seg(), "--data", street, *arguments)
    assert code in (2, 3) and out == "" and sentence in err and err.count("\n") == 1


def test_scales_are_for_segmentation_and_plain_exported_seg(
    tiny_onnx: Path, people: Path, exported_seg: Callable[..., Path]
) -> None:
    with pytest.raises(BadInput, match="--scales is the multi-scale test of segmentation"):
        evaluate(EvalRequest(ModelUse(tiny_onnx, scales=(0.5, 1)), people))
    found = read_description(exported_seg(embed=True))
    with pytest.raises(BadInput, match="embedded file takes images of one size"):
        MultiScale(found.card, found.input_format, TaskOptions(scales=(0.5,)))
