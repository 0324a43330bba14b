"""Recognises detectors by their tensors: Faster R-CNN on HRNet, ResNet and ResNeXt.

The weights do not show how the outputs of the heads are used (sizes of anchors, how many boxes are kept). This is
assumed to be as in mmdetection's configurations for COCO."""

from __future__ import annotations

from hrnet_deploy.architecture import Body, FasterRCNN, ResNetBody
from hrnet_deploy.checkpoints.recognise.shapes import Shapes, hrnet_body, image_channels, resnet_depth
from hrnet_deploy.errors import BadInput

HEAD = "roi_head.bbox_head."
RATIOS = 3  # anchors per position
# other detectors of mmdetection with the parameter names of Faster R-CNN, by the beginning of a name that only they
# have
OTHERS = {
    "roi_head.mask_head.": "Mask R-CNN",
    "roi_head.bbox_head.0.": "Cascade R-CNN",
    f"{HEAD}shared_convs.": "Faster R-CNN with convolutions in its head",
}


def faster_rcnn(tensors: Shapes) -> FasterRCNN | None:
    """Faster R-CNN, under the parameter names of mmdetection 2 and later."""
    if not tensors.has("rpn_head.") or not tensors.has("backbone."):
        return None
    for prefix, what in OTHERS.items():
        if tensors.has(prefix):
            raise BadInput(
                f"{tensors.path} is {what} — the only detector this tool takes is Faster R-CNN with two shared fully "
                "connected layers"
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
            f"{tensors.path} has {anchors} anchors per position, whose shapes the weights do not show — this tool "
            f"takes {RATIOS}, with "
            "ratios 0.5, 1 and 2"
        )
    hidden = tensors.matrix(f"{HEAD}shared_fcs.0.weight")[0]
    return FasterRCNN(
        body,
        classes=tensors.matrix(f"{HEAD}fc_cls.weight")[0] - 1,
        neck=neck,
        hidden=hidden,
        image_channels=image_channels(tensors, "backbone.conv1"),
    )


def _resnet(tensors: Shapes) -> ResNetBody:
    """The ResNet or ResNeXt. The weights of a grouped convolution have as many inputs as one group has channels; in the
    first unit that is the base width."""
    depth = resnet_depth(tensors, "backbone.", "a detector takes")
    width, inputs = tensors["backbone.layer1.0.conv2.weight"][:2]
    groups = width // inputs
    return ResNetBody(depth, groups, inputs if groups > 1 else 64)
