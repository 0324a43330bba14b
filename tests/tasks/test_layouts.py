"""Public data sets in the folders of their sites: what is recognised, how label maps are read, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.real import real

from hrnet_deploy.cards import ModelCard, card, cards
from hrnet_deploy.errors import BadInput
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks.base import InputFormat, task_of
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.tasks.layouts import LAYOUTS, Sought, find
from hrnet_deploy.tasks.layouts.kinds import Layout
from hrnet_deploy.tasks.layouts.table import CITYSCAPES, COCO_STUFF, from_one
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.segmentation.task import SegmentationTask
from hrnet_deploy.workflow.split import Split

Run = Callable[..., tuple[int, str, str]]
POSE, OBJECTS, WHOLE = "pose_hrnet_w32_256x192", "faster_rcnn_hrnetv2p_w18_800x1344", "pose_hrnet_w32_wholebody_256x192"
MPII, CROWD, AP10K = "pose_hrnet_w32_mpii_256x256", "pose_hrnet_w32_crowdpose_256x192", "pose_hrnet_w32_ap10k_256x256"
CITY, LIP, ADE = "seg_fcn_hr18_cityscapes_512x1024", "seg_hrnetv2_w48_lip_473x473", "seg_hrnetv2_w48_ade20k_520x520"
CONTEXT, STUFF = "seg_hrnetv2_w48_pascal_context_480x480", "seg_hrnetv2_w48_coco_stuff_520x520"
FACE_300W, FACE_WFLW = "face_hrnetv2_w18_300w_256x256", "face_hrnetv2_w18_wflw_256x256"
FACE_AFLW, CLASSES = "face_hrnetv2_w18_aflw_256x256", "cls_hrnet_w18_imagenet_224x224"
JPG, IMAGE = "000000000007.jpg", np.full((20, 30, 3), 90, np.uint8)


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, IMAGE)


def labels(path: Path, values: list[int]) -> None:
    """A label map whose columns have these values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.tile(np.resize(np.array(values, np.uint8), 30), (20, 1)))


def annotated(path: Path, name: str = JPG, **more: Any) -> None:
    own = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [2, 2, 9, 9], "iscrowd": 0, "area": 60, **more}
    content = {
        "images": [{"id": 7, "file_name": name}, {"id": 8, "file_name": "not_there.jpg"}],
        "annotations": [own],
        "categories": [{"id": 1, "name": "person"}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def coco(root: Path) -> None:
    image(root / "val2017" / JPG)
    annotated(root / "annotations/person_keypoints_val2017.json", keypoints=[5, 5, 2] * 17)
    annotated(root / "annotations/instances_val2017.json")
    annotated(root / "annotations/coco_wholebody_val_v1.0.json", keypoints=[5, 5, 2] * 17, foot_kpts=[5, 5, 2] * 6)
    labels(root / "stuffthingmaps/val2017" / f"{Path(JPG).stem}.png", [0, 11, 12, 181, 255])


def crowdpose(root: Path) -> None:
    for name in (JPG, "000000000009.jpg"):  # the folder has the images of every split
        image(root / "images" / name)
    annotated(root / "annotations/mmpose_crowdpose_test.json", keypoints=[5, 5, 2] * 14)
    annotated(root / "annotations/mmpose_crowdpose_val.json", "000000000009.jpg", keypoints=[5, 5, 2] * 14)


def ap10k(root: Path) -> None:
    image(root / "data" / JPG)
    annotated(root / "annotations/ap10k-val-split1.json", keypoints=[5, 5, 2] * 17)


def mpii(root: Path) -> None:
    image(root / "images" / JPG)
    (root / "annot").mkdir()
    person = {"image": JPG, "center": [10.0, 10.0], "scale": 0.1, "joints": [[5, 5]] * 16, "joints_vis": [1] * 16}
    (root / "annot/valid.json").write_text(json.dumps([person]))


def cityscapes(root: Path) -> None:
    for town, values in (("aachen", [7, 33, 0]), ("bonn", [8, 255])):
        name = f"{town}_000000_000019"
        image(root / f"leftImg8bit/val/{town}/{name}_leftImg8bit.png")
        labels(root / f"gtFine/val/{town}/{name}_gtFine_labelIds.png", values)
        labels(root / f"gtFine/val/{town}/{name}_gtFine_color.png", [1])
    image(root / "leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png")
    labels(root / "gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png", [33])


def lip(root: Path) -> None:
    image(root / "TrainVal_images/val_images/100034_483681.jpg")
    labels(root / "TrainVal_parsing_annotations/val_segmentations/100034_483681.png", [0, 19])


def pascal_context(root: Path) -> None:
    for name in ("2008_000002", "2008_000003"):
        image(root / f"VOCdevkit/VOC2010/JPEGImages/{name}.jpg")
        labels(root / f"VOCdevkit/VOC2010/SegmentationClassContext/{name}.png", [0, 1, 59])
    (root / "VOCdevkit/VOC2010/ImageSets/SegmentationContext").mkdir(parents=True)
    (root / "VOCdevkit/VOC2010/ImageSets/SegmentationContext/val.txt").write_text("2008_000003\n")


def ade20k(root: Path) -> None:
    image(root / "ADEChallengeData2016/images/validation/ADE_val_00000001.jpg")
    labels(root / "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png", [0, 1, 150])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], None]], Path]:
    """The folder of a data set, made once."""
    made: dict[Callable[[Path], None], Path] = {}

    def of(make: Callable[[Path], None]) -> Path:
        if make not in made:
            made[make] = tmp_path_factory.mktemp(make.__name__)
            make(made[make])
        return made[make]

    return of


