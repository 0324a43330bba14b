"""The result of `eval`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import EngineInfo, Figure, ImagesResult, Setting


@dataclass(frozen=True)
class EvalResult(ImagesResult):
    """The task's metric of one file on annotated images.

    Attributes:
        figures: by name, in 0..1; `metric` names the first among them.
        protocol: what the figures depend on besides the weights.
        images: how many were scored.
        annotations: the file and its sha256, or the folder of label maps.
        published: the published figure of the same weights; empty if it is not known.
    """

    kind: ClassVar[str] = "eval"

    model: str
    model_sha256: str
    card: str
    precision: str
    engine: str
    engine_info: EngineInfo
    metric: str
    figures: Mapping[str, Figure]
    protocol: Mapping[str, Setting]
    images: int
    data: str
    annotations: Mapping[str, str]
    published: str = ""

    def __post_init__(self) -> None:
        if self.metric not in self.figures:
            raise ValueError("Expected the metric among the figures")
