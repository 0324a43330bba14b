"""Rename the tensors of a checkpoint to the names of the official repositories.

Sources: HRNet-Human-Pose-Estimation, HRNet-Facial-Landmark-Detection and HRNet-Semantic-Segmentation (official);
TopdownHeatmapSimpleHead of mmpose 0.x and HeatmapHead of mmpose 1.x, which add the prefix `backbone.` to the names of
the body; FCNHead and OCRHead of mmsegmentation. Dilated ResNets have no official names and keep those of
mmsegmentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

from hrnet_deploy.checkpoints.detectors import is_detector, to_current

T = TypeVar("T")

WRAPPER_PREFIXES = ("module.", "model.", "net.", "network.")  # of DataParallel, Lightning, EMA and FullModel
MOST_WRAPPERS = 16  # a file that was made to keep a reader busy has more
# of torch.compile, FSDP and activation checkpointing; they stand where the wrapped module is, and mean nothing there
INSIDE = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
BODY = re.compile(r"(?:^|\.)(?:stage2\.0\.branches|layer1\.0)\.")  # a name in the body of an HRNet or a ResNet
HEADS = {"head.": "mmpose 1.x", "keypoint_head.": "mmpose 0.x"}
# mmengine's mean and std (the card has them), class weights of a loss, a head that is used in training only
NOT_WEIGHTS = ("data_preprocessor.", "loss.", "loss_fn.", "criterion.", "auxiliary_head.")
PROFILER = (".total_ops", ".total_params")  # what thop leaves in every module
AVERAGING = {"n_averaged", "steps", "num_updates", "decay", "initted", "updates"}  # counters of an average of weights
# how an average of weights is kept beside the weights: before the name, and in place of its dots. mmcv's EMAHook (whose
# plain names hold the average when a file is saved), and LitEma
TWINS = (("ema_", "_"), ("model_ema.", ""))
MMSEG, HRNET_PYTORCH, DEEPLABCUT = "mmsegmentation", "hrnet-pytorch", "DeepLabCut 3"
MMPRETRAIN = "mmpretrain"
OTHER_LAYOUTS = {"last_layer.": HRNET_PYTORCH, "heads.": DEEPLABCUT}  # beside a body with the prefix backbone.
# DeepLabCut's heads of body parts; other heads keep their names
DEEPLABCUT_HEADS = {f"heads.bodypart.{head}.": f"{head}." for head in ("heatmap_head", "locref_head")}
# the head of HRNetV2 for landmarks in mmpose 0.x and 1.x, where these tensors are there; the first that matches
LANDMARK_HEADS = {
    "keypoint_head.final_layer.3.weight": {"keypoint_head.final_layer.": "head."},
    "head.conv_layers.0.weight": {"head.conv_layers.": "head.", "head.final_layer.": "head.3."},
}
# the classifier of mmpretrain (mmclassification) and the official one, which timm's is too; the first that matches
CLASSIFIER = {
    "backbone.": "",
    "neck.0.increase_layers.": "incre_modules.",
    "neck.0.final_layer.conv.": "final_layer.0.",
    "neck.0.final_layer.bn.": "final_layer.1.",
    "head.fc.": "classifier.",
}
for _i in range(3):
    CLASSIFIER[f"neck.0.downsample_layers.{_i}.conv."] = f"downsamp_modules.{_i}.0."
    CLASSIFIER[f"neck.0.downsample_layers.{_i}.bn."] = f"downsamp_modules.{_i}.1."
# layers of a classifier that stay in a body made for another task with timm, and that it does not use
CLASSIFIER_LAYERS = ("incre_modules.", "downsamp_modules.", "classifier.", "final_layer.0.", "final_layer.1.")
OTHER_TASKS = ("final_layer.weight", "last_layer.0.weight", "aux_head.0.weight", "heatmap_head.", "rpn_head.")
_OCR, _BLOCK = "decode_head.1.", "ocr_distri_head.object_context_block."
# mmsegmentation's prefixes and the official ones; the first that matches is replaced
MMSEG_HRNET = {
    "backbone.": "",
    "decode_head.convs.0.conv.": "last_layer.0.",
    "decode_head.convs.0.bn.": "last_layer.1.",
    "decode_head.conv_seg.": "last_layer.3.",
    "decode_head.0.convs.0.conv.": "aux_head.0.",
    "decode_head.0.convs.0.bn.": "aux_head.1.",
    "decode_head.0.conv_seg.": "aux_head.3.",
    f"{_OCR}bottleneck.conv.": "conv3x3_ocr.0.",
    f"{_OCR}bottleneck.bn.": "conv3x3_ocr.1.",
    f"{_OCR}conv_seg.": "cls_head.",
    f"{_OCR}object_context_block.bottleneck.conv.": "ocr_distri_head.conv_bn_dropout.0.",
    f"{_OCR}object_context_block.bottleneck.bn.": "ocr_distri_head.conv_bn_dropout.1.0.",
}
for _theirs, _ours in (("query_project", "f_pixel"), ("key_project", "f_object")):
    for _i in (0, 1):
        MMSEG_HRNET[f"{_OCR}object_context_block.{_theirs}.{_i}.conv."] = f"{_BLOCK}{_ours}.{2 * _i}."
        MMSEG_HRNET[f"{_OCR}object_context_block.{_theirs}.{_i}.bn."] = f"{_BLOCK}{_ours}.{2 * _i + 1}.0."
for _theirs, _ours in (("value_project", "f_down"), ("out_project", "f_up")):
    MMSEG_HRNET[f"{_OCR}object_context_block.{_theirs}.conv."] = f"{_BLOCK}{_ours}.0."
    MMSEG_HRNET[f"{_OCR}object_context_block.{_theirs}.bn."] = f"{_BLOCK}{_ours}.1.0."
# convolutions that have a bias officially, but none in these layouts, because a batch norm follows them
WITHOUT_BIAS = ("last_layer.0", "aux_head.0", "conv3x3_ocr.0")
BIASES_LEFT_OUT = {
    MMSEG: WITHOUT_BIAS,
    MMPRETRAIN: (*(f"downsamp_modules.{i}.0" for i in range(3)), "final_layer.0"),
}


@dataclass(frozen=True)
class Unwrapped(Generic[T]):
    """Tensors without what wrappers and tools of training added.

    Attributes:
        tensors: by name, without the prefixes of wrappers.
        prefix: what was taken off the names, such as "module._orig_mod.".
        left_out: what is no weight, in words, such as "counters of a profiler (3, as total_ops)".
    """

    tensors: dict[str, T]
    prefix: str
    left_out: tuple[str, ...]


def unwrap(tensors: Mapping[str, T]) -> Unwrapped[T]:
    """Take off prefixes that all names share, in any order, and leave out tensors that are no weights."""
    names, prefix = dict(tensors), ""
    dropped: dict[str, list[str]] = {}
    for _ in range(MOST_WRAPPERS):
        names = _weights(names, dropped)
        taken, found = _without_prefix(names, dropped)
        if not taken:
            break
        prefix, names = prefix + taken, found
    return Unwrapped(names, prefix, tuple(_counted(what, those) for what, those in dropped.items()))


def to_official(tensors: Mapping[str, T]) -> tuple[str, dict[str, T]]:
    """The name of the layout, and the tensors under their official names, without those that are no weights."""
    return official_names(unwrap(tensors))


def official_names(unwrapped: Unwrapped[T]) -> tuple[str, dict[str, T]]:
    """The name of the layout with the prefix that was taken off, and the tensors under their official names."""
    names, prefix = unwrapped.tensors, unwrapped.prefix
    layout = "official"
    if is_detector(names):
        layout, names = to_current(names)
    elif any(n.startswith("decode_head.") for n in names):
        layout = MMSEG
        if any(n.startswith("backbone.stage2.") for n in names):
            names = {_renamed(n, MMSEG_HRNET): t for n, t in names.items()}
    elif any(n.startswith("neck.0.increase_layers.") for n in names):
        layout = MMPRETRAIN
        names = {_renamed(n, CLASSIFIER): t for n, t in names.items()}
    elif any(n.startswith("backbone.") for n in names):
        layout = next(
            (v for head, v in {**HEADS, **OTHER_LAYOUTS}.items() if any(n.startswith(head) for n in names)), "mmpose"
        )
        head = next((r for name, r in LANDMARK_HEADS.items() if name in names), {})
        names = {_renamed(_without_part(n, head), DEEPLABCUT_HEADS): t for n, t in names.items()}
    return f"{layout}, prefix {prefix}" if prefix else layout, names


def without_classifier(names: Mapping[str, T]) -> tuple[dict[str, T], str]:
    """The tensors of a network for another task without the layers of the ImageNet classifier that its body was made
    for, and what was left out, in words. A classifier itself is not changed.

    timm's models have these layers unless they are made with `features_only`. A head that does use them takes more
    channels than the branches have, so its shape does not fit."""
    unused = [n for n in names if n.startswith(CLASSIFIER_LAYERS)]
    if not unused or not any(n.startswith(OTHER_TASKS) for n in names):
        return dict(names), ""
    kept = {n: t for n, t in names.items() if n not in set(unused)}
    return kept, _counted("layers of an ImageNet classifier", unused)


def zero_biases(layout: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with zeros for the biases that mmsegmentation and mmpretrain leave out."""
    added = {}
    for theirs, convolutions in BIASES_LEFT_OUT.items():
        for name in convolutions if layout.startswith(theirs) else ():
            if f"{name}.weight" in tensors and f"{name}.bias" not in tensors:
                weight = tensors[f"{name}.weight"]
                added[f"{name}.bias"] = weight.new_zeros(len(weight))
    return {**tensors, **added}


