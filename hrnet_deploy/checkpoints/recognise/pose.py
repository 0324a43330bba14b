"""Recognises pose networks by their tensors: HRNetV1 and SimpleBaseline."""

from __future__ import annotations

from hrnet_deploy.architecture import PoseHRNet, SimpleBaseline
from hrnet_deploy.checkpoints.recognise.shapes import (
    BRANCHES,
    Shapes,
    hrnet_body,
    image_channels,
    is_plain_resnet,
    resnet_depth,
)
from hrnet_deploy.errors import BadInput

HEAD = "final_layer.weight"
DECONV_KERNELS = {4, 3, 2}


def pose_hrnet(tensors: Shapes) -> PoseHRNet | None:
    """HRNetV1 with a head that gives heatmaps."""
    if not tensors.has(BRANCHES) or HEAD not in tensors.shapes:
        return None
    body, head = hrnet_body(tensors), tensors[HEAD]
    return PoseHRNet(body, head[0], head[2], image_channels(tensors))


def simple_baseline(tensors: Shapes) -> SimpleBaseline | None:
    """A ResNet with transposed convolutions and a head that gives heatmaps."""
    if not is_plain_resnet(tensors) or HEAD not in tensors.shapes:
        return None
    depth = resnet_depth(tensors, "", "SimpleBaseline takes")
    deconv = [f"deconv_layers.{3 * i}.weight" for i in range(tensors.count("deconv_layers.") // 2)]
    head = tensors[HEAD]
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
        image_channels=image_channels(tensors),
    )
