"""What `inspect` finds in a file, and the lists that `models` prints. They are not saved as files, so they have no
kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Inspection:
    """Facts about a checkpoint, an ONNX file or a plan. A field that does not apply to the file is None, such as those
    of the card in a file of another exporter.

    Attributes:
        what: the file in one sentence: its network, and its precision.
        file: the format and the size.
        card, task, input, trained_on: of the model card.
        published: the published figure of the same weights.
        assumed: what was assumed because the weights do not show it.
        parameters: number of parameters, as text.
        fits, built_of, layers, rebuild: of a plan: its GPU, its ONNX file, its layers, the command that makes it again.
        compiled, blocks: of a plan: what the compiler made of the graph, and the kernels of each block of the network.
        takes, gives: inputs and outputs with types and shapes; of a plan, the bounds of each open input.
        nodes: number of operators, and the most frequent ones.
        precision: of the file.
        made_by: what was done to the graph, one text per step.
        made_from: digests of the files that it was made from, by name.
        adopt: the command that gives a file of another exporter a card.
        sha256: of the file.
    """

    what: str
    file: str
    card: str | None = None
    task: str | None = None
    input: str | None = None
    trained_on: str | None = None
    published: str | None = None
    assumed: str | None = None
    parameters: str | None = None
    fits: str | None = None
    built_of: str | None = None
    takes: str | Sequence[str] | None = None
    gives: str | None = None
    nodes: str | None = None
    layers: str | None = None
    compiled: Sequence[str] | None = None
    blocks: Sequence[str] | None = None
    precision: str | None = None
    made_by: Sequence[str] | None = None
    made_from: Mapping[str, str] | None = None
    rebuild: str | None = None
    adopt: str | None = None
    sha256: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """What `inspect --json` prints: the fields that the file has, with spaces in their names."""
        found = {f.name.replace("_", " "): getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class CardSummary:
    """One line of `models`.

    Attributes:
        name: of the card; network: its architecture in a few words; input_size: HEIGHTxWIDTH.
        published: the best published figure, or "weights included" if the package includes weights.
    """

    name: str
    network: str
    input_size: str
    published: str = ""


@dataclass(frozen=True)
class CardList:
    """The model cards, in the order in which they are listed."""

    cards: Sequence[CardSummary]


@dataclass(frozen=True)
class CheckpointSummary:
    """One line of `models --checkpoints`: the name that commands take, the published figure, where the file is, how its
    sha256 begins, and whether it has been downloaded."""

    name: str
    published: str
    url: str
    sha256_prefix: str
    here: bool


@dataclass(frozen=True)
class CheckpointList:
    """The published checkpoints, in the order in which they are listed."""

    checkpoints: Sequence[CheckpointSummary]
