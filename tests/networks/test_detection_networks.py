"""The parts of Faster R-CNN equal mmdetection's on the same weights and inputs."""

from __future__ import annotations

import pytest
import torch
from support import goldens

from hrnet_deploy import architecture as arch
from hrnet_deploy.checkpoints.detectors import to_current
from hrnet_deploy.checkpoints.layouts import to_official
from hrnet_deploy.networks import build_network
from hrnet_deploy.networks.detection import FasterRCNN
from hrnet_deploy.networks.heads import BoxHead, RPNHead

OFFICIAL = {
    "det_hrnetv2p_w18": arch.FasterRCNN(arch.Body.of_width(18)),
    "det_hrnetv2p_w32": arch.FasterRCNN(arch.Body.of_width(32)),
    "det_resnet101_fpn": arch.FasterRCNN(arch.ResNetBody(101)),
    "det_resnext101_64x4d_fpn": arch.FasterRCNN(arch.ResNetBody(101, groups=64, base_width=4)),
}
SLOW = [pytest.param(n, marks=pytest.mark.slow) if "res" in n else n for n in OFFICIAL]


@pytest.mark.parametrize("name", SLOW)
def test_bodies_and_necks_equal_the_official_ones(name: str) -> None:
    network = FasterRCNN(OFFICIAL[name]).eval()
    _, weights = to_current(goldens.weights(name))
    missing, unexpected = network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict=False)
    assert not unexpected and all(m.startswith(("rpn_head.", "roi_head.")) for m in missing)
    with torch.inference_mode():
        layers = network.backbone(torch.from_numpy(goldens.inputs(name)[0]))
        levels = network.neck(layers)
    outputs = {f"c{i}": t.numpy() for i, t in enumerate(layers, start=2)} | {
        f"p{i}": t.numpy() for i, t in enumerate(levels, start=2)
    }
    assert max(goldens.distance(name, outputs).values()) < 1e-5


def test_the_proposal_head_equals_the_official_one() -> None:
    head = RPNHead(256, 3)
    head.load_state_dict(
        {k.removeprefix("rpn_head."): torch.from_numpy(v) for k, v in goldens.weights("det_rpn_head").items()}
    )
    with torch.inference_mode():
        found = head([torch.from_numpy(x) for x in goldens.inputs("det_rpn_head")])
    outputs = {f"cls_p{i}": c.numpy() for i, (c, _) in enumerate(found, start=2)}
    outputs |= {f"bbox_p{i}": d.numpy() for i, (_, d) in enumerate(found, start=2)}
    assert max(goldens.distance("det_rpn_head", outputs).values()) < 1e-5


def test_the_box_head_equals_the_official_one() -> None:
    name = "det_bbox_head_shared2fc"
    head = BoxHead(256, 1024, 80)
    head.fc_reg = torch.nn.Linear(1024, 324)  # of an old checkpoint: background has deltas of its own
    head.load_state_dict({k.removeprefix("bbox_head."): torch.from_numpy(v) for k, v in goldens.weights(name).items()})
    with torch.inference_mode():
        scores, deltas = head(torch.from_numpy(goldens.inputs(name)[0]))
    assert max(goldens.distance(name, {"cls_score": scores.numpy(), "bbox_pred": deltas.numpy()}).values()) < 1e-5


def test_parameters_have_the_names_of_mmdetection() -> None:
    name = "mmdet_faster_rcnn_hrnetv2p_w32"
    with torch.device("meta"):
        own = {k: tuple(v.shape) for k, v in build_network(OFFICIAL["det_hrnetv2p_w32"]).state_dict().items()}
    old = {k: tuple(s) for k, s, _ in goldens.meta(name)["state_dict"]}
    layout, renamed = to_official(old)
    assert layout == "mmdetection before 2.0"
    assert renamed.keys() == own.keys()
    assert {k for k in own if own[k] != renamed[k]} == {
        "roi_head.bbox_head.fc_reg.weight",
        "roi_head.bbox_head.fc_reg.bias",
    }


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_architecture_survives_plain_data(name: str) -> None:
    assert arch.from_dict(arch.to_dict(OFFICIAL[name])) == OFFICIAL[name]
    assert arch.from_dict({"family": "faster_rcnn", "body": {"depth": 101}}) == OFFICIAL["det_resnet101_fpn"]
