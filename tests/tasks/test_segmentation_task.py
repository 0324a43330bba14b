"""Images to what a segmentation network takes, class scores to label maps, label maps to mIoU."""

from __future__ import annotations

import dataclasses
import itertools
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import generate
import numpy as np
import pytest
import torch
from drawn.person import PARTS
from numpy.typing import NDArray

from hrnet_deploy.cards import card, read_card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks.base import InputFormat, TaskOptions, task_of
from hrnet_deploy.tasks.classes import Classes, colours_of
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import read_image, read_labels, write_image
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.segmentation.confusion import SegmentationScore, counts_of, figures_of
from hrnet_deploy.tasks.segmentation.drawing import draw_labels
from hrnet_deploy.tasks.segmentation.task import CompressedSegmentation, Segmentation, SegmentationTask, merge_flip

CITYSCAPES = card("seg_hrnetv2_w48_cityscapes_512x1024")
RNG = np.random.default_rng(0)


def task(height: int, width: int, fit: Literal["crop", "stretch", "pad"], **contract: bool) -> SegmentationTask:
    shape = dataclasses.replace(CITYSCAPES, input=Input(height, width, fit=fit))
    return SegmentationTask(shape, InputFormat(**contract))


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def of(labels: NDArray) -> Segmentation:
    return Segmentation(1, labels.astype(np.uint8), labels.astype(np.uint8))


# --- in and out ----------------------------------------------------------------------------------------------


def test_an_image_of_the_right_size_is_only_normalised() -> None:
    image = noise(32, 64)
    (sample,) = task(32, 64, "stretch").samples(image, Item(Path(), 3))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = ((torch.from_numpy(image) / 255 - mean) / std).permute(2, 0, 1)[None]
    assert np.abs(sample.feed["image"] - wanted.numpy()).max() < 1e-5
    assert sample.image_id == 3


@pytest.mark.parametrize(
    ("height", "width", "used"), [(50, 100, (32, 64)), (100, 50, (32, 16)), (7, 64, (7, 64)), (3, 6, (32, 64))]
)
def test_padding_keeps_the_shape_and_fills_up_with_what_is_zero_to_the_network(
    height: int, width: int, used: tuple[int, int]
) -> None:
    padded = task(32, 64, "pad")
    image = noise(height, width)
    crop, found = padded.fitted(image)
    assert found == used
    assert crop.shape == (32, 64, 3)
    feed = padded.samples(image, Item(Path(), 1))[0].feed["image"][0]
    outside = np.ones((32, 64), bool)
    outside[: used[0], : used[1]] = False
    assert np.abs(feed[:, outside]).max(initial=0) < 0.01
    assert crop[: used[0], : used[1]].std() > 20


def test_a_card_has_to_say_how_an_image_is_brought_to_size() -> None:
    with pytest.raises(BadInput, match="its input needs fit: stretch or pad"):
        task(32, 64, "crop")


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_scores_are_brought_to_the_image_as_pytorch_would(fit: Literal["stretch", "pad"]) -> None:
    """Bilinearly without aligned corners to the input, what was filled up cut off, and on to the image."""
    made = task(64, 128, fit)
    image = noise(90, 120)
    (sample,) = made.samples(image, Item(Path(), 1))
    logits = RNG.standard_normal((1, 19, 16, 32)).astype(np.float32)
    (found,) = made.decode([{"logits": logits}], [sample])
    rows, columns = sample.context.used
    assert (rows, columns) == ((64, 128) if fit == "stretch" else (64, 85))
    resize = torch.nn.functional.interpolate
    large = resize(torch.from_numpy(logits), size=(64, 128), mode="bilinear", align_corners=False)[
        :, :, :rows, :columns
    ]
    assert (found.in_input == large[0].argmax(0).numpy()).mean() > 0.9999
    wanted = resize(large, size=(90, 120), mode="bilinear", align_corners=False)[0].argmax(0).numpy()
    assert found.labels.shape == (90, 120)
    assert (found.labels == wanted).mean() > 0.999  # two classes may tie to seven digits


def test_an_embedded_graph_s_labels_are_cut_and_enlarged() -> None:
    made = task(64, 128, "pad", embedded=True)
    (sample,) = made.samples(noise(32, 32), Item(Path(), 1))
    assert sample.feed["crops"].shape == (1, 64, 128, 3)
    assert sample.feed["crops"].dtype == np.uint8
    labels = np.zeros((1, 64, 128), np.uint8)
    labels[0, 32:, :64], labels[0, :, 64:] = 7, 9  # the image takes the left half
    (found,) = made.decode([{"labels": labels}], [sample])
    assert found.labels.shape == (32, 32)
    assert np.array_equal(np.unique(found.labels, return_counts=True), [[0, 7], [512, 512]])


