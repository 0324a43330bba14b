"""HigherHRNet: its heads are exported, compared and measured, and its keypoints are not grouped into people.

The network gives heatmaps of everybody in an image at two resolutions, and tags that say which keypoints belong
together. The grouping of keypoints by their tags (associative embedding) is not a part of this version. For `check` and
the verification of `export`, a prediction is the strongest maximum of each keypoint, whoever's it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hrnet_deploy.architecture import HigherHRNet
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import Setting
from hrnet_deploy.tasks.base import NO_OPTIONS, InputFormat, Outputs, Record, Sample, TaskOptions
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import Image
from hrnet_deploy.tasks.pose.heatmaps import Floats, maxima
from hrnet_deploy.tasks.pose.person import Person, Pose
from hrnet_deploy.tasks.pose.task import PoseTask
from hrnet_deploy.tasks.pose.whole import of_image

UNGROUPED = (
    "the keypoints of HigherHRNet are of all people in an image, and this version does not group them by their tags "
    "(associative embedding)"
)


def averaged(stage0: Floats, stage1: Floats, count: int) -> Floats:
    """The mean of the heatmaps of both resolutions, (count, H/2, W/2), as the official evaluation takes it; `stage0`
    (count + tags, H/4, W/4) is resized bilinearly."""
    size = stage1.shape[2], stage1.shape[1]
    large = [cv2.resize(m, size, interpolation=cv2.INTER_LINEAR) for m in stage0[:count]]
    return np.asarray((np.stack(large) + stage1) * np.float32(0.5), np.float32)


class BottomUpTask(PoseTask):
    """See `tasks.base.Task`. A sample is an image. Results for people are refused, see the module."""

    unusable_reason = UNGROUPED
    fits = ("pad", "place", "stretch")

    def __init__(self, card: ModelCard, input_format: InputFormat, options: TaskOptions = NO_OPTIONS) -> None:
        """Raises BadInput where a flip test is asked for."""
        if options.flip_test:
            raise BadInput(f"{card.name} is HigherHRNet, whose results are not averaged here — leave --flip-test out")
        super().__init__(card, input_format, options)
        assert isinstance(card.architecture, HigherHRNet)
        self.count = card.architecture.keypoints

    def samples(self, image: Image, item: Item) -> list[Sample]:
        region = of_image(image.shape[0], image.shape[1], self.card.input)
        return [Sample(item.image_id, self.feed(region.cut(image, *self._size)), Person(item.image_id, region, 1.0))]

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Pose]:
        return [self._strongest(o, s.context) for o, s in zip(outputs, samples, strict=True)]

    def _strongest(self, outputs: Outputs, person: Person) -> Pose:
        stage0, stage1 = (np.asarray(outputs[n][0], np.float32) for n in ("stage0", "stage1"))
        points, scores = maxima(averaged(stage0, stage1, self.count)[None])
        in_input = points[0] * np.float32(self.card.input.width / stage1.shape[2])
        return Pose(person, person.crop.to_image(in_input, *self._size), in_input, scores[0])

    def protocol(self) -> dict[str, Setting]:
        return {"decode": "the strongest maximum of each keypoint, ungrouped", "fit": self.card.input.fit}

    def unscorable_reason(self, dataset: Dataset) -> str:
        return UNGROUPED

    def records(self, predictions: Sequence[Pose]) -> list[Record]:
        raise BadInput(f"{UNGROUPED} — use the outputs of the file with a grouping of your own")
