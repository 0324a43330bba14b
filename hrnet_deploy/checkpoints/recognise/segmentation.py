"""Segmentation networks by their tensors: HRNetV2 with and without OCR, PSPNet and DeepLabV3.

How branches are upsampled no tensor tells. It is taken from where a network of that head and that many classes comes
from: HRNet-Semantic-Segmentation's configurations (experiments/), and mmsegmentation, which leaves out the biases
that the official heads have.
"""

from __future__ import annotations

from typing import Literal

from hrnet_deploy.architecture import Architecture, DilatedResNet, SegHRNet, Upsample
from hrnet_deploy.checkpoints.recognise.shapes import Shapes, hrnet_body, resnet_depth
from hrnet_deploy.errors import BadInput

ALIGNED = {
    150,
    171,
}  # classes of ADE20K and COCO-Stuff, whose plain heads upsample with align_corners as all OCR ones do


def segmentation(tensors: Shapes) -> Architecture | None:
    if tensors.has("stage2.0.branches."):
        if tensors.has("ocr_distri_head."):
            return _hrnet(tensors, "aux_head", "cls_head", ocr=True)
        if tensors.has("last_layer."):
            return _hrnet(tensors, "last_layer", "last_layer.3", ocr=False)
    if tensors.has("decode_head.") and tensors.has("backbone.layer1."):
        return _dilated(tensors)
    return None


def _hrnet(tensors: Shapes, first: str, last: str, ocr: bool) -> SegHRNet:
    head = tensors[f"{last}.weight"]
    mmsegmentation = f"{first}.0.bias" not in tensors.shapes
    aligned = not mmsegmentation and (ocr or head[0] in ALIGNED)
    upsample = Upsample("bilinear", align_corners=aligned, two_steps=mmsegmentation)
    return SegHRNet(hrnet_body(tensors, upsample=upsample), head[0], ocr, head[2])


def _dilated(tensors: Shapes) -> DilatedResNet:
    depth = resnet_depth(tensors, "backbone.", "a segmentation network takes")
    head: Literal["psp", "aspp"]
    if tensors.has("decode_head.psp_modules."):
        head = "psp"
    elif tensors.has("decode_head.aspp_modules."):
        head = "aspp"
    else:
        raise BadInput(
            f"{tensors.path} is a ResNet-{depth} with a segmentation head of another kind — this tool takes PSPNet, DeepLabV3"
        )
    last = tensors["decode_head.conv_seg.weight"]
    return DilatedResNet(depth, head, classes=last[0], channels=last[1])
