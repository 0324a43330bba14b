"""The result of `export`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import EngineInfo, ImagesResult, Setting
from hrnet_deploy.results.figures import Check, TaskFigures, TensorFigures, all_passed


@dataclass(frozen=True)
class ExportResult(ImagesResult):
    """The written file, and how it compares with PyTorch.

    Attributes:
        path: the ONNX file. size: its bytes.
        summary: what the checkpoint is, in a sentence.
        assumption: what was assumed because the weights do not show it; may be empty.
        card, input_size: the model card's name, and its input as HEIGHTxWIDTH.
        history: what was done to the graph, one mapping per step, each with its name under "step".
        provenance: digests of the files that it was made from.
        engine, engine_info: the engine in which it was verified.
    """

    kind: ClassVar[str] = "export"

    path: str
    summary: str
    card: str
    input_size: str
    history: Sequence[Mapping[str, Setting]]
    provenance: Mapping[str, str]
    tensors: Sequence[TensorFigures]
    task: TaskFigures
    checks: Sequence[Check]
    engine: str
    engine_info: EngineInfo
    assumption: str = ""
    size: int = 0

    @property
    def passed(self) -> bool:
        return all_passed(self.checks)
