"""The folders of public data sets as they come from their sites: how each is recognised, where its images and their
annotations are, and what the values of its label maps mean.

A data set is one entry of `LAYOUTS`. A path may contain {split}; of several paths, the first that is there counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.images import IMAGE_SUFFIXES, is_visible

Values = tuple[int, ...]  # the class that each value of a label map stands for, (256,)
IGNORED = 255


@dataclass(frozen=True)
class Sought:
    """What a data set is wanted for: the task of a network, the data set that it was trained on, the number of its
    labels; and the part of the data set, such as val."""

    task: str
    dataset: str
    labels: int
    split: str = ""

    @classmethod
    def of(cls, card: ModelCard, split: str = "") -> Sought:
        """What is wanted for the network of a card."""
        return cls(card.task, card.dataset, len(card.label_names), split)


@dataclass(frozen=True)
class LabelMaps:
    """Label maps that lie apart from their images.

    folders: where they are; a map has the place in it and the name that its image has among the images, with
    `image_end` replaced by `end`. names: a file with the names of a split, where the folder has more. values: from the
    number of a network's classes, the class of each value, or None where values are classes; for numbers of classes
    that the data set does not have, it is not called. counts: the numbers of classes that the data set has."""

    folders: tuple[str, ...]
    counts: tuple[int, ...]
    end: str = ".png"
    image_end: str = ""
    names: str = ""
    values: Callable[[int], Values | None] = lambda count: None


@dataclass(frozen=True)
class Layout:
    """A public data set: what it is called, its name in datasets.yaml, the task, what its site calls each split (the
    first is taken unless another is asked for), the folders of its images, and its annotations: files, label maps, or
    nothing where folders are classes."""

    title: str
    dataset: str
    task: str
    splits: Mapping[str, str]
    images: tuple[str, ...]
    annotations: tuple[str, ...] = ()
    folders_of: str = field(
        default="", kw_only=True
    )  # without annotations: what a folder of images holds, as a pattern
    maps: LabelMaps | None = field(default=None, kw_only=True)

    def at(self, root: Path, split: str) -> Found | None:
        """A split of the data set in a folder, None where it is not there."""
        called = self.splits[split]
        images = _first(root, self.images, called, Path.is_dir)
        if images is None:
            return None
        if self.maps is not None:
            folder = _first(root, self.maps.folders, called, Path.is_dir)
            return None if folder is None else Found(self, split, images, folder)
        file = _first(root, self.annotations, called, Path.is_file)
        classes = self.folders_of and any(images.glob(self.folders_of))
        return Found(self, split, images, file) if file or classes else None


@dataclass(frozen=True)
class Found:
    """A split of a public data set: the folder of its images, and its annotations, if it has some: a file, or the
    folder of its label maps; `values` is the class of each value in these, unless values are classes."""

    layout: Layout
    split: str
    images: Path
    annotations: Path | None
    values: Values | None = None

    @property
    def said(self) -> str:
        """What was recognised."""
        return f"{self.layout.title}, {self.split}"

    def labelled(self) -> Iterator[tuple[Path, Path | None]]:
        """Every image of a split with label maps, and its map if it is there."""
        maps = self.layout.maps
        assert maps is not None and self.annotations is not None
        known = self._names(maps)
        for path in nested_images(self.images):
            if not path.name.endswith(maps.image_end) or (known is not None and path.stem not in known):
                continue
            stem = path.name.removesuffix(maps.image_end or path.suffix)
            place = self.annotations / path.relative_to(self.images).parent / f"{stem}{maps.end}"
            yield path, place if place.is_file() else None

    def _names(self, maps: LabelMaps) -> set[str] | None:
        """The names of the split's images, where a file lists them."""
        if not maps.names or self.annotations is None:
            return None
        file = self.annotations.parent / maps.names.format(split=self.layout.splits[self.split])
        if not file.is_file():
            raise BadInput(
                f"{file} is not there — it lists the images of {self.said}; get it from the site of the data set"
            )
        return set(file.read_text(encoding="utf-8", errors="replace").split())


