"""What the file of a checkpoint tells of its keypoints: mmpose saves the configuration of the training in it, and
published files have the method and the data set in their names. The weights show neither."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from hrnet_deploy.architecture import PoseHRNet, SimpleBaseline
from hrnet_deploy.cards import labels_of
from hrnet_deploy.checkpoints.config import settings
from hrnet_deploy.errors import BadInput
from hrnet_deploy.registry import FromFile, Labels
from hrnet_deploy.tasks.pose import ENTRY
from hrnet_deploy.tasks.pose.labels import Keypoints

# what data sets are called in configurations and in the names of files, and what they are called here
DATASETS = {
    "ap10k": "ap10k",
    "animalpose": "animal-pose",
    "crowdpose": "crowdpose",
    "mpii": "mpii",
    "onehand10k": "onehand10k",
    "wholebody": "coco-wholebody",
}
L = TypeVar("L", bound=Keypoints)
OFTEN = (14, 16, 17, 20, 21, 133)  # how many keypoints public data sets have
CODECS = {"MSRAHeatmap": "quarter_offset", "UDPHeatmap": "udp"}  # of mmpose 1.x; others are not known here
REGRESSED = "one heatmap and two maps of offsets per keypoint (UDP with offset regression, called udp_regress)"


def from_file(architecture: object, dataset: str, labels: Labels, config: str, file_name: str) -> FromFile:
    """See `registry.Trained`. The configuration goes before the name of the file."""
    assert isinstance(labels, Keypoints)
    if not isinstance(architecture, PoseHRNet | SimpleBaseline):
        return FromFile(dataset, labels)  # decoded in a way of its own
    words = re.findall("[a-z0-9]+", file_name.lower())
    combined = "combined" in settings(config, "heatmap_type") or "CombinedTarget" in settings(config, "target_type")
    if combined or ("udp" in words and "regress" in words):
        raise BadInput(
            f"{file_name} gives {REGRESSED}, which this version does not decode — take the checkpoint of UDP without "
            "regression, which is called udp"
        )
    count, thirds = len(labels.names), len(labels.names) / 3
    if labels.names[0] == "keypoint_0" and thirds in OFTEN:
        possible = f"{count} outputs are {count} keypoints, or of {thirds:g} keypoints {REGRESSED}, which this version "
        return FromFile(dataset, labels, assumption=f"{possible}does not decode — if they are keypoints, give a card")
    dataset, labels = _data_set(dataset, labels, config, words)
    told, source = from_config(labels, config), "the configuration in the file says so"
    if told is None:
        told = next((labels.decoded(rule) for rule in ("udp", "dark") if rule in words), None)
        source = "the name of the file says so"
    if told is None:  # a card of the same network may be of another method
        labels = replace(labels.decoded("quarter_offset"), flip_shift=None, blur=11)
        return FromFile(
            dataset,
            labels,
            assumption=f"its heatmaps are assumed to be decoded by {labels.decode} in {labels.crop_geometry} crops, "
            "which the file does not show — if it was trained with DARK or UDP, give --decode dark or --decode udp",
        )
    blur = f", blur {told.blur}" if told.blur != 11 else ""
    return FromFile(dataset, told, f"decoded by {told.decode} in {told.crop_geometry} crops{blur}, {source}")


def _data_set(dataset: str, labels: Keypoints, config: str, words: list[str]) -> tuple[str, Keypoints]:
    """The data set that the file names, if it has as many keypoints, and its labels; else those that were assumed."""
    found = named_dataset(DATASETS, config, words)
    known = labels_of(found, ENTRY.name) if found and found != dataset else None
    if isinstance(known, Keypoints) and len(known.names) == len(labels.names):
        return found, known
    return dataset, labels


def named_dataset(known: Mapping[str, str], config: str, words: Sequence[str]) -> str:
    """The data set that a configuration names, or without one the words of a file's name; empty where they name none.
    `known` has what data sets are called there, and what here."""
    named = [n.lower() for n in settings(config, "dataset_name")] + [
        n.lower().removesuffix("dataset") for n in settings(config, "dataset_type")
    ]
    said = [w for n in named for w in re.findall("[a-z0-9]+", n)] or words
    return next((known[w] for w in said if w in known), "")


def from_config(labels: L, config: str) -> L | None:
    """The labels as a configuration of mmpose says that they are decoded; None where it does not say."""
    codecs = [c for c in settings(config, "type") if c.endswith("Heatmap")]
    unbiased = "True" in settings(config, "unbiased") or "unbiased" in settings(config, "post_process")
    uses_udp = "True" in settings(config, "use_udp")
    if codecs:  # mmpose 1.x
        if codecs[0] not in CODECS:
            return None
        rule = CODECS[codecs[0]]
        rule = "dark" if unbiased and rule == "quarter_offset" else rule
    elif settings(config, "post_process") or uses_udp:  # mmpose 0.x
        rule = "udp" if uses_udp else "dark" if unbiased else "quarter_offset"
    else:
        return None
    made = replace(labels.decoded(rule, "udp" if uses_udp or rule == "udp" else "standard"), blur=_blur(config))
    shifts = settings(config, "shift_heatmap")
    return replace(made, flip_shift=shifts[0] == "True") if shifts else made


def _blur(config: str) -> int:
    given = settings(config, "blur_kernel_size") + settings(config, "modulate_kernel")
    return int(given[0]) if given and given[0].isdecimal() else 11