def test_the_flip_test_averages_scores_and_swaps_what_swaps() -> None:
    logits = RNG.standard_normal((3, 4, 5)).astype(np.float32)
    mirror = logits[[0, 2, 1], :, ::-1]
    assert np.allclose(merge_flip(logits, mirror, [(1, 2)]), logits)
    assert not np.allclose(merge_flip(logits, mirror, []), logits)
    shape = dataclasses.replace(CITYSCAPES, input=Input(32, 64, fit="stretch"))
    flipped = task_of(shape, flip_test=True)
    image = noise(32, 64)
    (sample,) = flipped.samples(image, Item(Path(), 1))
    assert np.array_equal(sample.feed["image"][1], sample.feed["image"][0, ..., ::-1])
    one = RNG.standard_normal((1, 19, 8, 16)).astype(np.float32)
    (both,) = flipped.decode([{"logits": np.concatenate([one, one[..., ::-1]])}], [sample])
    (alone,) = task_of(shape).decode([{"logits": one}], [sample])
    assert np.array_equal(both.labels, alone.labels)
    assert flipped.protocol() == {"flip_test": True, "fit": "stretch"}


def test_predictions_are_held_in_little_memory_and_lose_nothing() -> None:
    labels = np.kron(RNG.integers(0, 19, (8, 16), np.uint8), np.ones((32, 32), np.uint8))
    whole = Segmentation(4, labels, labels[::2, ::2].copy())
    (held,) = task(32, 64, "stretch").compact([whole])
    assert isinstance(held, CompressedSegmentation)
    assert np.array_equal(held.labels, whole.labels)
    assert np.array_equal(held.in_input, whole.in_input)
    assert sum(map(len, held.data)) < labels.nbytes / 25


def test_what_differs_is_counted_over_all_pixels_and_in_the_worst_map() -> None:
    a, b, c = np.zeros((10, 10)), np.zeros((10, 10)), np.zeros((10, 30))
    b[0, :5] = 3
    distance = task(32, 64, "stretch").compare([of(a), of(c)], [of(b), of(c)])
    assert distance.figures == {"pixels": 400.0, "differing": 5 / 400, "differing_most": 0.05}
    assert "1.2500% of 400 pixels have another class" in distance.sentence


# --- the metric ----------------------------------------------------------------------------------------------


def by_hand(pairs: list[tuple[NDArray, NDArray]], classes: int, ignore: int) -> tuple[float, float, float]:
    """mIoU, pixel and mean accuracy of a confusion matrix filled pixel by pixel."""
    matrix = np.zeros((classes, classes))
    for truth, found in pairs:
        for t, f in zip(truth.ravel(), found.ravel(), strict=True):
            if t != ignore:
                matrix[t, f] += 1
    unions = [matrix[c].sum() + matrix[:, c].sum() - matrix[c, c] for c in range(classes)]
    iou = [matrix[c, c] / unions[c] for c in range(classes) if unions[c]]
    accuracy = [matrix[c, c] / matrix[c].sum() for c in range(classes) if matrix[c].sum()]
    return float(np.mean(iou)), float(np.trace(matrix) / matrix.sum()), float(np.mean(accuracy))


def test_the_figures_are_those_of_a_confusion_matrix() -> None:
    pairs = []
    for _ in range(3):
        truth = RNG.integers(0, 5, (9, 13), np.uint8)  # class 5 is only found, class 6 neither there nor found
        found = np.where(RNG.random(truth.shape) < 0.6, truth, RNG.integers(0, 6, truth.shape)).astype(np.uint8)
        truth[:2] = 255
        pairs.append((truth, found))
    counts = np.stack([counts_of(t, f, 7, 255) for t, f in pairs])
    figures = figures_of(counts.sum(0))
    assert list(figures.values()) == pytest.approx(by_hand(pairs, 7, 255))
    assert list(figures) == ["mIoU", "pixel accuracy", "mean accuracy"]


