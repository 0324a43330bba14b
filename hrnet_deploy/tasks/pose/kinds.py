"""The kinds of pose networks: which class prepares images for a network and decodes its outputs."""

from __future__ import annotations

from hrnet_deploy.architecture import DeepLabCut, HigherHRNet
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import NO_OPTIONS, InputFormat, TaskOptions
from hrnet_deploy.tasks.pose import graph
from hrnet_deploy.tasks.pose.bottom_up import BottomUpTask
from hrnet_deploy.tasks.pose.deeplabcut import DeepLabCutTask
from hrnet_deploy.tasks.pose.labels import DECODINGS, Keypoints
from hrnet_deploy.tasks.pose.task import PoseTask

QUARTER_OFFSET = DECODINGS[0]  # the default of a card

KINDS: dict[type, type[PoseTask]] = {DeepLabCut: DeepLabCutTask, HigherHRNet: BottomUpTask}


def pose_task(card: ModelCard, input_format: InputFormat, options: TaskOptions = NO_OPTIONS) -> PoseTask:
    """The task of a card's network."""
    kind = KINDS.get(type(card.architecture), PoseTask)
    labels = card.labels_as(Keypoints)
    if kind is not PoseTask and (labels.decode != QUARTER_OFFSET or labels.geometry):
        raise BadInput(
            f"{card.architecture.title} is decoded in a way of its own — leave --decode and --geometry out, and decode "
            "and geometry in its card"
        )
    return kind(card, input_format, options)


def embedding(card: ModelCard, output: tuple[int, ...], flip_test: bool, opset: int) -> str:
    """See `tasks.base.Embedding`. Raises BadInput for networks whose decoding is no graph yet."""
    if type(card.architecture) in KINDS:
        raise BadInput(
            f"--embed cannot decode the outputs of {card.architecture.title} — leave it out, and decode with "
            "`hrnet-deploy predict`"
        )
    return graph.embedding(card, output, flip_test, opset)
