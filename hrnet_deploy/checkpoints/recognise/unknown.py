"""Errors for tensors that belong to no known family."""

from __future__ import annotations

from typing import NoReturn

from hrnet_deploy.checkpoints.recognise.shapes import BRANCHES, Shapes, hrnet_body, is_plain_resnet, resnet_depth
from hrnet_deploy.errors import BadInput

# other networks with the parameter names of HRNet or ResNet, by the beginning of a name that only they have
OTHERS = {
    "incre_modules.": "an ImageNet classification network",
    "classifier.": "an ImageNet classification network",
    "fc.": "an ImageNet classification network",
    "decode_head.": "a segmentation network with a head of another kind",
    "rpn_head.": "a detector",
    "roi_head.": "a detector",
    "bbox_head.": "a detector",
    "head.": "a network with another head (facial landmarks?)",
}


def refuse(tensors: Shapes) -> NoReturn:
    """Raise BadInput that says what the tensors are, as far as that is known."""
    if tensors.has(BRANCHES):
        raise _without_head(tensors, f"an HRNet-W{hrnet_body(tensors).width}")
    if is_plain_resnet(tensors):
        raise _without_head(tensors, f"a ResNet-{resnet_depth(tensors, '', 'SimpleBaseline takes')}")
    first = ", ".join(list(tensors.shapes)[:3])
    raise BadInput(
        f"{tensors.path} is of another architecture (its tensors begin with {first}) — this tool takes HRNet and the "
        "baselines of its paper; `hrnet-deploy models` lists them"
    )


def _without_head(tensors: Shapes, what: str) -> BadInput:
    """The error for a network whose body is known and whose head is not."""
    for prefix, name in OTHERS.items():
        if tensors.has(prefix):
            return BadInput(
                f"{tensors.path} is {what} of another task: {name}, without the pose head final_layer — give a "
                "checkpoint that was trained for pose"
            )
    return BadInput(
        f"{tensors.path} is {what} backbone without a head, as from ImageNet pre-training — give the checkpoint of the "
        "whole trained network"
    )