def test_the_interval_of_a_difference_is_over_images() -> None:
    def score(wrong: list[int]) -> SegmentationScore:
        truth = np.tile(np.arange(4, dtype=np.uint8), (8, 2))
        maps = []
        for count in wrong:
            found = truth.copy()
            found.flat[:count] = (found.flat[:count] + 1) % 4
            maps.append(counts_of(truth, found, 4, 255))
        return SegmentationScore(np.stack(maps))

    perfect = score([0] * 20)
    assert perfect.figures()["mIoU"] == 1.0
    assert perfect.difference(perfect) == (0.0, 0.0, 0.0)
    change, low, high = score([8] * 20).difference(perfect)
    assert change == pytest.approx(low) == pytest.approx(high)  # every image is worse by the same
    change, low, high = score([0, 16] * 10).difference(perfect)
    assert low < change < high < 0


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    generate.generate(folder, range(3), seed=21)
    return folder


CARD = """
architecture: {family: seg_hrnet, width: 18, classes: 9, upsample: {mode: bilinear}}
input: {height: 64, width: 64, fit: stretch}
dataset: drawn-parts
"""


@pytest.fixture(scope="module")
def parsing(tmp_path_factory: pytest.TempPathFactory) -> SegmentationTask:
    """A task for the body parts of the drawn people."""
    path = tmp_path_factory.mktemp("cards") / "parsing.yaml"
    path.write_text(CARD)
    return SegmentationTask(read_card(path), InputFormat())


def truth_of(drawn: Path) -> list[Segmentation]:
    return [Segmentation(i.image_id, *[read_labels(i.labels)] * 2) for i in load_dataset(drawn).items if i.labels]


def test_the_drawn_label_maps_have_the_classes_of_their_dataset(parsing: SegmentationTask, drawn: Path) -> None:
    assert parsing.classes.names == tuple(PARTS)
    score = parsing.score(truth_of(drawn), load_dataset(drawn))
    assert score.figures() == {"mIoU": 1.0, "pixel accuracy": 1.0, "mean accuracy": 1.0}


