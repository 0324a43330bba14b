"""Errors for tensors that belong to no known family."""

from __future__ import annotations

import re
from typing import NoReturn

from hrnet_deploy.checkpoints.recognise.shapes import (
    BRANCHES,
    IncompleteError,
    Shapes,
    hrnet_body,
    is_plain_resnet,
    resnet_depth,
)
from hrnet_deploy.errors import BadInput

# other networks with the parameter names of HRNet or ResNet, by the beginning of a name that only they have
OTHERS = {
    "classifier.": "an ImageNet classification network",
    "fc.": "an ImageNet classification network",
    "decode_head.": "a segmentation network with a head of another kind",
    "rpn_head.": "a detector",
    "roi_head.": "a detector",
    "bbox_head.": "a detector",
    "head.": "a network with another head",
}


# whole networks with an HRNet body that this tool does not take, by the beginnings of names that only they have, all of
# which must be there. They are looked for first, because some have the names of a network that it does take
OTHER_HEADS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("with the head of DEKR (bottom-up poses)", ("transition_heatmap.",)),
    ("with the head of DEKR (bottom-up poses)", ("heatmap_conv_layers.", "offset_conv_layers.")),
    ("with the head of CID (bottom-up poses)", ("iia_module.",)),
    ("with the head of SimCC (top-down poses)", ("mlp_head_x.",)),
    ("with an FPN instead of HRFPN (detection)", ("neck.lateral_convs.",)),
    ("with the head of FCOS (detection)", ("bbox_head.conv_cls.",)),
    ("with the head of FCOS (detection)", ("bbox_head.fcos_cls.",)),
    ("with the head of RetinaNet (detection)", ("bbox_head.retina_cls.",)),
    ("with the head of ATSS (detection)", ("bbox_head.atss_cls.",)),
    ("with the head of GFL (detection)", ("bbox_head.gfl_cls.",)),
    ("with the head of CenterNet (detection)", ("bbox_head.heatmap_head.",)),
    ("with a decoder of segmentation_models", ("decoder.", "segmentation_head.")),
)
BODY = re.compile(r"(conv1|bn1|conv2|bn2|layer\d|transition\d|stage\d)\.")
TAKES = (
    "this tool takes HRNet for top-down poses, in DeepLabCut and HigherHRNet, for segmentation, for landmarks, for "
    "image classification and in Faster R-CNN; `hrnet-deploy models` lists them"
)


def refuse_other_head(tensors: Shapes) -> None:
    """Raise BadInput where the tensors are of an HRNet with a head that is known and not taken."""
    prefix = _prefix(tensors)
    if prefix is None:
        return
    for what, beginnings in OTHER_HEADS:
        if all(tensors.has(b) for b in beginnings):
            raise BadInput(f"{tensors.path} is {_hrnet(tensors, prefix)} {what}, which is not supported — {TAKES}")


def _prefix(tensors: Shapes) -> str | None:
    """What stands before the names of an HRNet body, mostly nothing; None if there is no such body."""
    return next((n[: n.index(BRANCHES)] for n in tensors.shapes if f".{BRANCHES}" in f".{n}"), None)


def _hrnet(tensors: Shapes, prefix: str) -> str:
    try:
        return f"an HRNet-W{hrnet_body(tensors, prefix).width}"
    except (IncompleteError, BadInput):  # its units are not those of HRNet
        return "a network with the branches of HRNet"


def refuse(tensors: Shapes) -> NoReturn:
    """Raise BadInput that says what the tensors are, as far as it is known."""
    prefix = _prefix(tensors)
    if prefix is not None:
        what = f"an HRNet-W{hrnet_body(tensors).width}" if not prefix else _hrnet(tensors, prefix)
        raise _without_head(tensors, what, prefix)
    if is_plain_resnet(tensors):
        raise _without_head(tensors, f"a ResNet-{resnet_depth(tensors, '', 'SimpleBaseline takes')}")
    first = ", ".join(list(tensors.shapes)[:3])
    raise BadInput(
        f"{tensors.path} is of another architecture (its tensors begin with {first}) — this tool takes HRNet and the "
        "baselines of its paper; `hrnet-deploy models` lists them"
    )


def _without_head(tensors: Shapes, what: str, prefix: str = "") -> BadInput:
    """A network whose body is known and whose head is not."""
    for beginning, name in OTHERS.items():
        if tensors.has(beginning):
            return BadInput(f"{tensors.path} is {what} of another task: {name}, which is not supported — {TAKES}")
    others = [n for n in tensors.shapes if not (n.startswith(prefix) and BODY.match(n.removeprefix(prefix)))]
    parts = list(dict.fromkeys(n.partition(".")[0] for n in others))
    if parts:
        return BadInput(f"{tensors.path} is {what} with a head of another kind, in {', '.join(parts[:5])} — {TAKES}")
    return BadInput(
        f"{tensors.path} is {what} backbone without a head, as from ImageNet pre-training — give the checkpoint of the "
        "whole trained network"
    )
