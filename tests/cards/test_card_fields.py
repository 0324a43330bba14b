"""Every field of a card is checked, and what has one meaning only is converted and said."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hrnet_deploy.cards import ModelCard, cards, read_card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import from_values, to_values
from hrnet_deploy.tasks.classes import Classes
from hrnet_deploy.tasks.pose.labels import Keypoints

FIVE = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
POSE: dict[str, Any] = {
    "architecture": {"family": "pose_hrnet", "width": 32, "keypoints": 5},
    "input": {"height": 64, "width": 64},
    "dataset": "mine",
    "keypoints": {"names": FIVE},
}
DETECTOR: dict[str, Any] = {
    "architecture": {"family": "faster_rcnn", "width": 18, "classes": 2},
    "input": {"height": 256, "width": 256, "fit": "pad"},
    "dataset": "mine",
    "classes": {"names": ["a", "b"]},
}


def read(folder: Path, group: str = "", base: dict[str, Any] = POSE, **fields: Any) -> ModelCard:
    """The card of a YAML file with some fields of a group replaced."""
    values = copy.deepcopy(base)
    (values[group] if group else values).update(fields)
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    return read_card(path)


def test_every_card_of_the_package_is_in_the_units_of_this_version() -> None:
    for name, card in cards().items():
        assert not card.remarks, name
        assert ModelCard.from_dict(card.to_dict()) == card


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
        ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
        ([103.53, 116.28, 123.675], [1.0, 1.0, 1.0], ((0.406, 0.456, 0.485), (1 / 255,) * 3)),  # Caffe's weights
        ([127.5] * 3, [127.5] * 3, ((0.5,) * 3, (0.5,) * 3)),
        ([0, 0, 0], [255, 255, 255], ((0.0,) * 3, (1.0,) * 3)),
        ([0, 0, 0], [1, 1, 1], ((0.0,) * 3, (1.0,) * 3)),
    ],
)
def test_mean_and_std_of_0_to_255_are_converted_and_said(
    mean: list[float], std: list[float], expected: tuple[tuple[float, ...], tuple[float, ...]], tmp_path: Path
) -> None:
    card = read(tmp_path, "input", mean=mean, std=std)
    np.testing.assert_allclose(card.input.mean, expected[0], rtol=1e-12)
    np.testing.assert_allclose(card.input.std, expected[1], rtol=1e-12)
    assert bool(card.remarks) == (max(*mean, *std) > 1)
    assert all("from 0 to 255, and were divided by 255" in r for r in card.remarks)


@pytest.mark.parametrize("colour", ["RGB", "rgb", "Rgb", "BGR", "bgr"])
def test_a_colour_order_is_read_in_any_case(colour: str, tmp_path: Path) -> None:
    assert read(tmp_path, "input", colour=colour).input.colour == colour.upper()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"mean": [0.485, 0.456, 0.406], "std": [58.395, 57.12, 57.375]}, "are of different units"),
        ({"mean": [123.675, 116.28, 103.53], "std": [0.229, 0.224, 0.225]}, "are of different units"),
        ({"mean": [0.485, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}, "are of different units"),
        ({"std": [0.229, 0, 0.225]}, "input.std has the value 0, which is not over 0"),
        ({"std": [0.229, -0.224, 0.225]}, "input.std has the value -0.224, which is not over 0"),
        ({"std": [0.0009] * 3}, "divided by 255 twice"),
        ({"mean": [-0.1, 0.4, 0.4]}, "input.mean has the value -0.1 — give it of pixel values from 0 to 1"),
        ({"mean": [31612.5, 29724, 26418], "std": [14926, 14600, 14665]}, "input.mean has the value 31612.5"),
        ({"mean": [float("nan"), 0.4, 0.4]}, "input.mean[0] is nan — it is a finite number"),
        ({"mean": [0.5], "std": [0.5]}, "input.mean has 1 values for the 3 channels RGB"),
        ({"mean": [0.5, 0.5], "std": [0.5, 0.5, 0.5]}, "input.mean has 2 values and input.std 3"),
        ({"mean": "0.5"}, "input.mean is '0.5' — it is a list"),
        ({"channels": ["red", "green", "red"]}, "input.channels has a name twice (red, green, red)"),
        ({"colour": "RGBA"}, "input.colour is 'RGBA' — it is one of RGB, BGR"),
        ({"color": "RGB"}, "there is no field input.color — did you mean colour?"),
        ({"fit": "squeeze"}, "input.fit is 'squeeze' — it is one of crop, stretch, pad, place"),
        ({"fit": "stretch"}, "cuts out one crop per person"),
        ({"height": 0}, "input.height is 0 — it is pixels, 1 to 65536"),
        ({"height": "64"}, "input.height is '64' — it is a whole number"),
        ({"width": 64.5}, "input.width is 64.5 — it is a whole number"),
        ({"height": True}, "input.height is True — it is a whole number"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(fields: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    from hrnet_deploy.tasks.base import task_of

    with pytest.raises(BadInput) as error:
        task_of(read(tmp_path, "input", **fields))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"skeleton": [[1, 2], [4, 5]]}, {"skeleton": ((0, 1), (3, 4))}),
        ({"skeleton": [[0, 1], [3, 4]]}, {"skeleton": ((0, 1), (3, 4))}),
        ({"flip_pairs": [[2, 3], [4, 5]]}, {"flip_pairs": ((1, 2), (3, 4))}),
        ({"flip_pairs": [[1, 2], [3, 4]]}, {"flip_pairs": ((1, 2), (3, 4))}),  # left and right by their names
        ({"flip_pairs": [[2, 3]]}, {"flip_pairs": ((1, 2),)}),
        (
            {"flip_pairs": [[1, 2]], "skeleton": [[1, 2], [4, 5]]},
            {"flip_pairs": ((1, 2),), "skeleton": ((0, 1), (3, 4))},
        ),
    ],
)
def test_pairs_that_count_from_1_are_converted_and_said(
    fields: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    card = read(tmp_path, "keypoints", **fields)
    labels = card.labels_as(Keypoints)
    assert {name: getattr(labels, name) for name in expected} == expected
    converted = [n for n in fields if getattr(labels, n) != tuple(map(tuple, fields[n]))]
    assert [r.split()[2] for r in card.remarks] == converted


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"skeleton": [[0, 9]]}, "skeleton has the number 9, and there are 5 labels — count them from 0 to 4"),
        ({"skeleton": [[0, 1], [4, 5]]}, "skeleton has the number 5"),
        ({"skeleton": [[-1, 1]]}, "skeleton has the number -1"),
        ({"skeleton": [[0, 0]]}, "skeleton joins nose with itself"),
        ({"skeleton": [[0, 1, 2]]}, "keypoints.skeleton[0] has 3 entries — it has 2"),
        ({"flip_pairs": [[0, 9]]}, "flip_pairs has the number 9"),
        ({"flip_pairs": [[1, 3]]}, "left_eye and left_ear swap in a mirror image, and both are on the left"),
        ({"flip_pairs": [[1, 2], [2, 3]]}, "flip_pairs has right_eye twice"),
        ({"names": list("abcde"), "skeleton": [[4, 5]], "flip_pairs": [[1, 2]]}, "may count from 0 or from 1"),
        ({"sigmas": [0.1, 0.1, 0.1]}, "keypoints.sigmas has 3 values, and there are 5 keypoints"),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, 0]}, "keypoints.sigmas is 0"),
        ({"sigmas": [2.6, 2.5, 2.5, 3.5, 3.5]}, "keypoints.sigmas is 2.6 — it is a share of the size of a person"),
        ({"box_padding": 0.25}, "keypoints.box_padding is 0.25 — it is a factor"),
        ({"box_padding": 125}, "keypoints.box_padding is 125"),
        ({"flip_shift": "yes"}, "keypoints.flip_shift is 'yes' — it is true or false"),
        ({"names": ["a", "b"]}, "names 2 keypoints, its network has 5 — name every one once"),
        ({"names": ["a", "b", "c", "d", True]}, "is True — it is text, so put it in quotes"),
    ],
)
def test_keypoints_that_do_not_fit_are_refused(fields: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        read(tmp_path, "keypoints", **fields)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("group", "fields", "sentence"),
    [
        ("classes", {"colours": [[0.1, 0.5, 1.0], [0, 0, 0]]}, "classes.colours[0][0] is 0.1 — it is a whole number"),
        (
            "classes",
            {"colours": [[0, 0, 256], [0, 0, 0]]},
            "classes.colours is 256 — it is red, green or blue, 0 to 255",
        ),
        ("classes", {"colours": [[0, 0, 0]]}, "classes.colours has 1 entries, and there are 2 classes"),
        ("classes", {"ids": [1]}, "classes.ids has 1 entries"),
        ("classes", {"ids": [1, 1]}, "classes.ids has a number twice"),
        ("classes", {"ignore": -1}, "classes.ignore is -1"),
        ("architecture", {"detections": {"score": 30}}, "architecture.detections.score is 30 — it is a share"),
        ("architecture", {"width": "18"}, "architecture.width is '18' — it is a whole number"),
        ("architecture", {"width": 10**9}, "architecture.width is 1e+09"),
        ("architecture", {"family": "yolo"}, "unknown network family 'yolo'"),
        ("", {"published": [{"url": "u", "sha256_prefix": 81258, "metric": "AP"}]}, "is 81258 — it is text, so put it"),
        ("", {"keypoints": {"names": FIVE}}, "it has keypoints, and its network is for detection"),
        ("", {"classes": None}, "the labels of the data set 'mine' are not known — give classes"),
        ("", {"input": None}, "input is missing"),
    ],
)
def test_other_fields_that_do_not_fit_are_refused(
    group: str, fields: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as error:
        read(tmp_path, group, DETECTOR, **fields)
    assert sentence in str(error.value)
    assert str(tmp_path / "mine.yaml") in str(error.value)


def test_a_card_inside_a_file_is_checked_and_not_converted(tmp_path: Path) -> None:
    from hrnet_deploy.graph.metadata import Description

    card = read(tmp_path, "", DETECTOR)
    assert isinstance(card.labels, Classes)
    values = to_values(Description(card))
    assert from_values(values, Path("a.onnx")).card == card
    values["card"]["input"].update(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
    with pytest.raises(BadInput, match="a.onnx was exported with a card that was not understood .* export it again"):
        from_values(values, Path("a.onnx"))
    values["card"]["input"].update(mean=[0.5], std=[0])
    with pytest.raises(BadInput, match="a.onnx has a damaged model card: input.mean has 1 values"):
        from_values(
            {**values, "card": {**values["card"], "input": {**values["card"]["input"], "std": [0.1]}}}, Path("a.onnx")
        )
