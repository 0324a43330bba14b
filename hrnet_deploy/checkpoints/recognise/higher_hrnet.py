"""Recognises HigherHRNet by its tensors."""

from __future__ import annotations

from hrnet_deploy.architecture import HigherHRNet
from hrnet_deploy.checkpoints.recognise.shapes import BRANCHES, Shapes, hrnet_body, image_channels
from hrnet_deploy.errors import BadInput

HEADS, DECONV = "final_layers.", "deconv_layers."


def higher_hrnet(tensors: Shapes) -> HigherHRNet | None:
    """HigherHRNet with one transposed convolution, as its authors published it."""
    if not tensors.has(BRANCHES) or not tensors.has(f"{HEADS}0."):
        return None
    body, count = hrnet_body(tensors), tensors.count(DECONV)
    first, last = tensors[f"{HEADS}0.weight"], tensors[f"{HEADS}{count}.weight"]
    keypoints = last[0]
    tags = first[0] - keypoints
    if count != 1 or tags not in (1, keypoints):
        raise BadInput(
            f"{tensors.path} is HigherHRNet-W{body.width} with {count} transposed convolutions and {first[0]} and "
            f"{last[0]} outputs — this tool takes one, with tags at the lower resolution alone, as the official "
            "configurations have it"
        )
    deconv = tensors[f"{DECONV}0.0.0.weight"]
    return HigherHRNet(
        body,
        keypoints,
        tags,
        deconv[1],
        units=tensors.count(f"{DECONV}0.") - 1,
        concatenated=deconv[0] != first[1],
        head_kernel=first[2],
        image_channels=image_channels(tensors),
    )
