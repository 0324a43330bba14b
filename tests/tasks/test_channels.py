"""Networks of one, two and four channels: what images become, what cards say, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

from hrnet_deploy import architecture as arch
from hrnet_deploy.architecture import to_dict
from hrnet_deploy.cards import card_for, read_card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks import input_graph
from hrnet_deploy.tasks.base import noise, task_of
from hrnet_deploy.tasks.channels import as_picture, checked_image, of_picture, read_channels
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.images import list_images, normalised, write_image
from hrnet_deploy.tasks.samples import sample_images

GREY = Input(64, 32, mean=(0.4,), std=(0.2,), channels=("grey",))
DEPTH = Input(64, 32, mean=(0.1, 0.2, 0.3, 0.4), std=(0.5, 0.6, 0.7, 0.8), channels=("depth", "blue", "green", "red"))
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)  # red, green, blue, depth


def test_a_grey_network_sees_the_grey_of_a_colour_image(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", PIXELS[..., :3])
    write_image(tmp_path / "grey.png", PIXELS[..., 0])
    grey = read_channels(tmp_path / "a.png", GREY)
    assert grey.shape == (40, 50, 1)
    assert np.abs(grey[..., 0] - PIXELS[..., :3] @ [0.299, 0.587, 0.114]).max() <= 1
    assert np.array_equal(read_channels(tmp_path / "grey.png", GREY)[..., 0], PIXELS[..., 0])
    green = dataclasses.replace(GREY, channels=("green",))
    assert np.array_equal(read_channels(tmp_path / "a.png", green)[..., 0], PIXELS[..., 1])


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".npy"])
def test_four_channels_come_from_a_file_that_has_them(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, PIXELS)
    else:
        cv2.imwrite(str(path), PIXELS[..., [2, 1, 0, 3]])
    image = read_channels(path, DEPTH)
    assert np.array_equal(image, PIXELS)
    x = normalised(image, DEPTH)
    wanted = [(PIXELS[..., c] / 255 - m) / s for c, m, s in zip((3, 2, 1, 0), DEPTH.mean, DEPTH.std, strict=True)]
    assert np.abs(x[0] - np.stack(wanted)).max() < 1e-5
    assert list_images(tmp_path) == [path]


def test_arrays_beside_images_are_no_images(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", PIXELS)
    write_image(tmp_path / "a.png", PIXELS[..., :3])
    assert list_images(tmp_path) == [tmp_path / "a.png"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda p: write_image(p / "a.png", PIXELS[..., :3]),
            "has 3 channels of uint8, and the network takes 4 of uint8",
        ),
        (lambda p: np.save(p / "a.npy", PIXELS[..., :3]), "not (40, 50, 3) of uint8 — give one image at a time"),
        (lambda p: np.save(p / "a.npy", PIXELS / 255), "scale its values to 0..255"),
        (lambda p: np.save(p / "a.npy", np.array([{}])), "is not a .npy file of an image"),
        (lambda p: (p / "a.npy").write_bytes(b"\x93NUMPY\x01\x00"), "is not a .npy file of an image"),
    ],
)
def test_files_of_other_channels_are_refused(make: Callable[[Path], Any], sentence: str, tmp_path: Path) -> None:
    make(tmp_path)
    (path,) = tmp_path.iterdir()
    with pytest.raises(BadInput) as error:
        read_channels(path, DEPTH)
    assert sentence in str(error.value)


def test_an_array_that_declares_more_than_it_holds_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (400_000, 500_000, 4)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(BadInput, match="is not a .npy file of an image"):
        read_channels(tmp_path / "a.npy", DEPTH)


def test_pictures_and_programs_are_told_which_channels_are_wanted() -> None:
    picture = PIXELS[..., :3]
    assert of_picture(picture, GREY).shape == (40, 50, 1)
    assert of_picture(picture, Input(64, 32, colour="BGR")) is picture
    with pytest.raises(
        BadInput, match=r"the network takes 4 channels \(depth, blue, green, red\), and a picture has red"
    ):
        of_picture(picture, DEPTH)
    assert checked_image(picture[..., 0], GREY).shape == (40, 50, 1)
    with pytest.raises(BadInput, match="convert it to grey"):
        checked_image(picture, GREY)
    with pytest.raises(BadInput, match=r"\(H, W, 4\) of uint8, depth, blue, green, red, not \(40, 50, 3\)"):
        checked_image(picture, DEPTH)
    assert np.array_equal(as_picture(PIXELS), picture)
    assert np.array_equal(as_picture(PIXELS[..., :1])[..., 2], PIXELS[..., 0])


def test_sample_images_have_any_number_of_channels() -> None:
    item = sample_images().items[0]
    assert item.read(DEPTH).shape[2] == 4
    assert item.read(GREY).shape[2] == 1
    with pytest.raises(BadInput):
        Item(item.path, 1).read(DEPTH)


@pytest.mark.parametrize("spec", [GREY, DEPTH, Input(64, 32, colour="BGR")])
def test_normalising_in_the_graph_equals_normalising_outside(spec: Input) -> None:
    crop = np.ascontiguousarray(np.resize(PIXELS, (64, 32, 4))[..., : len(spec.order)])
    model = onnx.parser.parse_model(input_graph.before(spec, 1, False, 20))
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"crops": crop[None]})[0] - normalised(crop, spec)).max() < 1e-6


BODY = arch.Body.of_width(8, (1, 1, 1), 1)
SHAPES = (
    arch.PoseHRNet(BODY),
    arch.SegHRNet(dataclasses.replace(BODY, upsample=arch.Upsample("bilinear"))),
    arch.FasterRCNN(BODY),
)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.family)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_task_prepares_images_of_so_many_channels(shape: Any, count: int) -> None:
    card = card_for(dataclasses.replace(shape, image_channels=count)).resized(64, 96)
    assert len(card.input.channels) == len(card.input.mean) == count
    (sample, *_) = task_of(card).samples(np.ascontiguousarray(PIXELS[..., :count]), Item(Path(), 1))
    assert sample.feed["image"].shape == noise(card, 1, 0)["image"].shape == (1, count, 64, 96)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "input has 3 channels (red, green, blue), and its network takes images of 1 — name them under input"),
        ({"channels": ["grey"]}, "input.mean has 3 values for the 1 channels grey"),
        ({"channels": ["grey", "depth"]}, "input has 2 channels (grey, depth), and its network takes images of 1"),
    ],
)
def test_a_card_names_the_channels_of_its_network(given: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    values = {
        "architecture": to_dict(dataclasses.replace(SHAPES[0], image_channels=1)),
        "input": {"height": 64, "width": 96, **given},
        "dataset": "coco-keypoints",
    }
    path = tmp_path / "card.yaml"
    path.write_text(json.dumps(values))  # which is YAML too
    with pytest.raises(BadInput) as error:
        read_card(path)
    assert sentence in str(error.value)
    values["input"] |= {"channels": ["grey"], "mean": [0.4], "std": [0.2]}  # type: ignore[operator]
    path.write_text(json.dumps(values))  # which is YAML too
    assert read_card(path).input.title == "grey"
