"""Detectors by their tensors: Faster R-CNN on HRNet, ResNet and ResNeXt.

What is done with the heads' outputs (sizes of anchors, how many boxes are kept) no tensor tells: it is taken to be what
mmdetection's configurations for COCO have.
"""

from __future__ import annotations

from hrnet_deploy.architecture import Architecture, Body, FasterRCNN, ResNetBody
from hrnet_deploy.checkpoints.recognise.shapes import Shapes, hrnet_body, resnet_depth
from hrnet_deploy.errors import BadInput

HEAD = "roi_head.bbox_head."
RATIOS = 3  # anchors at a place
# detectors of mmdetection that share most of their names with Faster R-CNN, by a name only they have
OTHERS = {
    "roi_head.mask_head.": "Mask R-CNN",
    "roi_head.bbox_head.0.": "Cascade R-CNN",
    f"{HEAD}shared_convs.": "Faster R-CNN with convolutions in its head",
}


def detection(tensors: Shapes) -> Architecture | None:
    if not tensors.has("rpn_head.") or not tensors.has("backbone."):
        return None
    for prefix, what in OTHERS.items():
        if tensors.has(prefix):
            raise BadInput(
                f"{tensors.path} is {what} — of detectors this tool takes Faster R-CNN with two shared fully connected layers"
            )
    if tensors.has("backbone.stage2."):
        body: Body | ResNetBody = hrnet_body(tensors, "backbone.")
        neck = tensors["neck.reduction_conv.conv.weight"][0]
    else:
        body = _resnet(tensors)
        neck = tensors["neck.lateral_convs.0.conv.weight"][0]
    anchors = tensors["rpn_head.rpn_cls.weight"][0]
    if anchors != RATIOS:
        raise BadInput(
            f"{tensors.path} has {anchors} anchors at a place, whose shapes no tensor tells — this tool takes {RATIOS}, of ratios 0.5, "
            "1 and 2"
        )
    hidden = tensors.matrix(f"{HEAD}shared_fcs.0.weight")[0]
    return FasterRCNN(body, classes=tensors.matrix(f"{HEAD}fc_cls.weight")[0] - 1, neck=neck, hidden=hidden)


def _resnet(tensors: Shapes) -> ResNetBody:
    """A grouped convolution has inputs of one group alone, and a first unit of 64 channels groups of the base width."""
    depth = resnet_depth(tensors, "backbone.", "a detector takes")
    width, inputs = tensors["backbone.layer1.0.conv2.weight"][:2]
    groups = width // inputs
    return ResNetBody(depth, groups, inputs if groups > 1 else 64)
