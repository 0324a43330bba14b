"""The decodings and the crop of DARK and UDP equal those of mmpose, in Python and in the graph of `--embed`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx.parser
import onnxruntime
import pytest
from support import goldens

from hrnet_deploy.cards import card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import InputFormat, TaskOptions
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.geometry import Crop, crop_of_box
from hrnet_deploy.tasks.pose import graph
from hrnet_deploy.tasks.pose.decoding import dark, decoder, udp
from hrnet_deploy.tasks.pose.heatmaps import merge_flip
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.task import PoseTask

CARD = card("pose_hrnet_w32_256x192")
COCO = CARD.labels_as(Keypoints)
WEAK = (14, 15)  # a wide and a weak peak, on which float32 decides more
NOT_DEFINED = (10, 11)  # a heatmap of zeros and one below zero, where mmpose's UDP gives no number or another map's


def ordinary(golden: dict, *left_out: int) -> np.ndarray:
    """Which keypoints of a golden are compared, (3, 17)."""
    counted = np.ones(golden["heatmaps"].shape[:2], bool)
    counted[0, list(left_out)] = False
    return counted


def off(got: np.ndarray, golden: dict, name: str) -> np.ndarray:
    return np.abs(got - golden[name]).max(-1)


@pytest.mark.parametrize(("kernel", "name"), [(11, "keypoints_heatmap"), (17, "keypoints_heatmap_kernel17")])
def test_dark_is_that_of_mmpose(kernel: int, name: str) -> None:
    golden = goldens.arrays("pose_decode_dark")
    points, scores = dark(golden["heatmaps"], kernel)
    assert off(points, golden, name).max() < 1e-3
    assert off(points, golden, name)[ordinary(golden, *WEAK)].max() < 1e-4
    assert np.array_equal(scores, golden["scores"])


def test_udp_is_that_of_mmpose() -> None:
    golden = goldens.arrays("pose_decode_udp")
    points, scores = udp(golden["heatmaps"])
    counted = ordinary(golden, *NOT_DEFINED)
    assert off(points, golden, "keypoints_heatmap")[counted].max() < 1e-3
    assert points[0, NOT_DEFINED].tolist() == [[-1, -1], [-1, -1]]
    assert np.array_equal(scores, golden["scores"])


@pytest.mark.parametrize("rule", ["dark", "udp"])
def test_keypoints_land_in_the_image_where_those_of_mmpose_do(rule: str) -> None:
    golden = goldens.arrays(f"pose_decode_{rule}")
    points, _ = decoder(COCO.decoded(rule), "a card")(golden["heatmaps"])
    geometry = COCO.decoded(rule).crop_geometry
    crops = [
        Crop(tuple(c), tuple(s), geometry=geometry) for c, s in zip(golden["center"], golden["scale"], strict=True)
    ]
    found = np.stack([c.to_image(p, 48, 64) for c, p in zip(crops, points, strict=True)])
    counted = ordinary(golden, *(NOT_DEFINED if rule == "udp" else ()))
    assert off(found, golden, "keypoints_image")[counted].max() < 1e-3


@pytest.mark.parametrize(("rule", "geometry"), [("dark", "standard"), ("udp", "udp")])
def test_crops_are_those_of_mmpose(rule: str, geometry: str) -> None:
    golden = goldens.arrays(f"pose_decode_{rule}")
    for (x, y, w, h, degrees, width, height), expected in zip(golden["warp_args"], golden["warp"], strict=True):
        matrix = Crop((x, y), (w, h), degrees, geometry).matrix(int(width), int(height))
        assert np.allclose(matrix, expected, rtol=1e-6, atol=1e-4)
    for width, height in ((192, 256), (288, 384), (256, 256)):
        for (x1, y1, x2, y2), centre, scale in zip(
            golden["boxes_xyxy"],
            golden[f"box_center_{width}x{height}"],
            golden[f"box_scale_{width}x{height}"],
            strict=True,
        ):
            crop = crop_of_box((x1, y1, x2 - x1, y2 - y1), width / height, geometry=geometry)
            assert np.allclose(crop.centre, centre) and np.allclose(crop.size, scale)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rule", ["quarter_offset", "dark", "udp"])
def test_the_graph_decodes_as_python_does(rule: str, flip: bool) -> None:
    heatmaps = goldens.arrays("pose_decode_dark")["heatmaps"]
    labels = COCO.decoded(rule)
    made = dataclasses.replace(CARD, labels=labels)
    own = PoseTask(made, InputFormat(), TaskOptions(flip_test=flip))
    given = np.concatenate([heatmaps, heatmaps[::-1]]) if flip else heatmaps
    text = graph.embedding(made, given.shape, flip, 20)
    session = onnxruntime.InferenceSession(onnx.parser.parse_model(text).SerializeToString())
    points, scores = session.run(None, {"heatmaps": given})
    merged = merge_flip(heatmaps, heatmaps[::-1], labels.flip_pairs, labels.shifts_mirrored) if flip else heatmaps
    for number, one in enumerate(merged):
        maps = np.concatenate([given[number : number + 1], given[number + 3 : number + 4]]) if flip else one[None]
        found = own.decode([{"heatmaps": maps}], [own.samples(np.zeros((90, 90, 3), np.uint8), Item(Path(), 1))[0]])[0]
        assert np.isfinite(points[number]).all()
        sure = found.scores > 0.05  # of weak peaks, the last digit of a logarithm decides
        assert np.abs(points[number] - found.in_crop)[sure].max() < 1e-3 * 4
        assert np.allclose(scores[number], found.scores)


def test_a_decoding_brings_its_geometry_and_its_flip_test() -> None:
    assert (COCO.crop_geometry, COCO.shifts_mirrored) == ("standard", True)
    unbiased = COCO.decoded("udp")
    assert (unbiased.crop_geometry, unbiased.shifts_mirrored) == ("udp", False)
    assert unbiased.decoded("dark").crop_geometry == "standard"
    mixed = COCO.decoded("dark", "udp")
    assert (mixed.decode, mixed.crop_geometry, mixed.shifts_mirrored) == ("dark", "udp", False)
    said = PoseTask(dataclasses.replace(CARD, labels=mixed), InputFormat()).protocol()
    assert (said["decode"], said["geometry"], said["flip_shift"], said["blur"]) == ("dark", "udp", False, 11)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"decode": "soft_argmax"}, "decoded by 'soft_argmax' — this version only knows quarter_offset, dark, udp"),
        ({"geometry": "letterbox"}, "the geometry 'letterbox' — this version only knows standard, udp"),
        ({"decode": "dark", "blur": 10}, "a kernel of 10 pixels — give an odd number as blur"),
    ],
)
def test_a_rule_this_version_does_not_know_is_refused(change: dict, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        PoseTask(dataclasses.replace(CARD, labels=dataclasses.replace(COCO, **change)), InputFormat())
