"""The names a checkpoint gives its tensors, brought to those of the official repositories.

Sources: HRNet-Human-Pose-Estimation (official), mmpose 0.x TopdownHeatmapSimpleHead and 1.x HeatmapHead, which
put the body under `backbone.` and keep its names otherwise; HRNet-Semantic-Segmentation (official) and mmsegmentation's
FCNHead and OCRHead. What has no official names (dilated ResNets) keeps mmsegmentation's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

from hrnet_deploy.checkpoints.detectors import is_detector, to_current

T = TypeVar("T")

WRAPPER_PREFIXES = ("module.", "model.")  # DataParallel, Lightning, EMA and FullModel wrappers
HEADS = {"head.": "mmpose 1.x", "keypoint_head.": "mmpose 0.x"}
# mean and std as mmengine keeps them (the card has its own), class weights of a loss, a head for training alone
NOT_WEIGHTS = ("data_preprocessor.", "loss.", "auxiliary_head.")
MMSEG = "mmsegmentation"
_OCR, _BLOCK = "decode_head.1.", "ocr_distri_head.object_context_block."
# the first beginning that fits is replaced
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
# official convolutions whose bias mmsegmentation leaves out, since a batch norm follows
WITHOUT_BIAS = ("last_layer.0", "aux_head.0", "conv3x3_ocr.0")


def to_official(tensors: Mapping[str, T]) -> tuple[str, dict[str, T]]:
    """The name of the layout, and the same tensors under their official names."""
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
    """The same network with the biases mmsegmentation does without."""
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
