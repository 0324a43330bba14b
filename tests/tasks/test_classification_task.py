"""The classification task: how an image becomes an input, how scores become classes, and how these are scored."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx.parser
import onnxruntime
import pytest
from numpy.typing import NDArray
from support.tiny import TINY_CLASSIFIER

from hrnet_deploy.cards import ModelCard, card, card_for
from hrnet_deploy.errors import BadInput
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks.base import InputFormat, Sample, task_of
from hrnet_deploy.tasks.classification.accuracy import Accuracy
from hrnet_deploy.tasks.classification.graph import embedding
from hrnet_deploy.tasks.classification.labels import ImageClasses
from hrnet_deploy.tasks.classification.resampling import centre_crop
from hrnet_deploy.tasks.classification.task import Classification, ClassificationTask
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.tasks.layouts import Sought
from hrnet_deploy.tasks.loading import load_dataset

NAMES = ("cat", "dog", "great white shark", "crane", "crane", "tench")
FOLDERS = ("n1", "n2", "n3", "n4", "n5", "n6")


def known(names: tuple[str, ...] = NAMES, folders: tuple[str, ...] = FOLDERS) -> ModelCard:
    made = card_for(TINY_CLASSIFIER).resized(64, 64)
    return dataclasses.replace(made, dataset="mine", labels=ImageClasses(names, folders))


def task(**embedded: bool) -> ClassificationTask:
    made = task_of(known(), InputFormat(**embedded))
    assert isinstance(made, ClassificationTask)
    return made


def found(image_id: int, *classes: int) -> Classification:
    """A prediction of these classes, the first one with the probability 0.5, the next with 0.25, and so on."""
    return Classification(image_id, np.array(classes), np.array([0.5**i for i in range(1, 1 + len(classes))], "f"))


def folder(place: Path, *classes: str, each: int = 1) -> Path:
    """A folder with a folder for each class."""
    for name in classes:
        (place / name).mkdir(parents=True)
        for i in range(each):
            write_image(place / name / f"{name[:2]}{i}.png", np.full((40, 50, 3), 90, np.uint8))
    return place


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(100, 90), (160, 257), (64, 64), (30, 41)])
def test_the_crop_is_that_of_pillow_and_torchvision(size: tuple[int, int], interpolation: str) -> None:
    pillow = pytest.importorskip("PIL.Image")
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    height, width = size
    short = 73  # int(64 / 0.875)
    after = (short, int(short * width / height)) if height <= width else (int(short * height / width), short)
    kernel = getattr(pillow.Resampling, interpolation.upper())
    resized = np.asarray(pillow.fromarray(image).resize(after[::-1], kernel))
    top, left = round((after[0] - 64) / 2), round((after[1] - 64) / 2)
    wanted = resized[top : top + 64, left : left + 64].astype(int)
    spec = dataclasses.replace(Input(64, 64, fit="centre"), interpolation=interpolation)  # type: ignore[arg-type]
    got = centre_crop(image, spec).astype(int)
    assert abs(got - wanted).max() <= 1 and (got != wanted).mean() < 0.01  # Pillow adds in fixed point


def test_another_crop_ratio_and_a_wide_input() -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 200
    whole = centre_crop(image, Input(50, 150, fit="centre", crop_ratio=1.0))
    assert whole.shape == (50, 150, 3) and (whole[:, 5:45] == 0).all() and (whole[:, 55:95] == 200).all()
    assert (centre_crop(image, Input(32, 32, fit="centre", crop_ratio=0.4)) == 200).all()


def test_scores_become_the_five_most_probable_classes() -> None:
    scores = np.log(np.array([[0.1, 0.4, 0.05, 0.3, 0.03, 0.12]], np.float32))
    (prediction,) = task().decode([{"logits": scores}], [Sample(7, {}, None)])
    assert prediction.classes.tolist() == [1, 3, 5, 0, 2]
    assert np.allclose(prediction.probabilities, [0.4, 0.3, 0.12, 0.1, 0.05], atol=1e-6)
    (record,) = task().records([prediction])
    assert record["image_id"] == 7
    assert record["classes"][0] == {"id": 1, "name": "dog", "probability": pytest.approx(0.4)}
    assert json.dumps(record)


def test_the_embedded_graph_computes_the_same() -> None:
    scores: NDArray[np.float32] = np.random.default_rng(1).standard_normal((2, 6)).astype(np.float32)
    model = onnx.parser.parse_model(embedding(known(), (2, 6), False, 17))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    classes, probabilities = session.run(None, {"logits": scores})
    for i in range(2):
        (wanted,) = task().decode([{"logits": scores[i : i + 1]}], [Sample(i, {}, None)])
        given = {"classes": classes[i : i + 1], "probabilities": probabilities[i : i + 1]}
        (got,) = task(embedded=True).decode([given], [Sample(i, {}, None)])
        assert got.classes.tolist() == wanted.classes.tolist()
        assert np.allclose(got.probabilities, wanted.probabilities, atol=1e-6)


def test_a_changed_class_is_counted_unless_both_are_equally_probable() -> None:
    same = task().compare([found(1, 0, 1)], [found(1, 0, 1)])
    assert same.figures == {"changed": 0.0, "probability_max": 0.0}
    other = task().compare([found(1, 0, 1), found(2, 3, 4)], [found(1, 1, 0), found(2, 3, 4)])
    assert other.figures == {"changed": 0.5, "probability_max": 0.25}
    tied = [Classification(1, np.array(c), np.array([0.4, 0.4], np.float32)) for c in ([0, 1], [1, 0])]
    assert task().compare(*([t] for t in tied)).figures["changed"] == 0


def test_top_1_and_top_5_and_their_bootstrap() -> None:
    hits = np.zeros((4, 5), bool)
    hits[0, 0] = hits[1, 0] = hits[2, 3] = True
    score = Accuracy(hits)
    assert score.figures() == {"top-1": 0.5, "top-5": 0.75}
    better = hits.copy()
    better[3, 0] = True
    change, low, high = Accuracy(better).difference(score)
    assert change == 0.25 and low == 0 and high > 0.25


def test_a_folder_for_each_class_is_scored_by_names_and_by_the_data_sets_own_folders(tmp_path: Path) -> None:
    data = load_dataset(folder(tmp_path, "n3", "Dog", "n5", "horse"))
    names = {i.path.parent.name: i.image_id for i in data.items}
    predictions = [found(names["n3"], 2, 0), found(names["Dog"], 0, 1), found(names["n5"], 4), found(names["horse"], 1)]
    predictions = [dataclasses.replace(p, classes=np.resize(p.classes, 5)) for p in predictions]
    assert task().score(predictions, data).figures() == {"top-1": pytest.approx(2 / 3), "top-5": 1.0}
    assert task().reading(data) == {
        "classes_not_scored": "1 of 4 (horse)",
        "images_not_scored": "1 of 4, whose classes the network does not have",
    }
    assert data.only([0]).digest != dataclasses.replace(data.only([0]), truth=None).digest


def test_numbers_are_matched_where_category_says_so(tmp_path: Path) -> None:
    images = folder(tmp_path / "a", "cat", "tench")
    (tmp_path / "list.txt").write_text("cat/ca0.png 0\ntench/te0.png 5\n")
    data = load_dataset(images, tmp_path / "list.txt")
    with pytest.raises(BadInput, match=r"the classes of the data set are numbers \(0, 5\).* say --category number"):
        task().score([], data)
    chosen = data.choosing(["number"])
    assert task().reading(chosen) == {"classes": "matched by number, as --category number says"}
    predictions = [
        dataclasses.replace(found(i.image_id, n), classes=np.resize(n, 5))
        for i, n in zip(data.items, (0, 5), strict=True)
    ]
    assert task().score(predictions, chosen).figures()["top-1"] == 1.0
    (tmp_path / "list.txt").write_text("cat/ca0.png 0\ntench/te0.png 6\n")
    with pytest.raises(BadInput, match="the data set has the class 6, the network has the classes 0 to 5"):
        task().score([], load_dataset(images, tmp_path / "list.txt").choosing(["number"]))


def test_imagenet_in_its_own_folders(tmp_path: Path) -> None:
    images = folder(tmp_path / "val", "n1", "n3")
    sought = Sought("classification", "imagenet", 6)
    data = load_dataset(tmp_path, sought=sought)
    assert data.remarks["data_set"].startswith("ImageNet") and [i.file_name for i in data.items] == [
        "n1/n10.png",
        "n3/n30.png",
    ]
    predictions = [dataclasses.replace(found(i.image_id, 2), classes=np.resize(2, 5)) for i in data.items]
    assert task().score(predictions, data).figures()["top-1"] == 0.5
    for name in ("n1", "n3"):
        next((images / name).iterdir()).rename(images / f"{name}.png")
        (images / name).rmdir()
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "val.txt").write_text("n1.png 0\nn3.png 2\n")
    listed = load_dataset(tmp_path, sought=sought).choosing(["number"])
    assert task().score(predictions, listed).figures()["top-1"] == 0.5


def test_category_says_what_a_class_is_called_in_the_data_set(tmp_path: Path) -> None:
    data = load_dataset(folder(tmp_path, "kitten", "n2"))
    assert task().reading(data)["classes_not_scored"] == "1 of 2 (kitten)"
    assert task().reading(data.choosing(["cat=kitten"])) == {"classes": "chosen with --category: cat=kitten"}
    for text in ("kitten", "horse=kitten"):
        with pytest.raises(BadInput, match=f"--category {text} is neither `number` nor CLASS=CATEGORY"):
            task().score([], data.choosing([text]))


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (
            ("lion", "tiger"),
            "no class of the data set is one of the network: the data set has lion, tiger, the network",
        ),
        (("crane", "cat"), r"2 classes of the network are called crane \(n4, n5\); name the folder"),
    ],
)
def test_classes_that_do_not_fit_are_refused(classes: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=sentence):
        task().score([], load_dataset(folder(tmp_path, *classes)))


def test_classes_without_names_are_those_of_the_folders_in_their_order(tmp_path: Path) -> None:
    unnamed = task_of(known(tuple(f"class_{i}" for i in range(6)), ()))
    data = load_dataset(folder(tmp_path, *"fbecda"))
    assert str(unnamed.reading(data)["classes"]).startswith("matched by order, as in a training on these folders;")
    predictions = [dataclasses.replace(found(i.image_id, 1), classes=np.resize(1, 5)) for i in data.items]
    assert unnamed.score(predictions, data).figures()["top-1"] == pytest.approx(1 / 6)
    fewer = data.only([0, 1])
    assert unnamed.score(predictions, fewer).figures()["top-1"] == 0.5


def test_images_without_classes_cannot_be_scored() -> None:
    data = Dataset((Item(Path("a.png"), 1),))
    with pytest.raises(BadInput, match="cannot be scored: nothing is annotated — give a folder with a folder for each"):
        task().score([], data)


@pytest.mark.parametrize("name", ["pose_hrnet_w16_demo_128x96", "det_hrnetv2p_w16_demo_256x256"])
def test_other_tasks_do_not_score_classes_of_images(name: str, tmp_path: Path) -> None:
    data = load_dataset(folder(tmp_path, "person", "ball"))
    assert task_of(card(name)).unscorable_reason(data) == "its annotations have a class for every image and no boxes"


def test_a_picture_has_a_panel_with_the_best_classes() -> None:
    picture = np.zeros((120, 160, 3), np.uint8)
    drawn = task().draw(picture, [found(1, 2, 0, 1, 3, 5)])
    other = task().draw(picture, [found(1, 1, 0)])
    assert drawn.shape == other.shape and drawn.shape[0] == 120 and drawn.shape[1] > 200
    assert (drawn[:, :160] == picture).all() and (drawn != other).any()


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        (("n1",), "classes.folders has 1 entries, and there are 6 classes"),
        (("n1",) * 6, "classes.folders has a name twice"),
    ],
)
def test_folders_that_do_not_fit_the_classes_are_refused(folders: tuple[str, ...], sentence: str) -> None:
    values = {**known().to_dict(), "classes": {"names": NAMES, "folders": folders}}
    with pytest.raises(BadInput, match=sentence):
        ModelCard.from_dict(values)


def test_a_card_needs_the_fit_of_classifiers() -> None:
    made = known()
    with pytest.raises(BadInput, match="its input needs fit: centre"):
        task_of(dataclasses.replace(made, input=dataclasses.replace(made.input, fit="stretch")))