def loaded(root: Path, name: str, split: str = "", **options: Any) -> Dataset:
    return load_dataset(root, sought=Sought.of(card(name), split), **options)


ANNOTATED = [
    (coco, POSE, "COCO (person keypoints), val", "person_keypoints_val2017.json", 1),
    (coco, WHOLE, "COCO-WholeBody, val", "coco_wholebody_val_v1.0.json", 1),
    (coco, OBJECTS, "COCO (objects), val", "instances_val2017.json", 1),
    (crowdpose, CROWD, "CrowdPose, test", "mmpose_crowdpose_test.json", 1),
    (ap10k, AP10K, "AP-10K, val", "ap10k-val-split1.json", 1),
    (mpii, MPII, "MPII, val", "valid.json", 0),
]


@pytest.mark.parametrize(("make", "name", "said", "file", "missing"), ANNOTATED)
def test_annotated_data_sets_are_recognised(
    make: Any, name: str, said: str, file: str, missing: int, tree: Any
) -> None:
    dataset = loaded(tree(make), name)
    assert dataset.remarks["data_set"] == said
    assert dataset.place is not None and dataset.place[1] is not None and dataset.place[1].name == file
    assert [i.path.name for i in dataset.items] == [JPG]
    assert len(dataset.items[0].annotations or ()) == 1
    assert dataset.remarks.get("images_missing") == (f"1 of 2, which {file} lists" if missing else None)
    assert "left_out" not in dataset.remarks  # images of other splits in the same folder are none that are missing
    assert task_of(card(name)).unscorable_reason(dataset) == ""


MAPPED = [
    (cityscapes, CITY, "Cityscapes, val", [{0, 18, 255}, {1, 255}]),
    (lip, LIP, "LIP, val", [{0, 19}]),
    (pascal_context, CONTEXT, "PASCAL-Context, val", [{255, 0, 58}]),
    (ade20k, ADE, "ADE20K, val", [{255, 0, 149}]),
    (coco, STUFF, "COCO-Stuff, val", [{0, 255, 11, 170}]),
]


@pytest.mark.parametrize(("make", "name", "said", "values"), MAPPED)
def test_label_maps_are_found_and_their_values_become_classes(
    make: Any, name: str, said: str, values: list[set[int]], tree: Any
) -> None:
    dataset = loaded(tree(make), name)
    assert dataset.remarks["data_set"] == said
    assert [set(np.unique(i.label_map())) for i in dataset.items] == values
    task = task_of(card(name))
    assert task.unscorable_reason(dataset) == ""
    assert task.reading(dataset)["data_set"] == said


