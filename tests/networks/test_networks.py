"""Networks equal the official ones on the same weights and inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
import torch
from numpy.typing import NDArray
from support import goldens
from support.official import CORNERS, MMSEG, OFFICIAL

from hrnet_deploy import architecture as arch
from hrnet_deploy.checkpoints.layouts import WITHOUT_BIAS, to_official, zero_biases
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.networks.hrnet import HRNet, upsampled

HEAVY = ("pspnet", "deeplabv3", "seg_hrnetv2_w48", "seg_hrnet_ocr_w48")


def params(names: Iterable[str]) -> list:
    """Those whose outputs are known; the large ones among the slow tests."""
    known = [n for n in names if (goldens.FOLDER / f"{n}.npz").exists()]
    return [pytest.param(n, marks=[pytest.mark.slow] if n.startswith(HEAVY) else []) for n in known]


OTHER_RULE = "logits_align_corners_true"
OUTPUTS = {"heatmaps": "", "logits": "", "main": "", "aux": "aux_head"}  # in the goldens; by the module that gives one


@pytest.mark.parametrize("name", OFFICIAL)
def test_parameters_have_the_official_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        own = [(k, list(v.shape)) for k, v in build_network(OFFICIAL[name]).state_dict().items()]
    layout, official = to_official({k: s for k, s, _ in goldens.meta(name)["state_dict"]})
    if name.startswith("mmseg"):  # the same names in another order, and some biases more
        biases = [(f"{n}.bias", official[f"{n}.weight"][:1]) for n in WITHOUT_BIAS if f"{n}.weight" in official]
        assert sorted(own) == sorted([*official.items(), *biases])
    else:
        assert own == list(official.items())
    layouts = {
        "mmseg": "mmsegmentation",
        "pspnet": "mmsegmentation",
        "deeplab": "mmsegmentation",
        "mmpose": "mmpose 1.x",
    }
    assert layout == next((v for k, v in layouts.items() if name.startswith(k)), "official")


def outputs_of(name: str, shape: arch.Architecture) -> dict[str, NDArray]:
    """What a golden's weights and input give in the network of `shape`, under each name the goldens know it by."""
    network = build_network(shape)
    layout, tensors = to_official({k: torch.from_numpy(v) for k, v in goldens.weights(name).items()})
    network.load_state_dict(zero_biases(layout, tensors))
    found: dict[str, torch.Tensor] = {}
    for module in filter(None, OUTPUTS.values()):
        if hasattr(network, module):
            network.get_submodule(module).register_forward_hook(lambda *given: found.update(aux=given[-1]))
    with torch.inference_mode():
        last = network(torch.from_numpy(goldens.inputs(name)[0]))
    return {k: found.get(k, last).numpy() for k in OUTPUTS}


@pytest.mark.parametrize("name", params(OFFICIAL))
def test_outputs_equal_the_official_ones(name: str) -> None:
    distances = goldens.distance(name, outputs_of(name, OFFICIAL[name]))
    assert {*distances, OTHER_RULE} == {*(o["name"] for o in goldens.meta(name)["outputs"]), OTHER_RULE}
    assert max(distances.values()) < 1e-5, distances


@pytest.mark.parametrize("name", params(n for n in OFFICIAL if n.startswith("seg_hrnetv2")))
def test_the_other_rule_of_upsampling_equals_the_official_one(name: str) -> None:
    shape = OFFICIAL[name]
    assert isinstance(shape, arch.SegHRNet)
    other = dataclasses.replace(shape, body=dataclasses.replace(shape.body, upsample=CORNERS))
    logits = outputs_of(name, other)["logits"]
    assert goldens.distance(name, {OTHER_RULE: logits})[OTHER_RULE] < 1e-5


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
    assert torch.equal(upsampled(x, MMSEG, 2, (4, 4)), centres)
    again = torch.nn.functional.interpolate(centres, size=(3, 5), mode="bilinear")
    assert torch.equal(upsampled(x, MMSEG, 2, (3, 5)), again)
    assert not torch.allclose(upsampled(x, arch.Upsample("bilinear"), 2, (3, 5)), again)


@pytest.mark.parametrize("width", [18, 40])
def test_any_width_builds(width: int) -> None:
    with torch.device("meta"):
        network = build_network(arch.PoseHRNet(arch.Body.of_width(width), keypoints=5, head_kernel=3))
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 5, 16, 16)


def test_an_architecture_survives_plain_data() -> None:
    for shape in (*OFFICIAL.values(), arch.SimpleBaseline(50, 16, (128, 64), (3, 2))):
        assert arch.from_dict(arch.to_dict(shape)) == shape


def test_random_weights_keep_a_deep_network_alive() -> None:
    network = build_network(OFFICIAL["simplebaseline_resnet152"])
    random_weights(network)
    with torch.inference_mode():
        a, b = (network(torch.randn(1, 3, 64, 64)) for _ in range(2))
    assert 1e-3 < a.abs().max() < 1e4
    assert not torch.allclose(a, b)
