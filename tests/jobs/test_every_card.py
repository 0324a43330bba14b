"""Every card's network: built, saved, loaded from the file, exported at a small input, and equal in ONNX Runtime.

The paper's inputs are in test_paper_inputs.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hrnet_deploy import architecture as arch
from hrnet_deploy.cards import card, cards
from hrnet_deploy.checkpoints.recognise import recognise
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.base import noise
from hrnet_deploy.workflow.network_export import Exporter

# cards that differ in size only, or in what no tensor tells, are one here
ARCHITECTURES = {c.architecture.with_upsampling(arch.Upsample()): name for name, c in cards().items()}
SMALL = {
    "pose": (64, 64),
    "segmentation": (64, 96),
    "detection": (96, 128),
    "landmarks": (64, 64),
    "classification": (64, 64),
}
QUICK = {
    "seg_hrnetv2_w16_demo_256x256",
    "pose_hrnet_w16_demo_128x96",
    "cls_hrnet_w16_demo_64x64",
}  # the rest take ten seconds and more
IN_CI = {  # one of each kind; the others differ in width or in the number of labels, and are exported by hand
    "cls_hrnet_w18_small_v1_imagenet_224x224",
    "face_hrnetv2_w8_demo_96x96",
    "faster_rcnn_hrnetv2p_w18_800x1344",
    "pose_hrnet_w48_wholebody_384x288_dark",
    "pose_resnet152_384x288",
    "seg_deeplabv3_r101d8_cityscapes_512x1024",
    "seg_hrnetv2_w18_cityscapes_512x1024",
    "seg_hrnetv2_w18_small_v1_cityscapes_512x1024",
    "seg_hrnetv2_w18_small_v2_cityscapes_512x1024",
    "seg_ocrnet_hr48_cityscapes_512x1024",
    "seg_pspnet_r101d8_cityscapes_512x1024",
}


def cost(name: str) -> list[pytest.MarkDecorator]:
    """The mark of a card's test, by how long it takes and whether CI needs it."""
    return [] if name in QUICK else [pytest.mark.slow] + [pytest.mark.paper] * (name not in IN_CI)


@pytest.mark.parametrize("name", ARCHITECTURES.values())
def test_the_network_of_every_card_is_recognised_by_its_tensors(name: str) -> None:
    wanted = card(name).architecture
    with torch.device("meta"):
        shapes = {n: tuple(t.shape) for n, t in build_network(wanted).state_dict().items()}
    assert arch.with_known(recognise(shapes), wanted) == wanted


@pytest.mark.parametrize("name", [pytest.param(n, marks=cost(n)) for n in ARCHITECTURES.values()])
def test_every_card_goes_from_weights_to_onnxruntime(name: str, tmp_path: Path) -> None:
    known = card(name)
    network = build_network(known.architecture)
    random_weights(network)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    size, out = SMALL[known.task], tmp_path / "a.onnx"
    # the dynamo exporter takes three times as long; test_export, the demos and the tiny networks cover it
    exporter: Exporter = "dynamo" if known.task == "detection" or name in QUICK else "torchscript"
    options = ExportOptions(
        size=size, dynamic=() if known.task == "detection" else ("batch",), simplify=False, exporter=exporter
    )
    done = export(ExportRequest(str(tmp_path / "a.pth"), out, options, card=name))
    assert done.passed, done.checks
    found = read_description(out)
    assert found.card == known.resized(*size)
    if known.task == "detection":
        return  # `export` matched the detections; lists sorted by score cannot be compared number by number
    engine = open_engine("ort", Source(found.card, out))
    feeds = noise(found.card, 2, 7)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(feeds["image"])).numpy()
    (got,) = engine.run(feeds).values()
    assert abs(got - wanted).max() < 1e-4 * abs(wanted).max()
