"""The shapes of a checkpoint's tensors by name, and what several recognisers infer from them: an HRNet body, the depth
of a ResNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hrnet_deploy.architecture import RESNET_DEPTHS, Body, Stage, Upsample
from hrnet_deploy.errors import BadInput
from hrnet_deploy.image_input import MOST_CHANNELS

BRANCHES = "stage2.0.branches."  # every HRNet has parameters whose names begin so


class IncompleteError(Exception):
    """A tensor is missing from which the architecture is inferred. A comparison with known networks shows which other
    tensors are missing."""


class Shapes:
    """The shapes of tensors by name. `path` names their checkpoint in errors."""

    def __init__(self, shapes: Mapping[str, Sequence[int]], path: object) -> None:
        self.shapes, self.path = shapes, path

    def __getitem__(self, name: str) -> Sequence[int]:
        """The shape of a convolution's weight."""
        return self._of(name, 4, "a convolution's four")

    def matrix(self, name: str) -> Sequence[int]:
        """The shape of a fully connected layer's weight."""
        return self._of(name, 2, "a fully connected layer's two")

    def _of(self, name: str, dimensions: int, what: str) -> Sequence[int]:
        if name not in self.shapes:
            raise IncompleteError(name)
        if len(self.shapes[name]) != dimensions:
            raise BadInput(
                f"{self.path} has a {name} of {tuple(self.shapes[name])}, expected {what} dimensions — it is of "
                "another network"
            )
        return self.shapes[name]

    def has(self, prefix: str) -> bool:
        """Whether the name of any tensor begins with `prefix`."""
        return any(n.startswith(prefix) for n in self.shapes)

    def count(self, prefix: str) -> int:
        """How many numbered children `prefix` has: of `stage3.` the number of its modules."""
        parts = {n[len(prefix) :].partition(".")[0] for n in self.shapes if n.startswith(prefix)}
        return sum(p.isdigit() for p in parts)


def hrnet_body(tensors: Shapes, prefix: str = "", upsample: Upsample | None = None) -> Body:
    """The HRNet body whose parameter names begin with `prefix`. The weights do not show how it upsamples; `upsample`
    does."""
    first = f"{prefix}layer1."
    stage1 = Stage(
        1, (tensors.count(first),), (tensors[f"{first}0.conv1.weight"][0],), block_kind(tensors, f"{first}0.")
    )
    stages = []
    for number in range(2, 2 + sum(tensors.has(f"{prefix}stage{n}.") for n in range(2, 6))):
        name = f"{prefix}stage{number}.0.branches."
        branches = range(tensors.count(name))
        stages.append(
            Stage(
                modules=tensors.count(f"{prefix}stage{number}."),
                blocks=tuple(tensors.count(f"{name}{b}.") for b in branches),
                channels=tuple(tensors[f"{name}{b}.0.conv1.weight"][0] for b in branches),
                block=block_kind(tensors, f"{name}0.0."),
            )
        )
    return Body(stage1, tuple(stages), tensors[f"{prefix}conv1.weight"][0], upsample or Upsample())


def image_channels(tensors: Shapes, first: str = "conv1") -> int:
    """The channels of the images for which a network was made: those that its first convolution takes.

    Raises BadInput where images of so many channels cannot be read."""
    channels = tensors[f"{first}.weight"][1]
    if channels > MOST_CHANNELS:
        raise BadInput(
            f"{tensors.path} is a network for images of {channels} channels ({first}.weight is "
            f"{tuple(tensors[f'{first}.weight'])}) — this tool takes networks of 1 to {MOST_CHANNELS} channels"
        )
    return channels


def resnet_depth(tensors: Shapes, prefix: str, taker: str) -> int:
    """The depth of the ResNet whose parameter names begin with `prefix`: 50, 101 or 152.

    Raises BadInput for any other depth. `taker` is the part of the error that says what takes these three.
    """
    blocks = tuple(tensors.count(f"{prefix}layer{n}.") for n in range(1, 5))
    depths = {v: k for k, v in RESNET_DEPTHS.items()}
    if blocks not in depths or block_kind(tensors, f"{prefix}layer1.0.") != "bottleneck":
        raise BadInput(
            f"{tensors.path} is a ResNet with {'-'.join(map(str, blocks))} units — {taker} ResNet-50, 101 and 152"
        )
    return depths[blocks]


def is_plain_resnet(tensors: Shapes) -> bool:
    """Whether these are the tensors of a ResNet, under names without a prefix."""
    return tensors.has("layer1.0.") and tensors.has("layer4.0.")


def block_kind(tensors: Shapes, unit: str) -> str:
    """Which residual unit has parameter names that begin with `unit`: `bottleneck` or `basic`."""
    return "bottleneck" if tensors.has(f"{unit}conv3.") else "basic"
