"""Landmarks of faces are decoded, cropped and scored as in the official repository."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from support import goldens

from hrnet_deploy.cards import ModelCard, card, cards
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import InputFormat, TaskOptions
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.geometry import FaceCrop, crop_of_box
from hrnet_deploy.tasks.landmarks.labels import Landmarks
from hrnet_deploy.tasks.landmarks.metrics import FaceErrors
from hrnet_deploy.tasks.landmarks.task import LandmarkTask
from hrnet_deploy.tasks.pose import graph
from hrnet_deploy.tasks.pose.decoding import decoder, face
from hrnet_deploy.tasks.pose.heatmaps import merge_flip
from hrnet_deploy.tasks.pose.person import Person, Pose

UNIT = 200  # pixels of the official scale
FACES = {
    68: "face_hrnetv2_w18_300w_256x256",
    98: "face_hrnetv2_w18_wflw_256x256",
    29: "face_hrnetv2_w18_cofw_256x256",
    19: "face_hrnetv2_w18_aflw_256x256",
}


@pytest.fixture(scope="module")
def golden() -> dict:
    return goldens.arrays("face_decode")


def crops_of(golden: dict) -> list[FaceCrop]:
    found = []
    for (x, y), scale in zip(golden["center"], golden["scale"], strict=True):
        side = UNIT * float(scale)
        crop = crop_of_box((x - side / 2, y - side / 2, side, side), 1.0, 1.0, "face")
        assert isinstance(crop, FaceCrop)
        found.append(crop)
    return found


def test_positions_in_heatmaps_are_the_official_ones(golden: dict) -> None:
    points, scores = face(golden["heatmaps"])
    assert np.array_equal(points + 1, golden["coords"])  # which count from 1
    assert np.array_equal(scores, golden["heatmaps"].max((2, 3)))


def test_landmarks_land_in_the_image_where_the_official_ones_do(golden: dict) -> None:
    points = face(golden["heatmaps"])[0] * 4  # in pixels of an input of 256x256
    found = [c.to_image(p, 256, 256) for c, p in zip(crops_of(golden), points, strict=True)]
    assert np.array_equal(np.stack(found), golden["preds"])


def test_the_task_decodes_as_the_official_code(golden: dict) -> None:
    own = LandmarkTask(with_points(20), InputFormat())
    image = np.zeros((90, 90, 3), np.uint8)
    for number, (x, y) in enumerate(golden["center"]):
        annotation = {"center": [float(x), float(y)], "scale": float(golden["scale"][number]) / 1.25, "bbox": [0] * 4}
        sample = own.samples(image, Item(None, 1, (annotation,)))[0]  # type: ignore[arg-type]
        (pose,) = own.decode([{"heatmaps": golden["heatmaps"][number : number + 1]}], [sample])
        assert np.abs(pose.points - golden["preds"][number]).max() < 1e-3


def with_points(count: int, **fields: object) -> ModelCard:
    """A card with so many landmarks, of which every two swap."""
    names = tuple(f"landmark_{i}" for i in range(count))
    pairs = tuple((i, i + 1) for i in range(0, count - 1, 2))
    labels = Landmarks(names, flip_pairs=pairs, **fields)  # type: ignore[arg-type]
    return dataclasses.replace(card(FACES[68]), labels=labels)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rule", Landmarks.decodings)
def test_the_graph_decodes_as_python_does(rule: str, flip: bool, golden: dict) -> None:
    made = with_points(20, decode=rule)
    labels, heatmaps = made.labels_as(Landmarks), golden["heatmaps"]
    given = np.concatenate([heatmaps, heatmaps[::-1]]) if flip else heatmaps
    model = onnx.parser.parse_model(graph.embedding(made, given.shape, flip, 20))
    points, scores = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"heatmaps": given})
    merged = merge_flip(heatmaps, heatmaps[::-1], labels.flip_pairs, labels.shifts_mirrored) if flip else heatmaps
    wanted, sure = decoder(labels, "a card")(merged)
    counted = (sure > 0.05) if rule in ("dark", "udp") else np.ones_like(sure, bool)  # as for pose
    assert np.abs(points - wanted * (255 / 63 if rule == "udp" else 4))[counted].max() < 1e-3 * 4
    assert np.allclose(scores, sure)


def scored(name: str, gt: np.ndarray, found: np.ndarray, **more: object) -> dict[str, float]:
    """The figures of faces with annotated and found places, (F, L, 2) each, one per image."""
    annotations = [
        {"keypoints": np.column_stack([p, np.full(len(p), 2)]).ravel().tolist(), "bbox": [0, 0, 9, 9], "image_id": i}
        for i, p in enumerate(gt)
    ]
    for name_of, values in more.items():
        for annotation, value in zip(annotations, values, strict=True):  # type: ignore[call-overload]
            annotation[name_of] = value
    items = tuple(Item(None, i, (a,)) for i, a in enumerate(annotations))  # type: ignore[arg-type]
    truth = {"images": [{"id": i} for i in range(len(gt))], "annotations": annotations}
    poses = [
        Pose(Person(i, crop_of_box((0, 0, 9, 9), 1.0), 1.0, annotation=a), p, p, np.ones(len(p), np.float32))
        for i, (a, p) in enumerate(zip(annotations, found, strict=True))
    ]
    return LandmarkTask(card(name), InputFormat()).score(poses, Dataset(items, truth)).figures()


@pytest.mark.parametrize("count", FACES)
def test_errors_are_normalised_as_the_official_code_does(count: int, golden: dict) -> None:
    gt, found, nme = (golden[f"nme_{count}{what}"] for what in ("_gt", "_pred", ""))
    more = {"box_size": golden["nme_19_box_size"].tolist()} if count == 19 else {}
    figures = scored(FACES[count], gt, found, **more)
    assert figures["NME"] == pytest.approx(nme.mean(), abs=1e-6)
    assert figures["FR@0.1"] == np.mean(nme > 0.1) and figures["FR@0.08"] == np.mean(nme > 0.08)
    thresholds = np.linspace(0, 0.1, 100_001)  # the area under the curve, by its definition
    curve = np.mean(nme[:, None] <= thresholds, axis=0)
    assert figures["AUC@0.1"] == pytest.approx(curve.mean(), abs=1e-4)


def test_faces_of_unknown_size_and_hidden_landmarks_are_not_counted(golden: dict) -> None:
    gt, found = golden["nme_68_gt"].astype(float), golden["nme_68_pred"].astype(float)
    whole = scored(FACES[68], gt[:1], found[:1])["NME"]
    assert np.isnan(list(scored(FACES[19], gt[:1, :19], found[:1, :19], box_size=[-3.0]).values())).all()
    assert scored(FACES[68], np.stack([gt[0], np.full_like(gt[1], 5)]), found[:2])["NME"] == pytest.approx(whole)
    own = LandmarkTask(card(FACES[68]), InputFormat())
    points = np.column_stack([gt[0], np.full(68, 2)])
    points[45, 2] = 0
    annotation = {"keypoints": points.ravel().tolist(), "bbox": [0, 0, 9, 9], "image_id": 0}
    items = (Item(None, 0, (annotation,)),)  # type: ignore[arg-type]
    known = own.reading(Dataset(items, {"images": [{"id": 0}], "annotations": [annotation]}))
    assert known["not_scored"] == "1 of 1 faces, whose size is not annotated"
    assert known["normaliser"] == "the distance of landmark_36 and landmark_45"


def test_the_difference_of_two_networks_has_an_interval(golden: dict) -> None:
    exact, worse = FaceErrors(np.zeros(4), np.arange(4), 4), FaceErrors(golden["nme_98"], np.arange(4), 4)
    assert worse.difference(worse) == (0, 0, 0)
    change, low, high = worse.difference(exact)
    assert change == pytest.approx(golden["nme_98"].mean()) and 0 < low < change < high


def official_crop(image: np.ndarray, centre: tuple[float, float], scale: float, size: int) -> tuple[slice, slice]:
    """The rows and columns that the official `crop` cuts out, which may lie outside of the image."""
    h = UNIT * scale
    t = np.array(
        [[size / h, 0, size * (-centre[0] / h + 0.5)], [0, size / h, size * (-centre[1] / h + 0.5)], [0, 0, 1]]
    )
    inverse = np.linalg.inv(t)
    ends = [(inverse @ (p[0] - 1, p[1] - 1, 1))[:2].astype(int) + 1 for p in ((0, 0), (size, size))]
    return slice(ends[0][1], ends[1][1]), slice(ends[0][0], ends[1][0])


@pytest.mark.parametrize(("centre", "scale"), [((61.3, 48.9), 0.32), ((50.0, 50.0), 0.2), ((12.0, 88.6), 0.4)])
def test_a_face_is_cut_out_in_whole_pixels_with_all_its_contrast(centre: tuple[float, float], scale: float) -> None:
    image = np.random.default_rng(5).integers(40, 200, (100, 120, 3), dtype=np.uint8)
    side = UNIT * scale
    crop = crop_of_box((centre[0] - side / 2, centre[1] - side / 2, side, side), 1.0, 1.0, "face")
    rows, columns = official_crop(image, centre, scale, 64)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    box = np.zeros((height, width, 3))
    for y in range(max(0, rows.start), min(100, rows.stop)):
        for x in range(max(0, columns.start), min(120, columns.stop)):
            box[y - rows.start, x - columns.start] = image[y, x]
    stretched = np.floor((box - box.min()) * 255 / (box.max() - box.min()) + 0.5)
    found = crop.cut(image, 64, 64)
    assert found.min() < 12 and found.max() > 230 and found.shape == (64, 64, 3)
    if (height, width) == (64, 64):
        assert np.abs(found - stretched).max() <= 1
    else:  # a mean does not depend on how a box is resized
        assert np.abs(found.mean((0, 1)) - stretched.mean((0, 1))).max() < 3


def test_crops_that_no_memory_holds_are_cut_without_being_made_first() -> None:
    image = np.full((8, 8, 3), 9, np.uint8)
    assert crop_of_box((-1e6, -1e6, 2e6, 2e6), 1.0, 1.0, "face").cut(image, 64, 64).shape == (64, 64, 3)
    assert crop_of_box((500, 500, 3, 3), 1.0, 1.0, "face").cut(image, 64, 64).max() == 0
    assert crop_of_box((3, 3, 0.01, 0.01), 1.0, 1.0, "face").cut(image, 64, 64).shape == (64, 64, 3)


@pytest.mark.parametrize("name", [n for n, c in cards().items() if c.task == "landmarks"])
def test_every_card_knows_its_mirror_image_and_its_size(name: str) -> None:
    labels = card(name).labels_as(Landmarks)
    swapped = [i for pair in labels.flip_pairs for i in pair]
    assert len(set(swapped)) == len(swapped) and (swapped or labels.nothing_swaps)
    assert LandmarkTask(card(name), InputFormat(), TaskOptions(flip_test=True)).flip_test
    if labels.normaliser:  # the corners of the eyes are each other's mirror images
        assert tuple(sorted(labels.normaliser)) in {tuple(sorted(p)) for p in labels.flip_pairs}


def test_an_official_network_has_no_shift_in_its_flip_test_and_one_of_mmpose_has() -> None:
    official = card(FACES[68]).labels_as(Landmarks)
    theirs = card(f"{FACES[68]}_mmpose").labels_as(Landmarks)
    assert (official.decode, official.crop_geometry, official.shifts_mirrored) == ("face", "face", False)
    assert (theirs.decode, theirs.crop_geometry, theirs.shifts_mirrored) == ("quarter_offset", "standard", True)
    assert official.decoded("dark").crop_geometry == "standard"
    assert dataclasses.replace(official, flip_shift=True).shifts_mirrored


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"normaliser": (0, 68)}, "normaliser is .0, 68. — give the numbers of two landmarks, 0 to 67"),
        ({"normaliser": (4,)}, "normaliser is .4. — give the numbers of two landmarks"),
    ],
)
def test_a_normaliser_that_is_no_pair_is_refused(change: dict, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        dataclasses.replace(card(FACES[68]).labels_as(Landmarks), **change).settled()


def test_rules_of_faces_are_not_for_poses() -> None:
    from hrnet_deploy.tasks.pose.task import PoseTask

    pose = card("pose_hrnet_w32_256x192")
    with pytest.raises(BadInput, match="this version only knows quarter_offset, dark, udp"):
        PoseTask(dataclasses.replace(pose, labels=dataclasses.replace(pose.labels, decode="face")), InputFormat())  # type: ignore[type-var]
