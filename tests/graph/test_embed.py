"""Preprocessing and decoding that --embed adds to the graph give the same results as the code outside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from support import goldens

from hrnet_deploy.cards import card
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks import input_graph
from hrnet_deploy.tasks.base import InputFormat, TaskOptions, task_of
from hrnet_deploy.tasks.pose import graph
from hrnet_deploy.tasks.pose.heatmaps import keypoints, merge_flip
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.pose.task import PoseTask

CARD = card("pose_hrnet_w32_256x192")


def run_text(text: str, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    model = onnx.parser.parse_model(text)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(o) for o in session.run(None, feed)]


def test_decoding_in_the_graph_equals_decoding_outside() -> None:
    heatmaps = goldens.arrays("pose_decode")["heatmaps"]
    points, scores = run_text(graph.embedding(CARD, heatmaps.shape, False, 20), {"heatmaps": heatmaps})
    want, sure = keypoints(heatmaps)
    assert np.array_equal(points, want * 4)
    assert np.array_equal(scores, sure)


def test_the_flip_test_in_the_graph_equals_the_one_outside() -> None:
    golden = goldens.arrays("pose_decode")
    both = np.concatenate([golden["flip_heatmaps"], golden["flip_heatmaps_mirrored"]])
    points, scores = run_text(graph.embedding(CARD, both.shape, True, 20), {"heatmaps": both})
    want, sure = keypoints(
        merge_flip(golden["flip_heatmaps"], golden["flip_heatmaps_mirrored"], CARD.labels_as(Keypoints).flip_pairs)
    )
    assert np.array_equal(points, want * 4)
    assert np.array_equal(scores, sure)


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize("flip", [False, True])
def test_normalising_in_the_graph_equals_normalising_outside(colour: Literal["RGB", "BGR"], flip: bool) -> None:
    spec = Input(64, 32, colour=colour)
    crop = np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8)
    image = run_text(input_graph.before(spec, 2 if flip else 1, flip, 20), {"crops": crop[None]})[0]
    task = PoseTask(dataclasses.replace(CARD, input=spec), InputFormat(), TaskOptions(flip_test=flip))
    assert np.abs(image - task.feed(crop)["image"]).max() < 1e-6


def test_an_embedded_file_of_udp_decodes_as_pytorch_with_python(exported: Callable[..., Path]) -> None:
    """`export` compares both on images, and the fixture fails where they differ."""
    found = read_description(exported(embed=True, flip_test=True, decode="udp", exporter="torchscript"))
    labels = found.card.labels_as(Keypoints)
    assert (labels.decode, labels.crop_geometry, labels.shifts_mirrored) == ("udp", "udp", False)


@pytest.mark.parametrize("flip", [False, True])
def test_an_embedded_file_gives_keypoints_of_uint8_crops(flip: bool, exported: Callable[..., Path]) -> None:
    plain, wrapped = exported(), exported(embed=True, batch=2, flip_test=flip)
    found = read_description(wrapped)
    assert (found.input_format.embedded, found.input_format.flip_test) == (True, flip)
    engine = open_engine("ort", Source(found.card, wrapped))
    assert [(i.name, i.shape, i.dtype) for i in engine.inputs] == [("crops", (2, 96, 64, 3), "uint8")]
    assert [o.name for o in engine.outputs] == ["keypoints", "scores"]
    crops = np.random.default_rng(1).integers(0, 256, (2, 96, 64, 3), np.uint8)
    got = engine.run({"crops": crops})
    outside = task_of(found.card, flip_test=flip)
    heatmaps = open_engine("ort", Source(found.card, plain))
    for i, crop in enumerate(crops):
        views = outside.feed(crop)["image"]  # type: ignore[attr-defined]
        maps = np.concatenate([heatmaps.run({"image": x[None]})["heatmaps"] for x in views])
        pairs = found.card.labels_as(Keypoints).flip_pairs
        merged = merge_flip(maps[:1], maps[1:], pairs) if flip else maps
        points, scores = keypoints(merged)
        assert np.abs(got["scores"][i] - scores[0]).max() < 1e-4
        assert np.abs(got["keypoints"][i] - points[0] * 4).max() < 1e-4