def _first(root: Path, places: Sequence[str], split: str, there: Callable[[Path], bool]) -> Path | None:
    return next((p for place in places if there(p := root / place.format(split=split))), None)


def nested_images(folder: Path) -> list[Path]:
    """The image files of a folder and of those in it, sorted by their paths."""
    return sorted(p for p in folder.rglob("*") if is_visible(p, IMAGE_SUFFIXES))


def find(root: Path, sought: Sought) -> Found | None:
    """The public data set in a folder that suits a network; None where the folder is of no public layout.

    Raises BadInput where the data set is for another task or of other classes, and where it has not the split."""
    there = [f for layout in LAYOUTS for s in layout.splits if (f := layout.at(root, s))]
    suitable = [f for f in there if f.layout.task == sought.task]
    if there and not suitable:
        other = there[0].layout
        raise BadInput(
            f"{root} is {other.title}, which is for {other.task}, and the model is for {sought.task} — give a data set "
            "of its task"
        )
    if not suitable:
        if sought.split:
            raise BadInput(
                f"--split {sought.split} is for public data sets in the layout of their sites, and {root} is none that "
                "is known — leave it out, or give the folder that holds all of it"
            )
        return None
    own = [f for f in suitable if f.layout.dataset == sought.dataset] or suitable
    found = _of_split(root, own, sought.split)
    if maps := found.layout.maps:
        others = {x.dataset for x in LAYOUTS if x.maps} - {found.layout.dataset}
        if sought.labels not in maps.counts or sought.dataset in others:
            classes = " or ".join(map(str, maps.counts))
            raise BadInput(
                f"{root} is {found.layout.title} with {classes} classes, and the model tells the {sought.labels} of "
                f"{sought.dataset} apart — give a data set with these, or label maps with --annotations FOLDER"
            )
        return replace(found, values=maps.values(sought.labels))
    return found


def _of_split(root: Path, there: Sequence[Found], split: str) -> Found:
    """The wanted split among those that are there, or the first."""
    if not split:
        return there[0]
    for found in there:
        if split in (found.split, found.layout.splits[found.split]):
            return found
    known = " or ".join(dict.fromkeys(f.split for f in there))
    raise BadInput(f"{root} is {there[0].layout.title} without the split {split!r} — give --split {known}")


def from_one(count: int) -> Values:
    """Values that count from 1, and 0 for what is not scored."""
    return (IGNORED, *range(255))[:255] + (IGNORED,)


def _table(classes: Sequence[int]) -> Values:
    """The values that are classes, in the order of the classes; everything else is not scored."""
    numbers = {value: number for number, value in enumerate(classes)}
    return tuple(numbers.get(value, IGNORED) for value in range(256))


# the 19 ids of Cityscapes that are scored, in the order of their train ids (cityscapesscripts, helpers/labels.py)
CITYSCAPES = _table((7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33))
# the ids of COCO-Stuff minus one, without the eleven that no annotation uses
COCO_STUFF = _table([i - 1 for i in range(1, 183) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)])

VAL = {"val": "val", "train": "train"}
VAL_TEST = {"val": "val", "test": "test", "train": "train"}
COCO_IMAGES = ("{split}2017", "images/{split}2017")
VOC = ("", "VOC2010/", "VOCdevkit/VOC2010/")
IN_LIP, OF_LIP = "TrainVal_images/", "TrainVal_parsing_annotations/"
FACES = ("images", "")

