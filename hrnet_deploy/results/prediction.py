"""The summary of `predict`. The predictions themselves are in the folder, in COCO's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from hrnet_deploy.results.base import EngineInfo, ImagesResult, Setting


@dataclass(frozen=True)
class PredictResult(ImagesResult):
    """The files that were written.

    Attributes:
        folder: holds results.json, a label map per image if the task gives them, and the pictures.
        images, results: the number of images, and the number of entries in results.json.
        pictures: paths of the pictures, or of the one video.
        continued: how many of the images an earlier, interrupted command had predicted.
        boxes: of which category the boxes are in which results were looked for, and how many were left out, where a
            file of boxes left that open.
    """

    kind: ClassVar[str] = "predict"

    folder: str
    model: str
    card: str
    images: int
    results: int
    pictures: Sequence[str]
    engine: str
    engine_info: EngineInfo
    continued: int = 0
    boxes: Mapping[str, Setting] = field(default_factory=dict)
