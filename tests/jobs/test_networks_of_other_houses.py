"""The commands on networks of other houses: a DeepLabCut snapshot, HigherHRNet, and networks of grey images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from support import goldens
from support.tiny import TINY

from hrnet_deploy import architecture as arch
from hrnet_deploy.architecture import DeepLabCut
from hrnet_deploy.cards import folder
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.jobs.predict import Predictor
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.images import read_image
from hrnet_deploy.tasks.pose.deeplabcut import keypoints

Run = Callable[..., tuple[int, str, str]]
IMAGES = folder() / "demo" / "images"
GOLDEN = "dlc_hrnet_w18_single"


@pytest.mark.slow
def test_a_snapshot_of_deeplabcut_is_exported_and_gives_its_keypoints(tmp_path: Path, run: Run) -> None:
    state = {k: torch.from_numpy(v) for k, v in goldens.weights(GOLDEN).items()}
    torch.save({"model": state, "metadata": {"epoch": 200, "metrics": {}, "losses": {}}}, tmp_path / "snapshot-200.pt")
    names = ["hand", "finger1", "tongue", "joystick1", "joystick2", "nose"]
    beside = {"method": "bu", "metadata": {"bodyparts": names}, "model": goldens.meta(GOLDEN)["source"]["config"]}
    (tmp_path / "pytorch_config.yaml").write_text(yaml.safe_dump(beside))
    model = tmp_path / "mouse.onnx"
    code, out, err = run("export", tmp_path / "snapshot-200.pt", "-o", model, "--size", "160x192")
    assert (code, err) == (0, ""), out
    card = read_description(model).card
    assert card.label_names == tuple(names)
    outputs = open_engine("ort", Source(card, model)).run({"image": goldens.inputs(GOLDEN)[0]})
    found = {"heatmap": outputs["heatmaps"], "locref": outputs["locref"]}
    assert max(goldens.distance(GOLDEN, found).values()) < 1e-5
    assert isinstance(card.architecture, DeepLabCut)
    points, scores = keypoints(outputs["heatmaps"], outputs["locref"], card.architecture)
    poses = goldens.arrays(GOLDEN)["poses"][:, 0]
    assert np.abs(points - poses[..., :2]).max() < 1e-2
    assert np.abs(scores - poses[..., 2]).max() < 1e-4


@pytest.mark.slow
def test_the_commands_take_a_file_of_deeplabcut(tmp_path: Path, run: Run) -> None:
    network = build_network(arch.DeepLabCut(TINY.body, 4))
    random_weights(network, 1)
    heads = ("heatmap_head", "locref_head")
    state = {
        f"{'heads.bodypart' if k.startswith(heads) else 'backbone.model'}.{k}": v
        for k, v in network.state_dict().items()
    }
    torch.save({"model": state}, tmp_path / "snapshot-1.pt")
    model = tmp_path / "a.onnx"
    assert run("export", tmp_path / "snapshot-1.pt", "-o", model, "--size", "64x96")[0] == 0
    assert run("check", model, "--against", tmp_path / "snapshot-1.pt")[0] == 0
    assert run("half", model, "-o", tmp_path / "half.onnx")[0] == 0
    code, out, err = run("predict", model, IMAGES, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "6 results of 6 images" in out
    records = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(records[0]["keypoints"]) == 12
    code, _, err = run("export", tmp_path / "snapshot-1.pt", "-o", tmp_path / "b.onnx", "--embed")
    assert code == 2
    assert "--embed cannot decode the outputs of DeepLabCut HRNet-W8" in err


@pytest.mark.slow
def test_higher_hrnet_is_exported_and_does_not_predict(tmp_path: Path, run: Run) -> None:
    network = build_network(arch.HigherHRNet(TINY.body, keypoints=5, tags=5, deconv=8, units=1))
    random_weights(network, 1)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    model = tmp_path / "a.onnx"
    code, out, _ = run("export", tmp_path / "a.pth", "-o", model, "--size", "64x96")
    assert code == 0
    assert "this version does not group them by their tags" in out
    code, _, err = run("predict", model, IMAGES, "-o", tmp_path / "out")
    assert code == 2
    assert "cannot predict: the keypoints of HigherHRNet are of all people in an image" in err
    assert not (tmp_path / "out").exists()
    assert run("eval", model, "--data", IMAGES)[0] == 2


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4])
def test_networks_of_other_channels_go_through_the_commands(
    count: int, tiny_network: torch.nn.Module, tmp_path: Path, run: Run
) -> None:
    state = dict(tiny_network.state_dict())
    state["conv1.weight"] = state["conv1.weight"][:, :1].repeat(1, count, 1, 1)
    torch.save(state, tmp_path / "a.pth")
    model, embedded = tmp_path / "a.onnx", tmp_path / "embedded.onnx"
    for out, more in ((model, ()), (embedded, ("--embed",))):
        code, text, err = run("export", tmp_path / "a.pth", "-o", out, "--size", "96x64", *more)
        assert (code, err) == (0, ""), text
    assert f"images of {count} channel" in text
    assert run("check", model, "--against", tmp_path / "a.pth")[0] == 0
    image = read_image(IMAGES / "000003.jpg")
    given = image[..., :1] if count == 1 else np.dstack([image, image[..., 0]])
    plain, inside = Predictor(model), Predictor(embedded)
    assert np.abs(plain(given)[0].points - inside(given)[0].points).max() < 0.01
    assert plain.draw(given, plain(given)).shape == image.shape
    with pytest.raises(BadInput, match=rf"\(H, W, {count}\) of uint8"):
        plain(image)
    np.save(tmp_path / "image.npy", given)
    assert run("predict", model, tmp_path / "image.npy", "-o", tmp_path / "out")[0] == 0
    assert read_image(tmp_path / "out" / "image.png").shape == image.shape
    code, _, err = run("predict", model, IMAGES, "-o", tmp_path / "all")
    assert code == (0 if count == 1 else 2)
    assert count == 1 or "has 3 channels of uint8, and the network takes 4" in err
