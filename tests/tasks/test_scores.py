"""A score over nothing is no number, and is refused with a sentence by every task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.tiny import DETECTOR, FRAME

from hrnet_deploy.cards import ModelCard, card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks.base import checked_score, task_of
from hrnet_deploy.tasks.classes import Classes
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.tasks.segmentation.task import Segmentation

IMAGE = {"id": 1, "file_name": "a.png"}


def test_label_maps_without_a_scored_pixel(tmp_path: Path) -> None:
    task = task_of(card("seg_hrnetv2_w16_demo_256x256"))
    write_image(tmp_path / "a.png", np.full((4, 6), 255, np.uint8))
    found = Segmentation(1, np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8))
    with pytest.raises(BadInput, match="every pixel of the label maps is 255"):
        checked_score(task, [found], Dataset((Item(Path("a.jpg"), 1, labels=tmp_path / "a.png"),)))


def test_annotations_of_crowds_alone() -> None:
    pytest.importorskip("pycocotools")
    classes = Classes(("a", "b", "c", "d", "e", "f"))
    task = task_of(ModelCard("tiny", DETECTOR, Input(*FRAME, fit="pad"), "drawn", classes))
    crowd = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1}
    dataset = Dataset((Item(Path("a.png"), 1, (crowd,)),), {"images": [IMAGE], "annotations": [crowd]})
    with pytest.raises(BadInput, match="AP of tiny is not a number: the annotations have nothing to score"):
        checked_score(task, [], dataset)
