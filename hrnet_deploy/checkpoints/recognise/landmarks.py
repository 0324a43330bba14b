"""Recognises HRNetV2 for landmarks by its tensors.

The weights do not show how branches are upsampled: bilinearly without align_corners, in the official repository and in
the configurations of mmpose."""

from __future__ import annotations

from hrnet_deploy.architecture import FaceHRNet, Upsample
from hrnet_deploy.checkpoints.recognise.shapes import BRANCHES, Shapes, hrnet_body, image_channels

FIRST, LAST = "head.0.weight", "head.3.weight"


def face_hrnet(tensors: Shapes) -> FaceHRNet | None:
    """HRNetV2 with a head that gives heatmaps."""
    if not tensors.has(BRANCHES) or not {FIRST, LAST} <= set(tensors.shapes):
        return None
    body, last = hrnet_body(tensors, upsample=Upsample("bilinear")), tensors[LAST]
    return FaceHRNet(body, last[0], last[2], image_channels(tensors))