def test_a_folder_of_label_maps_may_lie_elsewhere(parsing: SegmentationTask, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "maps").mkdir()
    for path in drawn.glob("*.png"):
        write_image(tmp_path / "images" / path.with_suffix(".jpg").name, read_image(path))
        write_image(tmp_path / "maps" / path.name, np.eye(*read_image(path).shape[:2], dtype=np.uint8))
    assert parsing.unscorable_reason(load_dataset(tmp_path / "images")) == "the images have no label maps"
    dataset = load_dataset(tmp_path / "images", tmp_path / "maps", limit=2)
    assert [i.labels and i.labels.name for i in dataset.items] == ["000000.png", "000001.png"]
    assert dataset.truth is None
    assert parsing.unscorable_reason(dataset) == ""
    assert parsing.unscorable_reason(dataset.unjudged()) == "the images have no label maps"
    (tmp_path / "maps" / "000001.png").unlink()
    partly = load_dataset(tmp_path / "images", tmp_path / "maps")
    assert parsing.unscorable_reason(partly) == "1 of 3 images have no label map (000001.jpg)"
    with pytest.raises(BadInput, match="has a label map for none of the images"):
        load_dataset(tmp_path / "images", tmp_path)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda path, m: write_image(path, np.where(m == 0, 33, m).astype(np.uint8)),
            "has a pixel of class 33, the model has 9 classes",
        ),
        (lambda path, m: write_image(path, m[:-1]), "give the label map of that image, at its size"),
        (lambda path, m: write_image(path, np.repeat(m[..., None], 3, 2)), r"\(0, 0, 0\) is that of no class"),
        (lambda path, m: cv2.imwrite(str(path), m.astype(np.uint16) * 1000), "is no label map: it has pixels up to"),
        (lambda path, m: path.write_bytes(b""), "is empty"),
        (lambda path, m: path.write_bytes(path.read_bytes()[:60]), "is cut off"),
        (lambda path, m: path.write_bytes(cv2.imencode(".jpg", m)[1].tobytes()), "is no label map: it is not a PNG"),
        (lambda path, m: write_image(path, m + 1), r"pixel of class 9, .* may be counted from 1: then subtract 1"),
        (lambda path, m: write_image(path, np.where(m, 255, 0).astype(np.uint8)), "if 255 stands for hair, write 1"),
        (lambda path, m: write_image(path, np.where(m, 128, 0).astype(np.uint8)), "they may be grey values of classes"),
        (lambda path, m: write_image(path, np.where(m, 255, 3).astype(np.uint8)), "if 255 stands for background, wr"),
        (lambda path, m: write_image(path, np.zeros_like(m)), r"have class 0 \(background\) alone, on which"),
        (lambda path, m: write_image(path, np.full_like(m, 255)), "every pixel of the label maps is 255"),
    ],
)
def test_a_bad_label_map_is_said_to_be_so(
    spoil: Callable[[Path, NDArray], object], sentence: str, parsing: SegmentationTask, drawn: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels").mkdir()
    write_image(tmp_path / "000000.png", read_image(drawn / "000000.png"))
    labels = read_labels(drawn / "labels" / "000000.png")
    write_image(tmp_path / "labels" / "000000.png", labels)
    assert parsing.score([Segmentation(1, labels, labels)], load_dataset(tmp_path)).figures()["mIoU"] == 1.0
    spoil(tmp_path / "labels" / "000000.png", labels)
    with pytest.raises(BadInput, match=sentence):
        parsing.score([Segmentation(1, labels, labels)], load_dataset(tmp_path))


def png(kind: int, bits: int, rows: NDArray, palette: bytes = b"") -> bytes:
    """A PNG file of numbers (H, W), `bits` each; kind 0 is grey, 3 has a palette."""

    def part(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    digits = (rows[..., None] >> np.arange(bits)[::-1]) & 1
    lines = np.packbits(digits.reshape(len(rows), -1).astype(np.uint8), axis=1)
    data = b"".join(b"\0" + line.tobytes() for line in lines)
    header = struct.pack(">IIBBBBB", rows.shape[1], len(rows), bits, kind, 0, 0, 0)
    colours = part(b"PLTE", palette) + part(b"tRNS", b"\0") if palette else b""
    whole = part(b"IHDR", header) + colours + part(b"IDAT", zlib.compress(data)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + whole


@pytest.mark.parametrize(("kind", "bits"), [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (3, 1), (3, 2), (3, 4), (3, 8)])
def test_a_label_map_has_the_numbers_that_are_in_the_file(kind: int, bits: int, tmp_path: Path) -> None:
    """Of a palette the numbers and not the colours, here all alike; of one bit 0 and 1 and not 0 and 255."""
    wanted = RNG.integers(0, min(1 << bits, 200), (13, 21))
    path = tmp_path / "map.png"
    path.write_bytes(png(kind, bits, wanted, b"\x80\x40\x20" * (1 << bits) if kind == 3 else b""))
    assert np.array_equal(read_labels(path), wanted)


def binary(folder: Path, foreground: Callable[[NDArray], bytes]) -> Path:
    """Two grey images, and masks of them whose right third is foreground."""
    (folder / "labels").mkdir()
    for i in range(2):
        write_image(folder / f"{i}.png", noise(30, 60))
        mask = np.zeros((30, 60), int)
        mask[:, 40:] = 1
        (folder / "labels" / f"{i}.png").write_bytes(foreground(mask))
    return folder


def two_classes() -> SegmentationTask:
    return SegmentationTask(dataclasses.replace(CITYSCAPES, labels=Classes(("background", "cell"))), InputFormat())


def test_a_network_that_finds_nothing_never_scores_100(tmp_path: Path) -> None:
    """On masks of one bit and on 0 and 1: 2/3 of background, nothing of the foreground. 0 and 255 are refused."""
    nothing = [Segmentation(i, *[np.zeros((30, 60), np.uint8)] * 2) for i in (1, 2)]
    for name, form in (("bit", lambda m: png(0, 1, m)), ("byte", lambda m: png(0, 8, m))):
        (tmp_path / name).mkdir()
        dataset = load_dataset(binary(tmp_path / name, form))
        assert two_classes().score(nothing, dataset).figures()["mIoU"] == pytest.approx(1 / 3)
        assert two_classes().reading(dataset) == {}
    (tmp_path / "full").mkdir()
    dataset = load_dataset(binary(tmp_path / "full", lambda m: png(0, 8, m * 255)))
    with pytest.raises(BadInput, match="if 255 stands for cell, write 1 in its place"):
        two_classes().unscorable_reason(dataset)


def test_what_label_maps_leave_out_is_said(parsing: SegmentationTask, tmp_path: Path) -> None:
    maps = np.full((30, 60), 255)
    maps[:5, :30], maps[5:10] = 1, 2
    dataset = load_dataset(binary(tmp_path, lambda _: png(0, 8, maps)))
    assert parsing.unscorable_reason(dataset) == ""
    assert parsing.reading(dataset) == {
        "classes_in_no_map": "7 of 9 (background, torso, upper_arm, lower_arm, upper_leg and 2 more)",
        "ignored": "75% of all pixels, those of 255",
    }


def test_hidden_files_are_no_label_maps(tmp_path: Path) -> None:
    dataset = load_dataset(binary(tmp_path, lambda m: png(0, 8, m)))
    (tmp_path / "._0.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "labels" / "._0.png").write_bytes(b"\0\5\26\7")
    assert [i.labels for i in load_dataset(tmp_path).items] == [i.labels for i in dataset.items]


def test_one_output_channel_is_refused_with_the_cure() -> None:
    """Its argmax is 0 everywhere. A channel of zeros before it is a threshold of 0.5 of the sigmoid."""
    one = dataclasses.replace(CITYSCAPES, labels=Classes(("cell",)))
    with pytest.raises(BadInput, match="has one output channel.*put a channel of zeros before it"):
        SegmentationTask(one, InputFormat())


def test_more_classes_than_label_maps_can_hold_are_refused() -> None:
    many = dataclasses.replace(CITYSCAPES, labels=Classes(tuple(f"class_{i}" for i in range(300))))
    with pytest.raises(BadInput, match="has 300 classes — label maps of 8 bits hold at most 255"):
        SegmentationTask(many, InputFormat())


def test_an_embedded_graph_has_its_flip_test_inside() -> None:
    with pytest.raises(BadInput, match="decodes inside the graph without a flip test — export it again with --embed"):
        SegmentationTask(CITYSCAPES, InputFormat(embedded=True), TaskOptions(flip_test=True))


def test_images_without_label_maps_have_no_score(tmp_path: Path) -> None:
    parsing = task(64, 64, "stretch")
    with pytest.raises(BadInput, match="cannot be scored: the images have no label maps — give one PNG"):
        parsing.score([of(np.zeros((4, 4)))], Dataset((Item(tmp_path / "a.png", 1),)))


def test_probabilities_that_need_too_much_memory_are_refused_before_they_are_computed() -> None:
    """At several scales, the probabilities of all classes are added up at the size of the image."""
    several = task_of(CITYSCAPES.resized(64, 64), InputFormat(), options=TaskOptions(scales=(1.0,)))
    (sample,) = several.samples(noise(64, 64), Item(Path("a.png"), 1))
    sample = dataclasses.replace(sample, context=dataclasses.replace(sample.context, size=(40_000, 30_000)))
    with pytest.raises(BadInput, match="the probabilities of 19 classes at 40000x30000 pixels take 173950 MB"):
        several.decode([{"logits": np.zeros((1, 19, 16, 16), np.float32)}], [sample])


# --- pictures and records ------------------------------------------------------------------------------------


def test_a_picture_shows_the_labels_and_names_them(parsing: SegmentationTask) -> None:
    image, labels = noise(120, 90), np.zeros((120, 90), np.uint8)
    labels[30:, :45] = 3
    picture = parsing.draw(image, [Segmentation(1, labels, labels)])
    other = parsing.draw(image, [Segmentation(1, labels * 0, labels)])
    assert picture.shape == other.shape  # frames of a video
    assert picture.shape[0] == 120
    assert picture.shape[1] > 90
    torso, background = (np.array(parsing.classes.colours[i]) for i in (3, 0))
    for region, colour in ((picture[30:, :45], torso), (picture[:30, :90], background)):
        assert np.abs(region.reshape(-1, 3).mean(0) - (0.55 * colour + 0.45 * 127)).max() < 8
    legend = picture[:, 90:].reshape(-1, 3)
    assert (legend == torso).all(1).any()
    assert (legend == background).all(1).any()
    assert not (other[:, 90:].reshape(-1, 3) == torso).all(1).any()


def test_colours_are_made_where_a_dataset_has_none() -> None:
    made = colours_of(Classes(tuple(f"class_{i}" for i in range(150))))
    assert len(set(made)) == 150
    distances = [np.abs(np.subtract(a, b)).sum() for a, b in itertools.pairwise(made)]
    assert min(distances) > 100
    assert (
        draw_labels(noise(20, 30), np.full((20, 30), 149, np.uint8), Classes(tuple(map(str, range(150))))).shape[0]
        == 20
    )


def test_a_record_counts_the_pixels_of_what_is_there(parsing: SegmentationTask) -> None:
    labels = np.zeros((4, 6), np.uint8)
    labels[0, :3] = 8
    (record,) = parsing.records([Segmentation(8, labels, labels)])
    assert record == {
        "image_id": 8,
        "height": 4,
        "width": 6,
        "classes": [{"id": 0, "name": "background", "pixels": 21}, {"id": 8, "name": "shoe", "pixels": 3}],
    }
    assert np.array_equal(parsing.label_maps([Segmentation(8, labels, labels)])[0], labels)
