"""The networks of DeepLabCut and HigherHRNet equal those of their authors on the same weights and inputs."""

from __future__ import annotations

import pytest
import torch
from support import goldens

from hrnet_deploy import architecture as arch
from hrnet_deploy.checkpoints.layouts import MMPRETRAIN, to_official, zero_biases
from hrnet_deploy.checkpoints.recognise import recognise
from hrnet_deploy.networks import build_network

HOUSES: dict[str, arch.Architecture] = {
    "dlc_hrnet_w18_single": arch.DeepLabCut(arch.Body.of_width(18), 6),
    "dlc_hrnet_w32_topdown": arch.DeepLabCut(arch.Body.of_width(32), 6, deconv=False),
    "higher_hrnet_w32": arch.HigherHRNet(arch.Body.of_width(32)),
}
OUTPUTS = {"heatmaps": "heatmap"}  # names of our outputs that differ from those of the goldens


@pytest.mark.parametrize("name", HOUSES)
def test_parameters_are_those_of_the_authors_and_are_recognised(name: str) -> None:
    _, official = to_official({k: s for k, s, _ in goldens.meta(name)["state_dict"]})
    with torch.device("meta"):
        own = {k: list(v.shape) for k, v in build_network(HOUSES[name]).state_dict().items()}
    assert own == official
    assert recognise(official) == HOUSES[name]


@pytest.mark.parametrize("name", [n if "w18" in n else pytest.param(n, marks=pytest.mark.slow) for n in HOUSES])
def test_outputs_equal_those_of_the_authors(name: str) -> None:
    network = build_network(HOUSES[name])
    network.load_state_dict(to_official({k: torch.from_numpy(v) for k, v in goldens.weights(name).items()})[1])
    with torch.inference_mode():
        found = network(torch.from_numpy(goldens.inputs(name)[0]))
    outputs = {OUTPUTS.get(o, o): t.numpy() for o, t in zip(HOUSES[name].outputs, found, strict=True)}
    distances = goldens.distance(name, outputs)
    assert set(distances) == set(outputs)
    assert max(distances.values()) < 1e-5, distances


def test_the_heads_of_deeplabcut_are_recognised_at_every_width() -> None:
    body = {k: s for k, s, _ in goldens.meta("dlc_hrnet_w32_topdown")["state_dict"] if not k.startswith("heads")}
    heads = goldens.meta("dlc_hrnet_heads")["heads"]["dlc_hrnet_w32_single"]
    assert recognise(to_official({**body, **{k: s for k, s, _ in heads}})[1]) == arch.DeepLabCut(
        arch.Body.of_width(32), 6
    )


def test_the_classifier_of_mmpretrain_has_the_names_of_timms() -> None:
    """timm's names are the official ones."""
    theirs = {k: torch.empty(s, device="meta") for k, s, _ in goldens.meta("mmpretrain_hrnet_w18")["state_dict"]}
    layout, tensors = to_official(theirs)
    assert layout == MMPRETRAIN
    timm = {k: tuple(s) for k, s, _ in goldens.meta("timm_hrnet_w18")["state_dict"]}
    assert {k: tuple(t.shape) for k, t in zero_biases(layout, tensors).items()} == timm
