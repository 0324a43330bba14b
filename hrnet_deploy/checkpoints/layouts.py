"""Rename the tensors of a checkpoint to the names of the official repositories.

Sources: HRNet-Human-Pose-Estimation and HRNet-Semantic-Segmentation (official); TopdownHeatmapSimpleHead of mmpose 0.x
and HeatmapHead of mmpose 1.x, which add the prefix `backbone.` to the names of the body; FCNHead and OCRHead of
mmsegmentation. Dilated ResNets have no official names and keep those of mmsegmentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

from hrnet_deploy.checkpoints.detectors import is_detector, to_current

T = TypeVar("T")

WRAPPER_PREFIXES = ("module.", "model.")  # of DataParallel, Lightning, EMA and FullModel
HEADS = {"head.": "mmpose 1.x", "keypoint_head.": "mmpose 0.x"}
# mmengine's mean and std (the card has them), class weights of a loss, a head that is used in training only
NOT_WEIGHTS = ("data_preprocessor.", "loss.", "auxiliary_head.")
MMSEG = "mmsegmentation"
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
# convolutions that have a bias officially, but none in mmsegmentation, because a batch norm follows them
WITHOUT_BIAS = ("last_layer.0", "aux_head.0", "conv3x3_ocr.0")


def to_official(tensors: Mapping[str, T]) -> tuple[str, dict[str, T]]:
    """The name of the layout, and the tensors under their official names, without those that are not weights."""
    names, prefix = _weights(tensors), ""
    while True:
        found = [p for p in WRAPPER_PREFIXES if names and all(n.startswith(p) for n in names)]
        if not found:
            break
        prefix += found[0]
        names = _weights({n.removeprefix(found[0]): t for n, t in names.items()})
    layout = "official"
    if is_detector(names):
        layout, names = to_current(names)
    elif any(n.startswith("decode_head.") for n in names):
        layout = MMSEG
        if any(n.startswith("backbone.stage2.") for n in names):
            names = {_renamed(n): t for n, t in names.items()}
    elif any(n.startswith("backbone.") for n in names):
        layout = next((v for head, v in HEADS.items() if any(n.startswith(head) for n in names)), "mmpose")
        names = {_without_part(n): t for n, t in names.items()}
    return f"{layout}, prefix {prefix}" if prefix else layout, names


def zero_biases(layout: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with zeros for the biases that mmsegmentation leaves out."""
    added = {}
    if layout.startswith(MMSEG):
        for name in WITHOUT_BIAS:
            if f"{name}.weight" in tensors and f"{name}.bias" not in tensors:
                weight = tensors[f"{name}.weight"]
                added[f"{name}.bias"] = weight.new_zeros(len(weight))
    return {**tensors, **added}


def _weights(tensors: Mapping[str, T]) -> dict[str, T]:
    return {n: t for n, t in tensors.items() if not n.startswith(NOT_WEIGHTS)}


def _renamed(name: str) -> str:
    for theirs, ours in MMSEG_HRNET.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _without_part(name: str) -> str:
    for part in ("backbone.", *HEADS):
        if name.startswith(part):
            return name.removeprefix(part)
    return name