def test_the_tables_are_those_of_their_data_sets() -> None:
    """cityscapesscripts, helpers/labels.py: id 7 is road, 33 bicycle; ids that are not trained are ignored."""
    assert len(CITYSCAPES) == len(COCO_STUFF) == len(from_one(150)) == 256
    assert {v: c for v, c in enumerate(CITYSCAPES) if c != 255} == {
        7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
        28: 15, 31: 16, 32: 17, 33: 18,
    }  # fmt: skip
    assert sorted(set(COCO_STUFF)) == [*range(171), 255] and COCO_STUFF[12] == 11 and COCO_STUFF[181] == 170
    objects = card(OBJECTS).labels.ids  # type: ignore[attr-defined]
    assert [COCO_STUFF[i - 1] for i in objects] == list(range(80))
    assert from_one(150)[:3] == (255, 0, 1) and from_one(150)[255] == 255


def test_the_60_classes_of_pascal_context_have_the_background(tree: Any) -> None:
    dataset = load_dataset(tree(pascal_context), sought=Sought("segmentation", "own", 60))
    assert [set(np.unique(i.label_map())) for i in dataset.items] == [{0, 1, 59}]


def test_a_split_may_be_chosen(tree: Any) -> None:
    assert loaded(tree(cityscapes), CITY, "train").remarks["data_set"] == "Cityscapes, train"
    assert loaded(tree(crowdpose), CROWD, "val").remarks["data_set"] == "CrowdPose, val"
    assert loaded(tree(ade20k), ADE, "validation").remarks["data_set"] == "ADE20K, val"
    with pytest.raises(BadInput, match=r"is CrowdPose without the split 'train' — give --split test or val"):
        loaded(tree(crowdpose), CROWD, "train")


def test_a_number_of_images_may_be_chosen(tree: Any) -> None:
    assert len(loaded(tree(cityscapes), CITY, limit=1)) == 1


def test_annotations_that_are_named_replace_those_of_the_data_set(tree: Any, tmp_path: Path) -> None:
    annotated(tmp_path / "own.json", keypoints=[6, 6, 2] * 17)
    dataset = loaded(tree(coco), POSE, annotations=tmp_path / "own.json")
    assert dataset.truth is not None and dataset.truth["annotations"][0]["keypoints"][0] == 6
    for town in ("aachen", "bonn"):
        labels(tmp_path / f"maps/{town}_000000_000019_leftImg8bit.png", [4])
    dataset = loaded(tree(cityscapes), CITY, annotations=tmp_path / "maps")
    assert {int(v) for i in dataset.items for v in np.unique(i.label_map())} == {4}


@pytest.mark.parametrize(
    ("make", "name", "split", "sentence"),
    [
        (cityscapes, POSE, "", "is Cityscapes, which is for segmentation, and the model is for pose"),
        (mpii, CITY, "", "is MPII, which is for pose, and the model is for segmentation"),
        (cityscapes, LIP, "", "is Cityscapes with 19 classes, and the model tells the 20 of lip apart"),
        (pascal_context, CITY, "", "with 59 or 60 classes, and the model tells the 19 of cityscapes apart"),
    ],
)
def test_data_of_another_kind_is_refused(make: Any, name: str, split: str, sentence: str, tree: Any) -> None:
    with pytest.raises(BadInput, match=sentence):
        loaded(tree(make), name, split)


