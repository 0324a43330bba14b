"""The table of tasks: every entry is complete and light, and cards of older files read as before."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from hrnet_deploy.cards import ModelCard, card
from hrnet_deploy.registry import TASK_OPTIONS, family_entry, family_names, load
from hrnet_deploy.tasks.base import task_of, training_of
from hrnet_deploy.tasks.classes import Classes
from hrnet_deploy.tasks.pose.labels import Keypoints
from hrnet_deploy.tasks.registry import task_entry

TASKS = ("pose", "segmentation", "detection", "landmarks")
FAMILIES = ("faster_rcnn", "seg_hrnet", "dilated_resnet", "pose_hrnet", "simple_baseline", "face_hrnet")


@pytest.mark.parametrize("name", TASKS)
def test_an_entry_names_what_there_is(name: str) -> None:
    entry = task_entry(name)
    default = card(entry.default_card)
    task = task_of(default)
    assert (entry.name, default.task, task.metric) == (name, name, entry.metric)
    assert set(task.limits) == set(task.score_limits) == {"fp32", "fp16", "bf16", "int8"}
    assert entry.options <= TASK_OPTIONS.keys()
    assert training_of(default).optimizer is not None
    assert (not entry.embedding) == (name == "detection")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_an_architecture_a_module_and_a_recogniser(name: str) -> None:
    assert name in family_names()
    entry = family_entry(name)
    assert load(entry.architecture).family == name
    assert load(entry.module).__name__ == load(entry.architecture).__name__
    assert callable(load(entry.recogniser))


def test_entries_load_nothing_heavy() -> None:
    code = (
        "import sys\nfrom hrnet_deploy.cards import cards\nfrom hrnet_deploy.registry import task_entry, task_names\n"
        "assert len(cards()) > 30 and all(task_entry(n).metric for n in task_names())\n"
        "print(sorted({'numpy', 'cv2', 'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_cards_of_older_files_read_as_before() -> None:
    """Older files hold every field of the labels, and null for the kind of labels that the task does not have."""
    for name, kind, other in (
        ("pose_hrnet_w32_256x192", "keypoints", "classes"),
        ("seg_hrnetv2_w48_cityscapes_512x1024", "classes", "keypoints"),
    ):
        known = card(name)
        values = json.loads(json.dumps({**known.to_dict(), other: None}))
        assert values[kind] == json.loads(json.dumps(dataclasses.asdict(known.labels)))  # type: ignore[call-overload]
        assert ModelCard.from_dict(values) == known
    assert isinstance(card("pose_hrnet_w32_256x192").labels, Keypoints)
    assert isinstance(card("seg_hrnetv2_w48_cityscapes_512x1024").labels, Classes)