LAYOUTS = (
    Layout(
        "COCO (person keypoints)",
        "coco-keypoints",
        "pose",
        VAL,
        COCO_IMAGES,
        ("annotations/person_keypoints_{split}2017.json",),
    ),
    Layout(
        "COCO-WholeBody", "coco-wholebody", "pose", VAL, COCO_IMAGES, ("annotations/coco_wholebody_{split}_v1.0.json",)
    ),
    Layout(
        "CrowdPose",
        "crowdpose",
        "pose",
        {"test": "test", "val": "val", "train": "train", "trainval": "trainval"},
        ("images",),
        (
            "annotations/mmpose_crowdpose_{split}.json",
            "annotations/crowdpose_{split}.json",
            "json/crowdpose_{split}.json",
            "crowdpose_{split}.json",
        ),
    ),
    Layout("AP-10K", "ap10k", "pose", VAL_TEST, ("data",), ("annotations/ap10k-{split}-split1.json",)),
    Layout(
        "MPII",
        "mpii",
        "pose",
        {"val": "valid", "train": "train"},
        ("images",),
        ("annot/{split}.json",),
    ),
    Layout("MPII (mmpose)", "mpii", "pose", VAL, ("images",), ("annotations/mpii_{split}.json",)),
    Layout(
        "MPII (all annotated people)",
        "mpii",
        "pose",
        {"train": "train"},
        ("images",),
        ("mpii_human_pose_v1_u12_1.mat", "mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat"),
    ),
    Layout("COCO (objects)", "coco", "detection", VAL, COCO_IMAGES, ("annotations/instances_{split}2017.json",)),
    Layout(
        "Cityscapes",
        "cityscapes",
        "segmentation",
        VAL,
        ("leftImg8bit/{split}",),
        maps=LabelMaps(
            ("gtFine/{split}",), (19,), "_gtFine_labelIds.png", "_leftImg8bit.png", values=lambda count: CITYSCAPES
        ),
    ),
    Layout(
        "LIP",
        "lip",
        "segmentation",
        VAL,
        tuple(f"{p}{{split}}_images" for p in ("", IN_LIP, IN_LIP * 2)),
        maps=LabelMaps(tuple(f"{p}{{split}}_segmentations" for p in ("", OF_LIP, OF_LIP * 2)), (20,)),
    ),
    Layout(
        "PASCAL-Context",
        "pascal-context-59",
        "segmentation",
        VAL,
        tuple(f"{p}JPEGImages" for p in VOC),
        maps=LabelMaps(
            tuple(f"{p}SegmentationClassContext" for p in VOC),
            (59, 60),
            names="ImageSets/SegmentationContext/{split}.txt",
            values=lambda count: from_one(count) if count == 59 else None,
        ),
    ),
    Layout(
        "ADE20K",
        "ade20k",
        "segmentation",
        {"val": "validation", "train": "training"},
        ("images/{split}", "ADEChallengeData2016/images/{split}"),
        maps=LabelMaps(("annotations/{split}", "ADEChallengeData2016/annotations/{split}"), (150,), values=from_one),
    ),
    Layout(
        "COCO-Stuff",
        "coco-stuff-171",
        "segmentation",
        VAL,
        COCO_IMAGES,
        maps=LabelMaps(
            ("stuffthingmaps/{split}2017", "stuffthingmaps_trainval2017/{split}2017", "annotations/stuff/{split}2017"),
            (171,),
            values=lambda count: COCO_STUFF,
        ),
    ),
    Layout(
        "ImageNet",
        "imagenet",
        "classification",
        VAL,
        ("{split}", "ILSVRC/Data/CLS-LOC/{split}"),
        ("meta/{split}.txt",),
        folders_of="n[0-9]*",
    ),
    Layout(
        "300W",
        "300w",
        "landmarks",
        {"test": "test", "valid": "valid"},
        FACES,
        ("face_landmarks_300w_{split}.csv", "annotations/face_landmarks_300w_{split}.json"),
    ),
    Layout(
        "WFLW",
        "wflw",
        "landmarks",
        {"test": "test", "train": "train"},
        ("images", "WFLW_images"),
        ("face_landmarks_wflw_{split}.csv", "annotations/face_landmarks_wflw_{split}.json"),
    ),
    Layout("COFW", "cofw", "landmarks", {"test": "test", "train": "train"}, FACES, ("annotations/cofw_{split}.json",)),
    Layout(
        "AFLW",
        "aflw",
        "landmarks",
        {"test": "test", "frontal": "test_frontal", "train": "train"},
        FACES,
        ("face_landmarks_aflw_{split}.csv", "annotations/face_landmarks_aflw_{split}.json"),
    ),
)
