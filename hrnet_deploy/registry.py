"""The tasks and the network families that exist, by name. To add one, add one line here.

The tables hold module paths instead of imports. So this module lies below every other package, `--help` loads no
library, and `cards` can ask what the labels of a task are called without importing how images are decoded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hrnet_deploy.errors import BadInput


class Labels(Protocol):
    """What a network tells apart: `names`, in the order of the network's output, and whatever else its task needs to
    know of them. Every task has a frozen dataclass of its own, made from the names alone or from the values in a
    card."""

    @property
    def names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class FromFile:
    """What a checkpoint's file tells of the labels of its network: the data set and the labels, a `remark` on what is
    known and how, and an `assumption` on what is not. `input` has fields of the card's input that the file tells."""

    dataset: str
    labels: Labels
    remark: str = ""
    assumption: str = ""
    input: Mapping[str, Any] = field(default_factory=dict)


class Trained(Protocol):
    """What the configuration that a training framework saved in a checkpoint, and the name of the file, tell of its
    labels. Raises BadInput where they tell that the task cannot decode the network's output."""

    def __call__(self, architecture: object, dataset: str, labels: Labels, config: str, file_name: str) -> FromFile: ...


@dataclass(frozen=True)
class TaskEntry:
    """What has to be known of a task before any of its code runs.

    Code is named as "module:attribute" and imported when it is used:

    * `implementation` makes a `tasks.base.Task`; it is called with a card, a `tasks.base.InputFormat` and
    `tasks.base.TaskOptions`. * `embedding` (optional) is a `tasks.base.Embedding`: it writes the graph that `export
    --embed` adds. * `adoption` (optional) is a `tasks.base.Maps` or `tasks.base.Lists`: how `adopt` reads the outputs
    of other exporters' graphs. * `training` (optional) is a `tasks.base.Training`: the loss and the optimizer of
    `bench --train`. * `trained` (optional) is a `Trained`: what the file of a checkpoint tells of its labels.

    `labels` makes the labels of a card, which stand under `label_kind` in the YAML file and in ONNX metadata; one of
    them is a `label_word`. `default_card` names the card (or is the path of a YAML file) whose input and labels are
    assumed for a checkpoint that no card describes. `metric` is the headline figure. `options` are the command-line
    options that only some tasks support and this one does, out of `TASK_OPTIONS`. With `label_maps`, `--annotations`
    names a folder of label maps, otherwise a file."""

    name: str
    implementation: str
    metric: str
    labels: Callable[..., Labels]
    label_kind: str
    label_word: str
    default_card: str
    options: frozenset[str] = field(default=frozenset())
    embedding: str = ""
    adoption: str = ""
    training: str = ""
    trained: str = ""
    label_maps: bool = False

    def require(self, option: str, subject: object) -> None:
        """Raise BadInput if the task does not support a command-line option. `subject` is what the error
        names."""
        if option not in self.options:
            able = [t for t in task_names() if option in task_entry(t).options]
            listed = " and ".join(filter(None, (", ".join(able[:-1]), *able[-1:])))
            raise BadInput(
                f"{option} is {TASK_OPTIONS[option]} of {listed}, {subject} is for {self.name} — leave it out"
            )


# options of the command line that not every task supports, and what each is
TASK_OPTIONS = {
    "--flip-test": "the flip test",
    "--boxes": "the boxes of a detector",
    "--decode": "the decoding of heatmaps",
    "--geometry": "the geometry of crops",
    "--upright": "the second, upright input",
    "--scales": "the multi-scale test",
    "--category": "the choice of categories",
}

# every task: the module that holds its entry, as ENTRY
_TASKS: dict[str, str | TaskEntry] = {
    "pose": "hrnet_deploy.tasks.pose",
    "segmentation": "hrnet_deploy.tasks.segmentation",
    "detection": "hrnet_deploy.tasks.detection",
    "landmarks": "hrnet_deploy.tasks.landmarks",
    "classification": "hrnet_deploy.tasks.classification",
}


@dataclass(frozen=True)
class FamilyEntry:
    """Where a network family lives, each as "module:attribute": its `architecture` (a dataclass derived from
    `architecture.Architecture`), the PyTorch `module` that is made from one, and the `recogniser`, which makes the
    architecture from the names and shapes of a checkpoint's tensors or returns None."""

    architecture: str
    module: str
    recogniser: str


_ARCHITECTURE, _NETWORKS = "hrnet_deploy.architecture", "hrnet_deploy.networks"
_RECOGNISE = "hrnet_deploy.checkpoints.recognise"

# every network family; checkpoints are tried in this order
_FAMILIES: dict[str, FamilyEntry] = {
    family: FamilyEntry(
        f"{_ARCHITECTURE}.{module}:{name}", f"{_NETWORKS}.{module}:{name}", f"{_RECOGNISE}.{module}:{family}"
    )
    for family, module, name in (
        ("faster_rcnn", "detection", "FasterRCNN"),
        ("seg_hrnet", "segmentation", "SegHRNet"),
        ("dilated_resnet", "segmentation", "DilatedResNet"),
        ("deeplabcut", "deeplabcut", "DeepLabCut"),
        ("higher_hrnet", "higher_hrnet", "HigherHRNet"),
        ("pose_hrnet", "pose", "PoseHRNet"),
        ("simple_baseline", "pose", "SimpleBaseline"),
        ("face_hrnet", "landmarks", "FaceHRNet"),
        ("cls_hrnet", "classification", "ClassHRNet"),
    )
}


def task_names() -> tuple[str, ...]:
    """The names of all tasks."""
    return tuple(_TASKS)


def task_entry(name: str) -> TaskEntry:
    """The entry of a task. Raises BadInput that lists the known tasks if there is none of that name."""
    if name not in _TASKS:
        raise BadInput(f"there is no task {name!r} — this version knows {', '.join(_TASKS)}")
    found = _TASKS[name]
    if isinstance(found, TaskEntry):
        return found
    entry: TaskEntry = importlib.import_module(found).ENTRY
    return entry


def register_task(entry: TaskEntry) -> None:
    """Add a task that is not part of this package. Worker processes of `bench` import the module that defines the
    architecture of a model, so register the task and its families where that module is imported."""
    _TASKS[entry.name] = entry


def family_names() -> tuple[str, ...]:
    """The names of all network families."""
    return tuple(_FAMILIES)


def family_entry(name: object) -> FamilyEntry:
    """The entry of a network family. Raises BadInput that lists the known families if there is none of that name."""
    if not isinstance(name, str) or name not in _FAMILIES:
        raise BadInput(f"unknown network family {name!r} — known: {', '.join(_FAMILIES)}")
    return _FAMILIES[name]


def register_family(name: str, entry: FamilyEntry) -> None:
    """Add a network family that is not part of this package; see `register_task`."""
    _FAMILIES[name] = entry


def load(path: str) -> Any:
    """What "module:attribute" names."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
