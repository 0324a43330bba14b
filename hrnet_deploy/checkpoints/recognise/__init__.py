"""An architecture, read off the names and shapes of the tensors alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hrnet_deploy.architecture import Architecture
from hrnet_deploy.checkpoints.recognise.detection import detection
from hrnet_deploy.checkpoints.recognise.pose import pose
from hrnet_deploy.checkpoints.recognise.segmentation import segmentation
from hrnet_deploy.checkpoints.recognise.shapes import IncompleteError, Shapes
from hrnet_deploy.errors import BadInput

# asked in order; each gives None where the tensors are of no network of its task. Pose comes last: what has a body and no
# head that anybody knows ends there, with what it might be
RECOGNISERS: tuple[Callable[[Shapes], Architecture | None], ...] = (detection, segmentation, pose)

__all__ = ["IncompleteError", "recognise"]


def recognise(shapes: Mapping[str, Sequence[int]], path: object = "the checkpoint") -> Architecture:
    """The architecture whose official names these are. Raises BadInput, saying what the file is instead, and
    IncompleteError where a tensor that tells is missing."""
    tensors = Shapes(shapes, path)
    for known in RECOGNISERS:
        if (found := known(tensors)) is not None:
            return found
    first = ", ".join(list(shapes)[:3])
    raise BadInput(
        f"{path} is of another architecture (its tensors begin with {first}) — this tool takes HRNet and the "
        "baselines of its paper; `hrnet-deploy models` lists them"
    )
