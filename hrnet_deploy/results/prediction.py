"""The summary of `predict`. The predictions themselves are in the folder, in COCO's format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import EngineInfo, ImagesResult


@dataclass(frozen=True)
class PredictResult(ImagesResult):
    """The files that were written.

    Attributes:
        folder: holds results.json, a label map per image if the task gives them, and the pictures.
        images, results: the number of images, and the number of entries in results.json.
        pictures: paths of the pictures, or of the one video.
        continued: how many of the images an earlier, interrupted command had predicted.
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
