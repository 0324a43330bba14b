"""Keypoints of DeepLabCut's networks are those of its own predictor, and regions of images are cut as it cuts them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support import goldens

from hrnet_deploy import architecture as arch
from hrnet_deploy.cards import card_for
from hrnet_deploy.errors import BadInput
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks.base import embedding_of, task_of
from hrnet_deploy.tasks.categories import Categories
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.pose.deeplabcut import keypoints
from hrnet_deploy.tasks.pose.training import random_loss
from hrnet_deploy.tasks.pose.whole import of_box, of_image

SHAPES = {
    "dlc_hrnet_w18_single": arch.DeepLabCut(arch.Body.of_width(18), 6),
    "dlc_hrnet_w32_topdown": arch.DeepLabCut(arch.Body.of_width(32), 6, deconv=False),
}


@pytest.mark.parametrize("name", SHAPES)
def test_keypoints_equal_those_of_deeplabcut(name: str) -> None:
    golden = goldens.arrays(name)
    points, scores = keypoints(golden["heatmap"], golden["locref"], SHAPES[name])
    assert np.abs(points - golden["poses"][:, 0, :, :2]).max() < 1e-4
    assert np.abs(scores - golden["poses"][:, 0, :, 2]).max() < 1e-6


def test_scores_and_offsets_follow_the_predictor() -> None:
    heatmaps, locref = np.zeros((1, 1, 5, 7), np.float32), np.full((1, 2, 5, 7), 9.0, np.float32)
    heatmaps[0, 0, 3, 2] = heatmaps[0, 0, 3, 4] = 1.5  # of equal values the first one counts
    locref[0, :, 3, 2] = 0.5, -0.25
    shape = arch.DeepLabCut(arch.Body.of_width(18), 1, locref_std=4.0, scores="raw")
    points, scores = keypoints(heatmaps, locref, shape)
    assert points.tolist() == [[[2 * 2 + 1 + 0.5 * 4, 3 * 2 + 1 - 0.25 * 4]]]
    assert scores.tolist() == [[1.5]]
    _, scores = keypoints(heatmaps, locref, dataclasses.replace(shape, scores="sigmoid"))
    assert scores == pytest.approx(1 / (1 + np.exp(-1.5)))
    points, scores = keypoints(heatmaps, locref, dataclasses.replace(shape, locref_std=0.0, scores="clipped"))
    assert (points.tolist(), scores.tolist()) == ([[[5, 7]]], [[1]])


def test_a_box_is_cut_out_in_whole_pixels_with_black_around_the_image() -> None:
    image = np.random.default_rng(0).integers(1, 256, (40, 60, 3), np.uint8)
    region = of_box((50.2, 3.4, 16.0, 20.0), Input(32, 32))  # centre 58.2, 13.4, 20 x 20
    assert region.corner == (48, 3)
    assert region.size == (20, 20)
    padded = np.zeros((20, 20, 3), np.uint8)
    padded[:, :12] = image[3:23, 48:60]
    assert np.array_equal(region.cut(image, 32, 32), cv2.resize(padded, (32, 32), interpolation=cv2.INTER_LINEAR))
    assert region.to_image(np.array([[0.0, 0.0], [16.0, 32.0]]), 32, 32) == pytest.approx(np.array([[48, 3], [58, 23]]))


def test_a_smaller_image_is_placed_and_a_larger_one_scaled_down() -> None:
    spec = Input(64, 96, fit="place")
    small = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    region = of_image(50, 70, spec)
    cut = region.cut(small, 96, 64)
    assert np.array_equal(cut[:50, :70], small)
    assert np.array_equal(cut, cv2.copyMakeBorder(small, 0, 14, 0, 26, cv2.BORDER_REFLECT_101))
    assert region.to_image(np.array([3.5, 4.5]), 96, 64).tolist() == [3.5, 4.5]
    assert of_image(128, 100, spec).to_image(np.array([3.0, 4.0]), 96, 64).tolist() == [6, 8]
    assert of_image(50, 70, Input(100, 280, fit="stretch")).to_image(np.array([28.0, 20.0]), 280, 100).tolist() == [
        7,
        10,
    ]


def test_a_bottom_up_network_sees_the_image_and_a_top_down_one_its_boxes() -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    mouse = {"bbox": [10, 20, 30, 40], "category_id": 3, "keypoints": [1, 1, 2] * 6}
    item = Item(Path(), 7, (mouse, {**mouse, "bbox": [10, 20, 0, 40]}, {**mouse, "iscrowd": 1}))
    for shape, corner in ((SHAPES["dlc_hrnet_w18_single"], (0, 0)), (SHAPES["dlc_hrnet_w32_topdown"], (5, 20))):
        card = card_for(shape)
        known = Categories.of({"categories": [{"id": 3, "name": "mouse"}], "annotations": list(item.annotations or ())})
        samples = task_of(card).samples(image, dataclasses.replace(item, categories=known))
        assert [s.context.crop.corner for s in samples] == [corner]


def test_what_has_no_meaning_here_is_refused() -> None:
    card = card_for(SHAPES["dlc_hrnet_w18_single"])
    with pytest.raises(BadInput, match="has no flip test — leave --flip-test out"):
        task_of(card, flip_test=True)
    with pytest.raises(BadInput, match="--embed cannot decode the outputs of DeepLabCut"):
        embedding_of(card)(card, (1, 6, 81, 97), False, 20)


def test_training_of_networks_with_several_losses_is_refused() -> None:
    shape = arch.HigherHRNet(arch.Body.of_width(8, (1, 1, 1), 1))
    with pytest.raises(BadInput, match="the loss of HigherHRNet-W8 .* leave --train out"):
        random_loss(torch.nn.Identity(), shape, torch.zeros(1, 3, 32, 32))
