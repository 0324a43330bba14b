"""The multi-scale test of segmentation: the network looks at each image at several sizes, and class probabilities are averaged.

Source: mmsegmentation, EncoderDecoder.aug_test: at each size the scores are brought to the image, a softmax makes probabilities
of them there, and the mean of those decides. The papers' multi-scale figures are of 0.5, 0.75, 1, 1.25, 1.5 and 1.75 (2 for some
datasets), with the flip test.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import Contract, Outputs, Sample
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.images import Image
from hrnet_deploy.tasks.segmentation import Placed, Segmentation, SegmentationTask

MOST = 4 << 30  # bytes of probabilities of one image


class MultiScale(SegmentationTask):
    """`scales`: how many times the card's input each look is. A sample is a look, a result all looks at an image."""

    def __init__(self, card: ModelCard, contract: Contract, flip_test: bool, scales: Sequence[float]) -> None:
        super().__init__(card, contract, flip_test)
        if contract.embedded:
            raise BadInput("an embedded file takes images of one size — export it plain, with --dynamic height,width")
        if not scales or not all(0.1 <= s <= 8 for s in scales):
            raise BadInput(
                "--scales wants factors of the input between 0.1 and 8, for example 0.5,0.75,1,1.25,1.5,1.75"
            )
        self.scales = tuple(scales)
        step = max(card.architecture.divisor, 32)
        sizes = [
            [max(step, round(side * s / step) * step) for side in (card.input.height, card.input.width)]
            for s in self.scales
        ]
        self.looks = [SegmentationTask(card.resized(*size), contract, flip_test) for size in sizes]

    def samples(self, image: Image, item: Item) -> list[Sample]:
        return [s for look in self.looks for s in look.samples(image, item)]

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Segmentation]:
        looks = itertools.cycle(self.looks)
        each = [(next(looks), o, s.context) for o, s in zip(outputs, samples, strict=True)]
        return [self._merged(each[i : i + len(self.looks)]) for i in range(0, len(each), len(self.looks))]

    def _merged(self, looks: Sequence[tuple[SegmentationTask, Outputs, Placed]]) -> Segmentation:
        first: Placed = looks[0][2]
        classes = len(looks[0][1]["logits"][0])
        if (needs := 8 * classes * first.size[0] * first.size[1]) > MOST:
            raise BadInput(
                f"probabilities of {classes} classes at {first.size[0]}x{first.size[1]} take {needs >> 20} MB — make images smaller"
            )
        total: NDArray[np.float32] | None = None
        for task, outputs, placed in looks:
            found = _softmax(np.stack(list(task.at_image(outputs, placed))))
            total = found if total is None else np.add(total, found, out=total)
        assert total is not None
        labels = total.argmax(0).astype(np.uint8)
        return Segmentation(first.image_id, labels, labels)

    def protocol(self) -> dict[str, Any]:
        return {**super().protocol(), "scales": list(self.scales)}


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the first axis, in place."""
    scores -= scores.max(0)
    np.exp(scores, out=scores)
    scores /= scores.sum(0)
    return scores
