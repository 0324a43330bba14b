"""The classifiers of the official repository, of timm and of mmpretrain are recognised, and give the same scores."""

from __future__ import annotations

import pytest
import torch
from support import goldens
from support.official import small

from hrnet_deploy import architecture as arch
from hrnet_deploy.cards import card
from hrnet_deploy.checkpoints.layouts import to_official, zero_biases
from hrnet_deploy.checkpoints.recognise import recognise
from hrnet_deploy.networks import build_network

WIDTHS = {
    "cls_hrnet_w18": 18,
    "cls_hrnet_w32": 32,
    "timm_hrnet_w18": 18,
    "timm_hrnet_w32": 32,
    "timm_hrnet_w48": 48,
    "mmpretrain_hrnet_w18": 18,
    "mmpretrain_hrnet_w32": 32,
    "mmpretrain_hrnet_w48": 48,
}
COMPUTED = [n for n in WIDTHS if (goldens.FOLDER / f"{n}.npz").exists()]


@pytest.mark.parametrize("name", WIDTHS)
def test_parameters_are_those_of_the_authors_and_are_recognised(name: str) -> None:
    wanted = arch.ClassHRNet(arch.Body.of_width(WIDTHS[name]))
    theirs = {k: torch.empty(s, device="meta") for k, s, _ in goldens.meta(name)["state_dict"]}
    layout, tensors = to_official(theirs)
    assert layout == ("mmpretrain" if name.startswith("mmpretrain") else "official")
    tensors = zero_biases(layout, tensors)
    with torch.device("meta"):
        own = build_network(wanted).state_dict()
    assert {k: t.shape for k, t in own.items()} == {k: t.shape for k, t in tensors.items()}
    if layout == "official":
        assert list(own) == list(tensors)
    assert recognise({k: tuple(t.shape) for k, t in tensors.items()}) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPUTED)
def test_scores_equal_those_of_the_authors(name: str) -> None:
    layout, tensors = to_official({k: torch.from_numpy(v) for k, v in goldens.weights(name).items()})
    network = build_network(arch.ClassHRNet(arch.Body.of_width(WIDTHS[name])))
    network.load_state_dict(zero_biases(layout, tensors))
    with torch.inference_mode():
        logits = network(torch.from_numpy(goldens.inputs(name)[0])).numpy()
    assert goldens.distance(name, {"logits": logits})["logits"] < 1e-5


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("w18_small_v1", small(32, 1, 16, (1, 1, 1), arch.Upsample())),
        ("w18_small_v2", small(64, 2, 18, (1, 3, 2), arch.Upsample())),
        *((f"w{width}", arch.Body.of_width(width)) for width in (18, 30, 32, 40, 44, 48, 64)),
    ],
)
def test_every_official_variant_has_a_card(name: str, body: arch.Body) -> None:
    known = card(f"cls_hrnet_{name}_imagenet_224x224")
    assert known.architecture == arch.ClassHRNet(body)
    assert (known.input.size, known.input.fit, known.input.crop_ratio) == ("224x224", "centre", 0.875)
    assert (known.label_names[0], known.label_names[999], len(known.label_names)) == ("tench", "toilet tissue", 1000)
