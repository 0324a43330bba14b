"""The result of `adopt`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hrnet_deploy.results.base import ImagesResult, Setting
from hrnet_deploy.results.export import ActivationFit
from hrnet_deploy.results.figures import Check, TaskFigures, TensorFigures, all_passed


@dataclass(frozen=True)
class AdoptResult(ImagesResult):
    """A file of another exporter, rewritten to what `export` writes, and how it compares with that file.

    Attributes:
        path: the written file; None if a check failed. size: its bytes.
        source: the file that was adopted. producer: the program that wrote it, as it says. opset: of that file.
        card, input_size: the model card's name, and its input as HEIGHTxWIDTH.
        summary: the network in a sentence.
        takes, gives: the inputs and outputs of the source, with their types and shapes.
        found: what the graph shows. assumed: what it does not show, and was taken from the card. changed: what differs
            from the source.
        history: what was done to the graph, one mapping per step, each with its name under "step".
        provenance: digests of the files that it was made from.
        tensors: the outputs compared with the source's and, with `against`, with the checkpoint's.
        against: the checkpoint that it was compared with; empty if there was none.
        task: the comparison with the checkpoint on images.
        activations: whether the card prepares images as in training, as far as the checkpoint shows it.
        named: how many of its layers have the name of a parameter. layers: how many there are.
    """

    kind: ClassVar[str] = "adopt"

    path: str | None
    source: str
    producer: str
    opset: int
    card: str
    input_size: str
    summary: str
    takes: Sequence[str]
    gives: Sequence[str]
    found: Sequence[str]
    assumed: Sequence[str]
    changed: Sequence[str]
    history: Sequence[Mapping[str, Setting]]
    provenance: Mapping[str, str]
    tensors: Sequence[TensorFigures]
    checks: Sequence[Check]
    named: int
    layers: int
    against: str = ""
    task: TaskFigures | None = None
    activations: ActivationFit | None = None
    size: int = 0

    @property
    def passed(self) -> bool:
        return all_passed(self.checks)
