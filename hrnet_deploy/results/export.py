"""The result of `export`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hrnet_deploy.results.base import EngineInfo, ImagesResult, Setting
from hrnet_deploy.results.figures import Check, TaskFigures, TensorFigures, all_passed


@dataclass(frozen=True)
class ActivationFit:
    """What the network's first batch norm gets of images that are prepared as the card says, compared with the mean and
    the variance that it has from training.

    Attributes:
        verdict: "fits", "differs" (the card is probably wrong) or "unknown".
        images: which images.
        layer: the batch norm.
        divergence: the Kullback-Leibler divergence in nats, of the median channel: 0 if they are equal.
        times: how many times larger the standard deviation is than in training, of the median channel.
        cause: how the training images seem to have been prepared; empty if nothing explains the difference.
        divergence_of_cause: the divergence with images that are prepared like that.
        reason: why nothing is known.
    """

    verdict: Literal["fits", "differs", "unknown"]
    images: str
    layer: str = ""
    divergence: float | None = None
    times: float | None = None
    cause: str = ""
    divergence_of_cause: float | None = None
    reason: str = ""


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
        remarks: what was converted or chosen in place of what was asked for, a sentence each.
        activations: whether the card prepares images as in training, as far as the first batch norm shows it.
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
    remarks: Sequence[str] = ()
    activations: ActivationFit | None = None

    @property
    def passed(self) -> bool:
        return all_passed(self.checks)
