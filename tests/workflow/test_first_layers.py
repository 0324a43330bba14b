"""The first batch norm shows a card that prepares images in another way than in training."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from support.tiny import SIZE, TINY

from hrnet_deploy import checkpoints
from hrnet_deploy.cards import ModelCard, card
from hrnet_deploy.image_input import Input
from hrnet_deploy.results.export import ActivationFit
from hrnet_deploy.tasks.samples import sample_images
from hrnet_deploy.workflow.first_layers import SURE, SUSPECT, activation_fit

DEMO = ("pose_hrnet_w16_demo_128x96", "seg_hrnetv2_w16_demo_256x256", "det_hrnetv2p_w16_demo_256x256")


def fit_of(name: str, **spec: object) -> ActivationFit:
    """The fit of a demo model with another input than that of its card."""
    known = card(name)
    changed = dataclasses.replace(known, input=dataclasses.replace(known.input, **spec))  # type: ignore[arg-type]
    return activation_fit(checkpoints.load(name).network(), changed, sample_images(), "drawn images")


@pytest.mark.parametrize("name", DEMO)
def test_the_right_card_fits(name: str) -> None:
    fit = fit_of(name)
    assert fit.verdict == "fits"
    assert fit.divergence is not None and fit.divergence < SUSPECT / 10


@pytest.mark.parametrize("name", DEMO)
def test_swapped_colours_are_not_visible_in_drawings(name: str) -> None:
    assert fit_of(name, colour="BGR").verdict == "fits"


@pytest.mark.parametrize("name", DEMO)
def test_a_card_without_mean_and_std_differs_and_the_cause_is_named(name: str) -> None:
    fit = fit_of(name, mean=(0.0,) * 3, std=(1.0,) * 3)
    assert fit.verdict == "differs"
    assert "ImageNet" in fit.cause
    assert fit.divergence is not None and fit.divergence_of_cause is not None
    assert SUSPECT < fit.divergence < SURE
    assert fit.divergence_of_cause < SUSPECT / 10


@pytest.mark.parametrize("name", DEMO)
@pytest.mark.parametrize("mean", [(0.0,) * 3, (0.485, 0.456, 0.406)])
def test_values_255_times_too_large_differ_on_any_image(name: str, mean: tuple[float, ...]) -> None:
    fit = fit_of(name, mean=mean, std=(1 / 255,) * 3)
    assert fit.verdict == "differs"
    assert fit.divergence is not None and fit.divergence > 10 * SURE
    assert fit.times is not None and fit.times > 30


def test_weights_that_were_not_trained_tell_nothing(tiny_network: torch.nn.Module) -> None:
    from hrnet_deploy.networks import build_network

    tiny = ModelCard("tiny", TINY, Input(*SIZE, std=(1 / 255,) * 3), "drawn", card(DEMO[0]).labels)
    for network in (tiny_network, build_network(TINY)):
        fit = activation_fit(network, tiny, sample_images(), "drawn images")
        assert fit.verdict == "unknown" and "not trained" in fit.reason
    plain = torch.nn.Conv2d(3, 4, 1)
    assert activation_fit(plain, tiny, sample_images(), "drawn images").reason == "the network has no batch norm"


def test_the_report_says_what_was_seen() -> None:
    from hrnet_deploy.results.documents.export import activations

    differs = ActivationFit("differs", "drawn images", "bn1", 5290.0, 63.0, "with cause X", 0.04)
    said = activations(differs)
    assert said.tone == "warning"
    assert "divergence 5.29e+03, standard deviation 63 times that of training" in said.text
    assert "prepared with cause X, with which the divergence is 0.04" in said.text
    assert "no usual preparation" in activations(dataclasses.replace(differs, cause="")).text
    assert activations(ActivationFit("fits", "drawn images", "bn1", 0.03, 1.1)).tone == "note"
    assert "cannot be told" in activations(ActivationFit("unknown", "drawn images", reason="no batch norm")).text
