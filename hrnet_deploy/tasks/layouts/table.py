"""The public data sets that are recognised, one entry each. A path may contain {split}; of several paths, the first
that is there counts."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_deploy.tasks.layouts.kinds import LabelMaps, Layout, Values

IGNORED = 255


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
