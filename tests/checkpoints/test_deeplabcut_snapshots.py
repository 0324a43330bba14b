"""Snapshots of DeepLabCut 3 with the configuration beside them, and networks of other houses with HRNet bodies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from support.layouts import State, prefixed, save
from support.tiny import TINY

from hrnet_deploy import architecture as arch
from hrnet_deploy import checkpoints
from hrnet_deploy.errors import BadInput
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.pose.labels import Keypoints

NAMES = ["snout", "leftear", "rightear", "tailbase"]
HEADS = ("heatmap_head", "locref_head")
PREDICTOR = {"type": "HeatmapPredictor", "apply_sigmoid": False, "clip_scores": True, "location_refinement": True}


def snapshot(deconv: bool = True, more: Mapping[str, torch.Tensor] | None = None) -> dict[str, Any]:
    """What DeepLabCut saves, with numpy numbers beside the weights as older versions did."""
    network = build_network(arch.DeepLabCut(TINY.body, len(NAMES), deconv))
    random_weights(network, 1)
    state = {
        f"{'heads.bodypart.' if k.startswith(HEADS) else 'backbone.model.'}{k}": v
        for k, v in network.state_dict().items()
    }
    metadata = {"epoch": 3, "metrics": {"metrics/test.mAP": np.float64(91.5)}, "losses": {"train": 0.1}}
    return {
        "model": {**state, **(more or {})},
        "metadata": metadata,
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]},
    }


def config(method: str = "bu", **inference: Any) -> dict[str, Any]:
    return {
        "method": method,
        "data": {"colormode": "RGB", "inference": {"normalize_images": True, **inference}},
        "metadata": {"project_path": "C:\\Users\\lab\\mice-2024-05-01", "bodyparts": NAMES},
        "model": {"heads": {"bodypart": {"predictor": PREDICTOR}}},
    }


def saved(folder: Path, content: Any, beside: Any = None) -> Path:
    if beside is not None:
        (folder / "pytorch_config.yaml").write_text(beside if isinstance(beside, str) else yaml.safe_dump(beside))
    return save(content, folder / "snapshot-best-003.pt", "zip")


def test_a_snapshot_gets_the_facts_of_its_configuration(tmp_path: Path) -> None:
    beside = config()
    beside["data"]["train"] = {"crop_sampling": {"height": 100, "width": 448}}
    found = checkpoints.load(saved(tmp_path, snapshot(), beside))
    assert found.architecture == arch.DeepLabCut(TINY.body, 4)
    assert found.layout == "DeepLabCut 3, prefix backbone.model."
    assert found.card.labels == Keypoints(tuple(NAMES), sigmas=(0.1,) * 4, box_padding=1.0)
    assert (found.card.dataset, found.card.input.size, found.card.input.fit) == ("mice-2024-05-01", "128x448", "place")
    assert "a larger image is scaled down to it — export with --size" in found.assumption


def test_a_top_down_snapshot_cuts_out_boxes(tmp_path: Path) -> None:
    found = checkpoints.load(
        saved(tmp_path, snapshot(deconv=False), config("td", top_down_crop={"width": 192, "height": 256}))
    )
    assert found.architecture == arch.DeepLabCut(TINY.body, 4, deconv=False)
    assert (found.card.input.size, found.card.input.fit, found.assumption) == ("256x192", "crop", "")


@pytest.mark.parametrize(
    ("predictor", "scores", "std"),
    [
        ({"apply_sigmoid": False, "clip_scores": False, "locref_std": 5}, "raw", 5.0),
        ({"location_refinement": False}, "sigmoid", 0.0),
        ({"apply_sigmoid": False, "clip_scores": True}, "clipped", 7.2801),
    ],
)
def test_the_predictor_decides_how_maps_are_decoded(
    predictor: dict[str, Any], scores: str, std: float, tmp_path: Path
) -> None:
    beside = config()
    beside["model"]["heads"]["bodypart"]["predictor"] = predictor
    shape = checkpoints.load(saved(tmp_path, snapshot(), beside)).architecture
    assert isinstance(shape, arch.DeepLabCut)
    assert (shape.scores, shape.locref_std) == (scores, std)


@pytest.mark.parametrize(
    ("inference", "fit", "mean", "std"),
    [
        ({"resize": {"height": 96, "width": 128}}, "pad", 0.485, 0.229),
        ({"resize": {"height": 96, "width": 128, "keep_ratio": False}}, "stretch", 0.485, 0.229),
        ({"normalize_images": False}, "place", 0.0, 1 / 255),
        ({"normalize_images": False, "scale_to_unit_range": True}, "place", 0.0, 1.0),
    ],
)
def test_how_images_are_prepared_is_taken_from_the_configuration(
    inference: dict[str, Any], fit: str, mean: float, std: float, tmp_path: Path
) -> None:
    beside = config(**inference)
    beside["data"]["colormode"] = "bgr"
    spec = checkpoints.load(saved(tmp_path, snapshot(), beside)).card.input
    assert (spec.fit, spec.mean[0], spec.std[0], spec.colour) == (fit, mean, std, "BGR")


def test_without_a_configuration_the_assumptions_are_said(tmp_path: Path) -> None:
    found = checkpoints.load(saved(tmp_path, snapshot()))
    assert found.card.label_names == ("bodypart_0", "bodypart_1", "bodypart_2", "bodypart_3")
    assert "there is no pytorch_config.yaml beside it, so its body parts are numbered" in found.assumption


def changed(**top: Any) -> dict[str, Any]:
    return {**config(), **top}


@pytest.mark.parametrize(
    ("beside", "sentence"),
    [
        ("!!python/object/apply:os.mkdir [pwned]", "cannot be read as YAML"),
        ("- a\n- b\n", "is no configuration of DeepLabCut: it has no keys"),
        ("a: " + "x" * (1 << 20), "it has over a megabyte"),
        (changed(metadata={"bodyparts": NAMES[:3]}), "names 3 body parts, and the snapshot beside it has 4"),
        (changed(metadata={"bodyparts": "snout"}), "has metadata.bodyparts: 'snout', expected list"),
        (changed(method="ctd"), "is of the method 'ctd', which is not supported"),
        (config("td", top_down_crop={"width": 0, "height": 256}), "has data.inference.top_down_crop of 256x0 pixels"),
        (config("td", top_down_crop={"crop_with_context": False}), "has crop_with_context: false"),
        (changed(data={"colormode": "grey"}), "has data.colormode: 'GREY' — expected RGB or BGR"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(beside: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        checkpoints.load(saved(tmp_path, snapshot(), beside))
    assert sentence in str(error.value)
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("heads.bodypart.paf_head.deconv_layers.0.weight", "with heads for part affinity fields (several animals)"),
        ("heads.unique_bodypart.heatmap_head.deconv_layers.0.weight", "with heads for unique body parts"),
        ("heads.identity.heatmap_head.deconv_layers.0.weight", "with heads for the identity of animals"),
        ("heads.bodypart.heatmap_head.deconv_layers.2.weight", "whose head has other layers than one transposed"),
    ],
)
def test_other_heads_of_deeplabcut_are_refused_by_their_names(name: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        checkpoints.load(saved(tmp_path, snapshot(more={name: torch.zeros(8, 4, 3, 3)}), config()))
    assert f"is a network of DeepLabCut 3 {sentence}" in str(error.value)


def test_deeplabcut_without_location_refinement_is_named(tmp_path: Path) -> None:
    content = snapshot()
    content["model"] = {k: v for k, v in content["model"].items() if "locref" not in k}
    with pytest.raises(BadInput, match="without location refinement, which is not supported — train it with location"):
        checkpoints.load(saved(tmp_path, content, config()))


def test_deeplabcut_on_another_body_is_named(tmp_path: Path) -> None:
    heads = {k: v for k, v in snapshot()["model"].items() if k.startswith("heads")}
    resnet = {"backbone.model.layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}
    with pytest.raises(BadInput, match="is a network of DeepLabCut 3 on another body than HRNet"):
        checkpoints.load(saved(tmp_path, {"model": {**resnet, **heads}}))


HIGHER = arch.HigherHRNet(TINY.body, keypoints=5, tags=5, deconv=8, units=2)


def mmpose_0(state: State) -> State:
    heads = ("final_layers", "deconv_layers")
    return {f"{'keypoint_head' if k.startswith(heads) else 'backbone'}.{k}": v for k, v in state.items()}


@pytest.mark.parametrize("wrap", [lambda s: s, mmpose_0, prefixed("module.")])
def test_higher_hrnet_is_recognised(wrap: Any, tmp_path: Path) -> None:
    network = build_network(HIGHER)
    found = checkpoints.load(save(wrap(dict(network.state_dict())), tmp_path / "a.pth", "zip"))
    assert found.architecture == HIGHER
    assert (found.card.input.size, found.card.input.fit) == ("512x512", "pad")


def test_higher_hrnet_with_other_heads_is_refused(tmp_path: Path) -> None:
    state = {**build_network(HIGHER).state_dict(), "final_layers.0.weight": torch.zeros(8, 8, 1, 1)}
    with pytest.raises(BadInput, match="is HigherHRNet-W8 with 1 transposed convolutions and 8 and 5 outputs"):
        checkpoints.load(save(state, tmp_path / "a.pth", "zip"))


def test_layers_of_timms_classifier_in_a_body_for_another_task_are_left_out(
    tiny_network: torch.nn.Module, tmp_path: Path
) -> None:
    state = tiny_network.state_dict()
    names = ("incre_modules.0.0.conv1.weight", "downsamp_modules.0.0.weight", "classifier.weight")
    body = {f"backbone.model.{k}": v for k, v in state.items() if not k.startswith("final_layer")}
    head = {k: v for k, v in state.items() if k.startswith("final_layer")}
    more = {f"backbone.model.{n}": torch.zeros(4, 4, 1, 1) for n in names}
    found = checkpoints.load(save({**body, **more, **head}, tmp_path / "a.pth", "zip"))
    assert found.architecture == TINY
    assert "left out: layers of an ImageNet classifier (3, as incre_modules.0.0.conv1.weight)" in found.summary
