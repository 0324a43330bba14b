"""Decoding and geometry equal the official ones."""

from __future__ import annotations

import numpy as np
import pytest
from support import goldens

from hrnet_deploy.tasks.geometry import Crop, crop_of_box
from hrnet_deploy.tasks.pose.heatmaps import keypoints, maxima, merge_flip

UNIT = 200  # pixels of the official scale


@pytest.fixture(scope="module")
def golden() -> dict:
    return goldens.arrays("pose_decode")


def in_image(points: np.ndarray, centres: np.ndarray, scales: np.ndarray) -> np.ndarray:
    crops = [Crop(tuple(c), tuple(s * UNIT)) for c, s in zip(centres, scales, strict=True)]
    return np.stack([c.to_image(p, 48, 64) for c, p in zip(crops, points, strict=True)])


def test_maxima_are_exact(golden: dict) -> None:
    points, scores = maxima(golden["heatmaps"])
    assert np.array_equal(points, golden["max_preds"])
    assert np.array_equal(scores, golden["maxvals"][..., 0])


def test_the_quarter_offset_is_exact(golden: dict) -> None:
    assert np.array_equal(keypoints(golden["heatmaps"])[0], golden["coords_quarter"])


def test_keypoints_land_in_the_image_where_the_official_ones_do(golden: dict) -> None:
    refined, plain = keypoints(golden["heatmaps"])[0], maxima(golden["heatmaps"])[0]
    assert np.abs(in_image(refined, golden["center"], golden["scale"]) - golden["final_preds"]).max() < 1e-3
    assert np.abs(in_image(plain, golden["center"], golden["scale"]) - golden["final_preds_no_post"]).max() < 1e-3


@pytest.mark.parametrize("shift", [True, False])
def test_the_flip_test_is_exact(golden: dict, shift: bool) -> None:
    kept = golden["flip_heatmaps_mirrored"].copy()
    merged = merge_flip(golden["flip_heatmaps"], golden["flip_heatmaps_mirrored"], golden["flip_pairs"].tolist(), shift)
    name = "shift" if shift else "noshift"
    points, scores = keypoints(merged)
    assert np.array_equal(golden["flip_heatmaps_mirrored"], kept)
    assert np.array_equal(scores, golden[f"flip_maxvals_{name}"][..., 0])
    assert (
        np.abs(in_image(points, golden["flip_center"], golden["flip_scale"]) - golden[f"flip_preds_{name}"]).max()
        < 1e-3
    )
    if shift:
        assert np.array_equal(merged, golden["flip_merged_shift"])


def test_affine_matrices_are_the_official_ones(golden: dict) -> None:
    for (cx, cy, w, h, degrees, width, height, inverse), expected in zip(
        golden["affine_args"], golden["affine_mats"], strict=True
    ):
        matrix = Crop((cx, cy), (w * UNIT, h * UNIT), degrees).matrix(int(width), int(height))
        if inverse:
            linear = np.linalg.inv(matrix[:, :2])
            matrix = np.column_stack([linear, -linear @ matrix[:, 2]])
        assert np.abs(matrix - expected).max() < 1e-4  # the official one goes through float32


@pytest.mark.parametrize(("width", "height"), [(192, 256), (256, 256)])
def test_boxes_become_the_official_crops(golden: dict, width: int, height: int) -> None:
    suffix = f"{width}x{height}"
    for box, centre, scale in zip(
        golden["boxes_xywh"], golden[f"box_center_{suffix}"], golden[f"box_scale_{suffix}"], strict=True
    ):
        if centre[0] == -1:
            continue  # the official code's mark for "no box", which it then does not pad; no box of ours is one
        crop = crop_of_box(box, width / height)
        assert np.allclose(crop.centre, centre, atol=1e-4)
        assert np.allclose(np.array(crop.size) / UNIT, scale, atol=1e-6)


def test_to_image_undoes_the_crop() -> None:
    crop = Crop((101.5, 57.25), (300.0, 400.0), degrees=30)
    points = np.random.default_rng(0).uniform(0, 200, (5, 2))
    matrix = crop.matrix(192, 256)
    assert np.allclose(crop.to_image(points @ matrix[:, :2].T + matrix[:, 2], 192, 256), points)


def test_a_map_of_one_pixel_has_a_keypoint() -> None:
    points, scores = keypoints(np.ones((1, 2, 1, 1), np.float32))
    assert points.tolist() == [[[0, 0], [0, 0]]]
    assert scores.tolist() == [[1, 1]]
