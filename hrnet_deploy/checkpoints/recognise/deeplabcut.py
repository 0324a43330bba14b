"""Recognises the networks of DeepLabCut 3 by their tensors."""

from __future__ import annotations

from hrnet_deploy.architecture import DeepLabCut
from hrnet_deploy.checkpoints.recognise.shapes import BRANCHES, Shapes, hrnet_body, image_channels
from hrnet_deploy.errors import BadInput

HEATMAPS, LOCREF = "heatmap_head.", "locref_head."
# heads that a snapshot may have besides those of one animal's body parts, by the beginning of their names
OTHERS = {
    "heads.bodypart.paf_head.": "part affinity fields (several animals)",
    "heads.bodypart.offset_head.": "the head of DEKR (several animals)",
    "heads.unique_bodypart.": "unique body parts",
    "heads.identity.": "the identity of animals",
}


def deeplabcut(tensors: Shapes) -> DeepLabCut | None:
    """An HRNet with the two heads of DeepLabCut for one animal."""
    for beginning, what in OTHERS.items():
        if tensors.has(beginning):
            raise BadInput(
                f"{tensors.path} is a network of DeepLabCut 3 with heads for {what}, which are not supported — this "
                "tool takes those with heatmaps and location refinement for one animal (HeatmapHead)"
            )
    if not tensors.has(HEATMAPS):
        return None
    if not tensors.has(BRANCHES):
        raise BadInput(
            f"{tensors.path} is a network of DeepLabCut 3 on another body than HRNet — this tool takes those on HRNet "
            "(net_type hrnet_w18, hrnet_w32, hrnet_w48 and top_down_hrnet_w32)"
        )
    if not tensors.has(LOCREF):
        raise BadInput(
            f"{tensors.path} is a network of DeepLabCut 3 without location refinement, which is not supported — train "
            "it with location_refinement: true, as DeepLabCut does unless told otherwise"
        )
    deconv = f"{HEATMAPS}deconv_layers.0.weight" in tensors.shapes
    layers = tensors.count(f"{HEATMAPS}deconv_layers.")
    head = tensors[f"{HEATMAPS}{'deconv_layers.0' if deconv else 'final_conv'}.weight"]
    kernel = 3 if deconv else 1
    if layers > 1 or (deconv and tensors.has(f"{HEATMAPS}final_conv.")) or tuple(head[2:]) != (kernel, kernel):
        raise BadInput(
            f"{tensors.path} is a network of DeepLabCut 3 whose head has other layers than one transposed convolution "
            "of kernel 3 or one 1x1 convolution, which is not supported — train it with DeepLabCut's own configuration"
        )
    keypoints = head[1] if deconv else head[0]
    return DeepLabCut(hrnet_body(tensors), keypoints, deconv, image_channels=image_channels(tensors))
