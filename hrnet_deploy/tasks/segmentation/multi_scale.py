"""The multi-scale test of segmentation: the network runs on every image at several sizes, and class probabilities are
averaged.

Source: mmsegmentation, EncoderDecoder.aug_test. At each size the class scores are resized to the image and turned into
probabilities by a softmax; the class with the highest mean probability is chosen. The papers report multi-scale figures
for the factors 0.5, 0.75, 1, 1.25, 1.5 and 1.75 (2 for some data sets), with the flip test."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import Setting
from hrnet_deploy.tasks.base import NO_OPTIONS, InputFormat, Outputs, Sample, TaskOptions
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.fit import InputFit
from hrnet_deploy.tasks.images import Image
from hrnet_deploy.tasks.segmentation.task import Segmentation, SegmentationTask

MOST_BYTES = 4 << 30  # the probabilities of one image may take so much memory
STEP = 32  # input sizes are rounded to multiples of this, which every network takes


def segmentation_task(card: ModelCard, input_format: InputFormat, options: TaskOptions) -> SegmentationTask:
    """The segmentation task at one size, or at several if `options.scales` names some."""
    return (MultiScale if options.scales else SegmentationTask)(card, input_format, options)


class MultiScale(SegmentationTask):
    """Segmentation at several sizes of the input, which are `options.scales` times the size in the card.

    An image gives one sample per scale, in the order of the scales. The samples of one image are decoded together to
    one prediction. The file must leave the height and width of its input open."""

    def __init__(self, card: ModelCard, input_format: InputFormat, options: TaskOptions = NO_OPTIONS) -> None:
        """Raises BadInput if the file takes only one size, or if a scale is out of bounds."""
        super().__init__(card, input_format, options)
        scales = options.scales
        if input_format.embedded:
            raise BadInput("an embedded file takes images of one size — export it plain, with --dynamic height,width")
        if not scales or not all(0.1 <= s <= 8 for s in scales):
            raise BadInput(
                "--scales needs factors of the input size between 0.1 and 8 — give for example 0.5,0.75,1,1.25,1.5,1.75"
            )
        self.scales = tuple(scales)
        step = max(card.architecture.divisor, STEP)
        sizes = [
            [max(step, round(side * s / step) * step) for side in (card.input.height, card.input.width)]
            for s in self.scales
        ]
        self._at_scale = [SegmentationTask(card.resized(*size), input_format, options) for size in sizes]

    def samples(self, image: Image, item: Item) -> list[Sample]:
        return [s for task in self._at_scale for s in task.samples(image, item)]

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Segmentation]:
        tasks = itertools.cycle(self._at_scale)
        runs = [(next(tasks), o, s.context) for o, s in zip(outputs, samples, strict=True)]
        count = len(self._at_scale)
        return [self._merged(runs[i : i + count]) for i in range(0, len(runs), count)]

    def _merged(self, runs: Sequence[tuple[SegmentationTask, Outputs, InputFit]]) -> Segmentation:
        """The prediction for one image, from the run at each scale."""
        first: InputFit = runs[0][2]
        classes = len(runs[0][1]["logits"][0])
        if (needs := 8 * classes * first.size[0] * first.size[1]) > MOST_BYTES:
            raise BadInput(
                f"the probabilities of {classes} classes at {first.size[0]}x{first.size[1]} pixels take "
                f"{needs >> 20} MB — use smaller images"
            )
        total: NDArray[np.float32] | None = None
        for task, outputs, fit in runs:
            found = _softmax(np.stack(list(task.at_image(outputs, fit))))
            total = found if total is None else np.add(total, found, out=total)
        assert total is not None
        labels = total.argmax(0).astype(np.uint8)
        return Segmentation(first.image_id, labels, labels)

    def protocol(self) -> dict[str, Setting]:
        return {**super().protocol(), "scales": list(self.scales)}


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities from scores (classes, H, W), computed in place."""
    scores -= scores.max(0)
    np.exp(scores, out=scores)
    scores /= scores.sum(0)
    return scores
