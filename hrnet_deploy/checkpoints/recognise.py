"""An architecture, read off the names and shapes of the tensors alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hrnet_deploy.architecture import RESNET_DEPTHS, Architecture, Body, PoseHRNet, SimpleBaseline, Stage
from hrnet_deploy.errors import BadInput

DECONV_KERNELS = {4, 3, 2}

# what else carries HRNet's or ResNet's names, by a name only it has
OTHERS = {
    "incre_modules.": "an ImageNet classification network",
    "classifier.": "an ImageNet classification network",
    "fc.": "an ImageNet classification network",
    "last_layer.": "a segmentation network",
    "aux_head.": "a segmentation network with OCR",
    "decode_head.": "a segmentation network of mmsegmentation",
    "rpn_head.": "a detector",
    "roi_head.": "a detector",
    "bbox_head.": "a detector",
    "head.": "a network with another head (facial landmarks?)",
}


class IncompleteError(Exception):
    """A tensor that recognition needs is missing. What else is, only a comparison with known networks can tell."""


class Shapes:
    """Shapes by tensor name, with the questions recognition asks."""

    def __init__(self, shapes: Mapping[str, Sequence[int]], path: object) -> None:
        self.shapes, self.path = shapes, path

    def __getitem__(self, name: str) -> Sequence[int]:
        """The shape of a convolution's weight."""
        if name not in self.shapes:
            raise IncompleteError(name)
        if len(self.shapes[name]) != 4:
            raise BadInput(
                f"{self.path} has a {name} of {tuple(self.shapes[name])}, expected a convolution's four dimensions — it is of "
                "another network"
            )
        return self.shapes[name]

    def has(self, prefix: str) -> bool:
        return any(n.startswith(prefix) for n in self.shapes)

    def count(self, prefix: str) -> int:
        """How many children `prefix` has: `stage3.` -> its modules."""
        parts = {n[len(prefix) :].partition(".")[0] for n in self.shapes if n.startswith(prefix)}
        return sum(p.isdigit() for p in parts)


def recognise(shapes: Mapping[str, Sequence[int]], path: object = "the checkpoint") -> Architecture:
    """The architecture whose official names these are. Raises BadInput, saying what the file is instead, and
    IncompleteError where a tensor that tells is missing."""
    tensors = Shapes(shapes, path)
    if tensors.has("stage2.0.branches."):
        body = _body(tensors)
        _require_head(tensors, f"an HRNet-W{body.width}")
        head = tensors["final_layer.weight"]
        return PoseHRNet(body, keypoints=head[0], head_kernel=head[2])
    if tensors.has("layer1.0.") and tensors.has("layer4.0."):
        return _simple_baseline(tensors)
    first = ", ".join(list(shapes)[:3])
    raise BadInput(
        f"{path} is of another architecture (its tensors begin with {first}) — this tool takes HRNet and the "
        "baselines of its paper; `hrnet-deploy models` lists them"
    )


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


def _body(tensors: Shapes) -> Body:
    stage1 = Stage(1, (tensors.count("layer1."),), (tensors["layer1.0.conv1.weight"][0],), _block(tensors, "layer1.0."))
    stages = []
    for number in range(2, 2 + sum(tensors.has(f"stage{n}.") for n in range(2, 6))):
        name = f"stage{number}.0.branches."
        branches = range(tensors.count(name))
        stages.append(
            Stage(
                modules=tensors.count(f"stage{number}."),
                blocks=tuple(tensors.count(f"{name}{b}.") for b in branches),
                channels=tuple(tensors[f"{name}{b}.0.conv1.weight"][0] for b in branches),
                block=_block(tensors, f"{name}0.0."),
            )
        )
    return Body(stage1, tuple(stages), stem=tensors["conv1.weight"][0])


def _block(tensors: Shapes, unit: str) -> str:
    return "bottleneck" if tensors.has(f"{unit}conv3.") else "basic"


def _simple_baseline(tensors: Shapes) -> SimpleBaseline:
    blocks = tuple(tensors.count(f"layer{n}.") for n in range(1, 5))
    depths = {v: k for k, v in RESNET_DEPTHS.items()}
    if blocks not in depths or _block(tensors, "layer1.0.") != "bottleneck":
        raise BadInput(f"{tensors.path} is a ResNet with {'-'.join(map(str, blocks))} units — SimpleBaseline takes ResNet-50, 101 and 152")
    _require_head(tensors, f"a ResNet-{depths[blocks]}")
    deconv = [f"deconv_layers.{3 * i}.weight" for i in range(tensors.count("deconv_layers.") // 2)]
    head = tensors["final_layer.weight"]
    kernels = tuple(tensors[d][2] for d in deconv)
    if unknown := set(kernels) - DECONV_KERNELS:
        raise BadInput(f"{tensors.path} has transposed convolutions of kernel {unknown.pop()} — SimpleBaseline takes 4, 3 and 2")
    return SimpleBaseline(
        depth=depths[blocks],
        keypoints=head[0],
        deconv=tuple(tensors[d][1] for d in deconv),
        deconv_kernels=kernels,
        head_kernel=head[2],
    )
