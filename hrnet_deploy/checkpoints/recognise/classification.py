"""Recognises HRNet for image classification by its tensors."""

from __future__ import annotations

from hrnet_deploy.architecture import ClassHRNet
from hrnet_deploy.checkpoints.recognise.shapes import BRANCHES, Shapes, hrnet_body, image_channels
from hrnet_deploy.errors import BadInput


def cls_hrnet(tensors: Shapes) -> ClassHRNet | None:
    """An HRNet with the official head: one bottleneck per branch, and a fully connected layer. Raises BadInput where
    that layer is missing."""
    if not (tensors.has(BRANCHES) and tensors.has("incre_modules.")):
        return None
    if not tensors.has("classifier."):
        raise BadInput(
            f"{tensors.path} is an HRNet-W{hrnet_body(tensors).width} for image classification without its last layer, "
            "classifier, as timm makes it with num_classes=0 — give the checkpoint of the whole trained network"
        )
    classes, features = tensors.matrix("classifier.weight")
    body = hrnet_body(tensors)
    head = tuple(tensors[f"incre_modules.{i}.0.conv1.weight"][0] for i in range(len(body.stages) + 1))
    return ClassHRNet(body, classes, head, features, image_channels(tensors))
