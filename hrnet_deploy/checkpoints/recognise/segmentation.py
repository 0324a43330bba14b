"""Recognises segmentation networks by their tensors: HRNetV2 with and without OCR, PSPNet and DeepLabV3.

The weights do not show how branches are upsampled. It is inferred from where a network with that head and that many
classes comes from: the configurations of HRNet-Semantic-Segmentation (experiments/), or mmsegmentation, which leaves
out biases that the official heads have."""

from __future__ import annotations

from typing import Literal

from hrnet_deploy.architecture import DilatedResNet, SegHRNet, Upsample
from hrnet_deploy.checkpoints.recognise.shapes import BRANCHES, Shapes, hrnet_body, image_channels, resnet_depth
from hrnet_deploy.errors import BadInput

# the numbers of classes of ADE20K and COCO-Stuff, for which plain heads too upsample with align_corners, as all OCR
# heads do
ALIGNED = {150, 171}


def seg_hrnet(tensors: Shapes) -> SegHRNet | None:
    """HRNetV2 with a segmentation head."""
    if tensors.has(BRANCHES) and tensors.has("ocr_distri_head."):
        return _hrnet(tensors, "aux_head", "cls_head", ocr=True)
    if tensors.has(BRANCHES) and tensors.has("last_layer."):
        return _hrnet(tensors, "last_layer", "last_layer.3", ocr=False)
    return None


def _hrnet(tensors: Shapes, first: str, last: str, ocr: bool) -> SegHRNet:
    head = tensors[f"{last}.weight"]
    mmsegmentation = f"{first}.0.bias" not in tensors.shapes
    aligned = not mmsegmentation and (ocr or head[0] in ALIGNED)
    upsample = Upsample("bilinear", align_corners=aligned, two_steps=mmsegmentation)
    return SegHRNet(hrnet_body(tensors, upsample=upsample), head[0], ocr, head[2], image_channels(tensors))


def dilated_resnet(tensors: Shapes) -> DilatedResNet | None:
    """PSPNet and DeepLabV3, under the parameter names of mmsegmentation."""
    if not tensors.has("decode_head.") or not tensors.has("backbone.layer1."):
        return None
    depth = resnet_depth(tensors, "backbone.", "a segmentation network takes")
    head: Literal["psp", "aspp"]
    if tensors.has("decode_head.psp_modules."):
        head = "psp"
    elif tensors.has("decode_head.aspp_modules."):
        head = "aspp"
    else:
        raise BadInput(
            f"{tensors.path} is a ResNet-{depth} with a segmentation head of another kind — this tool takes PSPNet, "
            "DeepLabV3"
        )
    last = tensors["decode_head.conv_seg.weight"]
    channels = image_channels(tensors, "backbone.stem.0")
    return DilatedResNet(depth, head, classes=last[0], channels=last[1], image_channels=channels)