def _weights(names: Mapping[str, T], dropped: dict[str, list[str]]) -> dict[str, T]:
    """Without tensors that are no weights. Those that nobody expects there are added to `dropped`, by what they are."""
    twins: set[str] = set()
    for before, dot in TWINS:
        if any(n.startswith(before) for n in names):
            inner = (n for m in names for n in (m, m.partition(".")[2]))
            twins |= {before + n.replace(".", dot) for n in inner if n}
    kept = {}
    for name, tensor in names.items():
        if name.startswith(NOT_WEIGHTS):
            continue
        if name in twins:
            dropped.setdefault("twins that an EMA hook keeps of the weights", []).append(name)
        elif f".{name}".endswith(PROFILER):
            dropped.setdefault("counters of a profiler", []).append(name)
        elif name.rpartition(".")[2] in AVERAGING and not _shape(tensor):
            dropped.setdefault("counters of an average of weights", []).append(name)
        else:
            kept[name] = tensor
    return kept


def _without_prefix(names: Mapping[str, T], dropped: dict[str, list[str]]) -> tuple[str, dict[str, T]]:
    """One prefix, and the tensors without it; an empty prefix where there is none to take off.

    A complete network has no prefix that all its names share, so any such prefix is a wrapper's. The state of a metric
    may lie beside it.
    """
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(name.partition(".")[0], []).append(name)
    metrics = [n for part, those in parts.items() if _is_metric(part, those, names) for n in those]
    shared = {part for part, those in parts.items() if those[0] not in metrics}
    if len(shared) == 1 and all("." in n for n in names):
        prefix = f"{shared.pop()}."
        if prefix in WRAPPER_PREFIXES or INSIDE.match(prefix) or (prefix != "backbone." and _has_body(names)):
            if metrics:
                dropped.setdefault("tensors of metrics", []).extend(metrics)
            return prefix, {n.removeprefix(prefix): t for n, t in names.items() if n not in metrics}
    inside = {INSIDE.sub("", n): t for n, t in names.items()}
    if inside.keys() != names.keys() and len(inside) == len(names):
        found = next(m for m in map(INSIDE.search, names) if m)
        return found[0], inside
    second = {n.split(".")[1] for n in names if n.startswith("backbone.")}
    if len(second) == 1 and _has_body(names):  # such as backbone.model.conv1.weight
        prefix = f"backbone.{second.pop()}."
        return prefix, {
            f"backbone.{n.removeprefix(prefix)}" if n.startswith(prefix) else n: t for n, t in names.items()
        }
    return "", dict(names)


