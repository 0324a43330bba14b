"""What the file of a checkpoint tells of its landmarks: the configuration that mmpose saves in it, and its name. The
official repository and mmpose decode heatmaps by other rules, and the weights do not show by which a network was
trained."""

from __future__ import annotations

import re

from hrnet_deploy.cards import labels_of
from hrnet_deploy.registry import FromFile, Labels
from hrnet_deploy.tasks.landmarks.labels import FACE, Landmarks
from hrnet_deploy.tasks.pose.trained import from_config, named_dataset

TASK = "landmarks"
# what data sets are called in configurations and in the names of files, and what they are called here
DATASETS = {"300w": "300w", "face300w": "300w", "wflw": "wflw", "cofw": "cofw", "aflw": "aflw"}
DATASETS |= {"onehand10k": "onehand10k"}
OFFICIAL, MMPOSE = "hr18", "hrnetv2"  # how published files of the official repository and of mmpose are called


def from_file(architecture: object, dataset: str, labels: Labels, config: str, file_name: str) -> FromFile:
    """See `registry.Trained`. The configuration goes before the name of the file."""
    assert isinstance(labels, Landmarks)
    words = re.findall("[a-z0-9]+", file_name.lower())
    named = named_dataset(DATASETS, config, words)
    known = labels_of(named, TASK) if named else None
    if isinstance(known, Landmarks) and len(known.names) == len(labels.names):
        dataset, labels = named, known
    told = from_config(labels, config)
    source = "the configuration in the file says so"
    if told is None and (rule := _rule(words)):
        told, source = labels.decoded(rule), "the name of the file says so"
    if told is not None:
        return FromFile(dataset, told, f"decoded by {told.decode} in {told.crop_geometry} crops, {source}")
    usual = labels_of(dataset, TASK)
    labels = labels.decoded(usual.decode if isinstance(usual, Landmarks) else FACE)
    return FromFile(
        dataset,
        labels,
        assumption=f"its heatmaps are assumed to be decoded by {labels.decode}, which the file does not show — give "
        "--decode face if it was trained with the official repository, and quarter_offset, dark or udp with mmpose",
    )


def _rule(words: list[str]) -> str:
    """The decoding that the name of a file tells; empty where it tells none."""
    for rule in ("udp", "dark"):
        if rule in words:
            return rule
    return FACE if OFFICIAL in words else "quarter_offset" if MMPOSE in words else ""