def test_a_plain_folder_stays_one(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    assert find(tmp_path, Sought.of(card(POSE))) is None
    assert len(loaded(tmp_path, POSE)) == 1
    with pytest.raises(BadInput, match="--split val is for public data sets"):
        loaded(tmp_path, POSE, "val")


def test_what_is_missing_of_a_data_set_is_said(tree: Any, tmp_path: Path) -> None:
    image(tmp_path / "VOC2010/JPEGImages/2008_000002.jpg")
    labels(tmp_path / "VOC2010/SegmentationClassContext/2008_000002.png", [1])
    with pytest.raises(BadInput, match=r"val.txt is not there — it lists the images of PASCAL-Context, val"):
        loaded(tmp_path, CONTEXT)
    (tmp_path / "VOC2010/ImageSets/SegmentationContext").mkdir(parents=True)
    (tmp_path / "VOC2010/ImageSets/SegmentationContext/val.txt").write_text("2008_000009")
    with pytest.raises(BadInput, match="has no images of PASCAL-Context, val"):
        loaded(tmp_path, CONTEXT)
    city = tmp_path / "city"
    cityscapes(city)
    next(city.glob("gtFine/val/bonn/*_labelIds.png")).unlink()
    assert "1 of 2 images have no label map" in task_of(card(CITY)).unscorable_reason(loaded(city, CITY))


def test_what_calibrates_and_what_judges_may_be_a_public_data_set(tmp_path: Path) -> None:
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    for i in range(5):
        image(tmp_path / f"val2017/{i:012d}.jpg")
        content["images"].append({"id": i, "file_name": f"{i:012d}.jpg"})
        own = {"id": i + 1, "image_id": i, "category_id": 1, "bbox": [2, 2, 9, 9], "keypoints": [5, 5, 2] * 17}
        content["annotations"].append(own)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/person_keypoints_val2017.json").write_text(json.dumps(content))
    parts = Split(tmp_path, calibration_images=2).parts(search=True, card=card(POSE))
    assert [len(p) for p in parts] == [2, 1, 2]
    with pytest.raises(BadInput, match="there are no images in"):
        Split(tmp_path).parts()  # without a card it is not known which annotations are meant


def small() -> SegmentationTask:
    """A task of Cityscapes' classes with a small input."""
    base = card(CITY)
    model = ModelCard("small", base.architecture, Input(20, 30, fit="stretch"), base.dataset, base.labels)
    return SegmentationTask(model, InputFormat())


def test_a_map_of_another_size_is_refused_by_name_before_the_network_runs(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "labels").mkdir()
    write_image(tmp_path / "labels/a.png", np.zeros((10, 30), np.uint8))
    (item,) = load_dataset(tmp_path).items
    with pytest.raises(BadInput, match=r"labels/a.png is 10x30, its image 20x30 — give the label map of that image"):
        small().samples(item.read(), item)


def test_maps_of_colours_are_read_where_every_colour_is_a_class(tmp_path: Path) -> None:
    task, colours = small(), card(CITY).labels.colours  # type: ignore[attr-defined]
    image(tmp_path / "a.png")
    (tmp_path / "labels").mkdir()
    coded = np.zeros((20, 30, 3), np.uint8)
    coded[:, :10], coded[:, 10:] = colours[3], colours[13]
    write_image(tmp_path / "labels/a.png", coded)
    dataset = load_dataset(tmp_path)
    assert task.unscorable_reason(dataset) == ""
    assert set(np.unique(dataset.items[0].label_map(colours))) == {3, 13}
    coded[0, 0] = (1, 2, 3)
    write_image(tmp_path / "labels/a.png", coded)
    with pytest.raises(BadInput, match=r"is a map of colours, and \(1, 2, 3\) is that of no class of the model"):
        task.unscorable_reason(load_dataset(tmp_path))
    with pytest.raises(BadInput, match="is that of two classes"):
        load_dataset(tmp_path).items[0].label_map([(1, 2, 3), (1, 2, 3), colours[3], colours[13]])
    with pytest.raises(BadInput, match="its pixels are colours"):
        load_dataset(tmp_path).items[0].label_map()  # where classes have no colours


@pytest.mark.slow
def test_eval_reads_public_data_sets_and_says_so(tiny_onnx: Path, exported_seg: Any, tree: Any, run: Run) -> None:
    code, out, err = run("eval", tiny_onnx, "--data", tree(coco), "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["protocol"]["data_set"] == "COCO (person keypoints), val"
    assert result["annotations"]["file"].endswith("annotations/person_keypoints_val2017.json")
    code, out, err = run("eval", exported_seg(), "--data", tree(cityscapes), "--split", "val")
    assert code == 0, err
    assert "data set Cityscapes, val" in out and "gtFine/val" in out
    code, out, err = run("eval", exported_seg(), "--data", tree(lip))
    assert (code, out) == (2, "") and "is LIP with 20 classes" in err


def test_every_layout_is_of_a_task_and_has_one_name() -> None:
    assert len({layout.title for layout in LAYOUTS}) == len(LAYOUTS)
    known = {c.dataset for c in cards().values()}
    for layout in LAYOUTS:
        assert layout.dataset in known, layout.title
        assert bool(layout.annotations or layout.folders_of) != bool(layout.maps), layout.title


@pytest.mark.parametrize(
    ("layout", "files"),
    [
        ("ImageNet", ["val/n01440764/a.jpg"]),
        ("ImageNet", ["val/a.jpg", "meta/val.txt"]),
        ("300W", ["images/a.png", "face_landmarks_300w_test.csv"]),
        ("300W", ["images/helen/testset/a.png", "annotations/face_landmarks_300w_test.json"]),
        ("WFLW", ["WFLW_images/0--Parade/a.png", "face_landmarks_wflw_test.csv"]),
        ("COFW", ["images/a.png", "annotations/cofw_test.json"]),
        ("AFLW", ["images/0/a.png", "face_landmarks_aflw_test_frontal.csv"]),
    ],
)
def test_the_folders_of_other_tasks_are_recognised(layout: str, files: list[str], tmp_path: Path) -> None:
    of: Layout = next(x for x in LAYOUTS if x.title == layout)
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find(tmp_path, Sought(of.task, of.dataset, 0))
    assert found is not None and found.layout is of
    assert found.images == tmp_path / files[0].split("/")[0]
    assert found.annotations == (tmp_path / files[1] if len(files) > 1 else None)


def test_the_classes_of_imagenet_are_its_folders_or_a_list(tmp_path: Path) -> None:
    for folder in ("n01440764", "n01443537"):
        image(tmp_path / f"folders/val/{folder}/ILSVRC2012_val_00000293.jpg")
    task, dataset = task_of(card(CLASSES)), loaded(tmp_path / "folders", CLASSES)
    assert len(dataset) == 2 and dataset.remarks["data_set"] == "ImageNet, val"
    assert task.unscorable_reason(dataset) == "" and dataset.place is not None
    assert task.annotation_source(*dataset.place) == {"folder": str(tmp_path / "folders/val")}
    image(tmp_path / "list/val/ILSVRC2012_val_00000293.jpg")
    (tmp_path / "list/meta").mkdir()
    (tmp_path / "list/meta/val.txt").write_text("ILSVRC2012_val_00000293.jpg 65\n")
    dataset = loaded(tmp_path / "list", CLASSES).choosing(["number"])
    assert task.unscorable_reason(dataset) == "" and dataset.remarks["data_set"] == "ImageNet, val"


def test_faces_in_folders_of_folders_are_found(tmp_path: Path) -> None:
    image(tmp_path / "images/0/image00002.jpg")
    names = ["image_name", "scale", "box_size", "center_w", "center_h", *(f"original_{i}" for i in range(38))]
    row = ["0/image00002.jpg", "0.1", "12", "10", "10", *["9"] * 38]
    (tmp_path / "face_landmarks_aflw_test.csv").write_text(",".join(names) + "\n" + ",".join(row) + "\n")
    dataset = loaded(tmp_path, FACE_AFLW)
    assert dataset.remarks["data_set"] == "AFLW, test" and len(dataset) == 1
    assert task_of(card(FACE_AFLW)).unscorable_reason(dataset) == ""


REAL = [
    (POSE, "coco", "val2017", "test_coco.json", "annotations/person_keypoints_val2017.json", 12),
    (WHOLE, "coco", "val2017", "test_coco_wholebody.json", "annotations/coco_wholebody_val_v1.0.json", 12),
    (CROWD, "crowdpose", "images", "test_crowdpose.json", "annotations/mmpose_crowdpose_test.json", 4),
    (MPII, "mpii", "images", "test_mpii.json", "annot/valid.json", 5),
    (FACE_300W, "300w", "images", "test_300w.json", "annotations/face_landmarks_300w_test.json", 2),
    (FACE_WFLW, "wflw", "WFLW_images", "test_wflw.json", "annotations/face_landmarks_wflw_test.json", 2),
]


@pytest.mark.parametrize(("name", "folder", "images", "file", "called", "count"), REAL)
def test_real_files_in_the_folders_of_their_sites(
    name: str, folder: str, images: str, file: str, called: str, count: int, tmp_path: Path
) -> None:
    (tmp_path / images).symlink_to(real(folder))
    (tmp_path / called).parent.mkdir()
    (tmp_path / called).symlink_to(real(folder) / file)
    dataset = loaded(tmp_path, name)
    assert dataset.truth is not None and len(dataset.truth["annotations"]) >= count
    assert task_of(card(name)).unscorable_reason(dataset) == ""
