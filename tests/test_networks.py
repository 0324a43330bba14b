"""Networks equal the official ones on the same weights and inputs."""

from __future__ import annotations

import dataclasses

import goldens
import pytest
import torch

from hrnet_deploy import architecture as arch
from hrnet_deploy.networks import build, random_weights
from hrnet_deploy.networks.hrnet import HRNet, upsampled

OFFICIAL: dict[str, arch.Architecture] = {
    "pose_hrnet_w32": arch.PoseHRNet(arch.Body.of_width(32)),
    "pose_hrnet_w48": arch.PoseHRNet(arch.Body.of_width(48)),
    "simplebaseline_resnet152": arch.SimpleBaseline(152),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_parameters_have_the_official_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        own = [(k, list(v.shape)) for k, v in build(OFFICIAL[name]).state_dict().items()]
    assert own == [(k, s) for k, s, _ in goldens.meta(name)["state_dict"]]


@pytest.mark.parametrize("name", OFFICIAL)
def test_outputs_equal_the_official_ones(name: str) -> None:
    network = build(OFFICIAL[name])
    network.load_state_dict({k: torch.from_numpy(v) for k, v in goldens.weights(name).items()})
    with torch.inference_mode():
        heatmaps = network(torch.from_numpy(goldens.inputs(name)[0])).numpy()
    assert goldens.distance(name, {"heatmaps": heatmaps})["heatmaps"] < 1e-5


def test_the_fusion_rule_is_an_argument_not_a_global() -> None:
    body = arch.Body.of_width(8, modules=(1, 1, 1), blocks=1)
    x = torch.randn(1, 3, 64, 96)
    rules = [arch.Upsample(), arch.Upsample("bilinear"), arch.Upsample("bilinear", align_corners=True)]
    outputs = []
    for rule in rules:
        network = HRNet(dataclasses.replace(body, upsample=rule)).eval()
        random_weights(network, seed=1)
        with torch.inference_mode():
            outputs.append(network(x)[0])
    for i in range(3):
        for j in range(i):
            assert not torch.allclose(outputs[i], outputs[j], rtol=1e-3)


def test_bilinear_fusion_takes_any_size_and_nearest_says_what_it_needs() -> None:
    body = arch.Body.of_width(8, modules=(1, 1, 1), blocks=1)
    network = HRNet(dataclasses.replace(body, upsample=arch.Upsample("bilinear"))).eval()
    with torch.inference_mode():
        shapes = [tuple(b.shape) for b in network(torch.randn(1, 3, 72, 100))]
    assert shapes == [(1, 8, 18, 25), (1, 16, 9, 13), (1, 32, 5, 7), (1, 64, 3, 4)]
    assert body.divisor == 32
    assert dataclasses.replace(body, upsample=arch.Upsample("bilinear")).divisor == 1


def test_upsampling_rules_are_those_of_pytorch() -> None:
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    nearest = upsampled(x, arch.Upsample(), 2, (4, 4))
    assert nearest[0, 0, 0].tolist() == [0, 0, 1, 1]
    corners = upsampled(x, arch.Upsample("bilinear", align_corners=True), 2, (4, 4))
    assert corners[0, 0, 0].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    centres = upsampled(x, arch.Upsample("bilinear"), 2, (4, 4))
    assert centres[0, 0, 0].tolist() == pytest.approx([0, 0.25, 0.75, 1])


@pytest.mark.parametrize("width", [18, 40])
def test_any_width_builds(width: int) -> None:
    with torch.device("meta"):
        network = build(arch.PoseHRNet(arch.Body.of_width(width), keypoints=5, head_kernel=3))
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 5, 16, 16)


def test_an_architecture_survives_plain_data() -> None:
    for shape in (*OFFICIAL.values(), arch.SimpleBaseline(50, 16, (128, 64), (3, 2))):
        assert arch.from_dict(arch.to_dict(shape)) == shape


def test_random_weights_keep_a_deep_network_alive() -> None:
    network = build(OFFICIAL["simplebaseline_resnet152"])
    random_weights(network)
    with torch.inference_mode():
        a, b = (network(torch.randn(1, 3, 64, 64)) for _ in range(2))
    assert 1e-3 < a.abs().max() < 1e4
    assert not torch.allclose(a, b)
