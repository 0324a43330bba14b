"""Pose networks by their tensors: HRNetV1 and SimpleBaseline."""

from __future__ import annotations

from hrnet_deploy.architecture import Architecture, PoseHRNet, SimpleBaseline
from hrnet_deploy.checkpoints.recognise.shapes import Shapes, hrnet_body, resnet_depth
from hrnet_deploy.errors import BadInput

DECONV_KERNELS = {4, 3, 2}

# what else carries HRNet's or ResNet's names, by a name only it has
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


def pose(tensors: Shapes) -> Architecture | None:
    if tensors.has("stage2.0.branches."):
        body = hrnet_body(tensors)
        _require_head(tensors, f"an HRNet-W{body.width}")
        head = tensors["final_layer.weight"]
        return PoseHRNet(body, keypoints=head[0], head_kernel=head[2])
    if tensors.has("layer1.0.") and tensors.has("layer4.0."):
        return _simple_baseline(tensors)
    return None


def _require_head(tensors: Shapes, what: str) -> None:
    if "final_layer.weight" in tensors.shapes:
        return
    for prefix, name in OTHERS.items():
        if tensors.has(prefix):
            raise BadInput(
                f"{tensors.path} is {what} of another task: {name}, without the pose head final_layer — give a "
                "checkpoint that was trained for pose"
            )
    raise BadInput(
        f"{tensors.path} is {what} backbone without a head, as from ImageNet pre-training — give the checkpoint of the "
        "whole trained network"
    )


def _simple_baseline(tensors: Shapes) -> SimpleBaseline:
    depth = resnet_depth(tensors, "", "SimpleBaseline takes")
    _require_head(tensors, f"a ResNet-{depth}")
    deconv = [f"deconv_layers.{3 * i}.weight" for i in range(tensors.count("deconv_layers.") // 2)]
    head = tensors["final_layer.weight"]
    kernels = tuple(tensors[d][2] for d in deconv)
    if unknown := set(kernels) - DECONV_KERNELS:
        raise BadInput(
            f"{tensors.path} has transposed convolutions of kernel {unknown.pop()} — SimpleBaseline takes 4, 3 and 2"
        )
    return SimpleBaseline(
        depth=depth,
        keypoints=head[0],
        deconv=tuple(tensors[d][1] for d in deconv),
        deconv_kernels=kernels,
        head_kernel=head[2],
    )