def _is_metric(part: str, beside: Sequence[str], names: Mapping[str, Any]) -> bool:
    """Whether the tensors whose names begin with `part` are the state of a metric, such as `val_iou.total`."""
    if f"{part}." in WRAPPER_PREFIXES or _has_body(beside):
        return False
    leaves = {n.rpartition(".")[2] for n in beside}
    small = all(len(_shape(names[n])) < 2 or n.endswith(".confmat") for n in beside)
    return small and not leaves & {"weight", "bias", "running_mean"}


def _shape(tensor: Any) -> Sequence[int]:
    """The shape of a tensor, or a shape itself."""
    return tuple(getattr(tensor, "shape", tensor))


def _has_body(names: Mapping[str, Any] | Sequence[str]) -> bool:
    return any(BODY.search(n) for n in names)


def _counted(what: str, names: Sequence[str]) -> str:
    return f"{what} ({len(names)}, as {names[0]})"


def _renamed(name: str, prefixes: Mapping[str, str]) -> str:
    """The name with the first of `prefixes` that it has replaced."""
    for theirs, ours in prefixes.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _without_part(name: str, head: Mapping[str, str]) -> str:
    if name.startswith(tuple(head)):
        return _renamed(name, head)
    for part in ("backbone.", *HEADS):
        if name.startswith(part):
            return name.removeprefix(part)
    return name
