"""The description that every exported ONNX file carries in its `metadata_props`.

It holds the model card, the input format (which arrays the file takes and gives), the precision, the steps by which the
file was made with their figures, and the digests of the files it was made from. It holds nothing about the machine and
no time, so that the same export gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.fields import made
from hrnet_deploy.files import require_file, sha256
from hrnet_deploy.graph.external import digest_with_external, external_files, load_external
from hrnet_deploy.graph.plan import is_plan, read_manifest
from hrnet_deploy.tasks.base import InputFormat

KEY = "hrnet_deploy"
SCHEMA = 1
WEIGHTS_STEP = "weights"  # the step that says which weights of the checkpoint were taken, where somebody chose


@dataclass(frozen=True)
class Description:
    """What later commands need to know about an ONNX file besides its graph.

    Attributes:
        card: the model card.
        input_format: whether preprocessing and decoding are in the graph. Its key in the metadata is `contract`.
        precision: fp32, fp16 or int8.
        provenance: sha256 digests by role (checkpoint, parent, calibration).
        history: one entry per step: its name under `step`, and the facts of that step.
    """

    card: ModelCard
    input_format: InputFormat = field(default_factory=InputFormat)
    precision: str = "fp32"
    provenance: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()

    def with_step(self, step: str, **facts: Any) -> Description:
        """The description with one more step at the end of its history. Facts are JSON values."""
        return dataclasses.replace(self, history=(*self.history, {"step": step, **facts}))

    def weights_key(self, checkpoint: str) -> str:
        """Which weights of the checkpoint with this digest the file was made from; empty for the plain ones."""
        return self.step(WEIGHTS_STEP).get("key", "") if self.provenance.get("checkpoint") == checkpoint else ""

    def step(self, name: str) -> Mapping[str, Any]:
        """The last entry of the history with that name; empty if there is none."""
        return next((h for h in reversed(self.history) if h["step"] == name), {})


def to_values(description: Description) -> dict[str, Any]:
    """A description as JSON values, which `from_values` reads."""
    return {
        "schema": SCHEMA,
        "card": description.card.to_dict(),
        "contract": dataclasses.asdict(description.input_format),
        "precision": description.precision,
        "provenance": dict(description.provenance),
        "history": list(description.history),
    }


def from_values(values: Any, path: Path) -> Description:
    """A description from its JSON values.

    Raises:
        BadInput: the values were written by another version or are not a description. The message names `path`.
    """
    given = dict(values) if isinstance(values, Mapping) else {}
    if (schema := given.pop("schema", None)) != SCHEMA:
        raise BadInput(
            f"{path} was made by another version of hrnet-deploy (schema {str(schema)[:20]}, here {SCHEMA}) — export "
            "it again"
        )
    card = _card(given.pop("card", None), path)
    try:
        found = made(_Written, given, "")
        for i, step in enumerate(found.history):
            made(str, step.get("step"), f"history[{i}].step")
    except (BadInput, RecursionError) as error:
        raise BadInput(f"{path} has a damaged description: {error}, and export the file again") from error
    return Description(card, found.contract, found.precision, found.provenance, found.history)


@dataclass(frozen=True)
class _Written:
    """What is written of a description beside its card and the schema."""

    contract: InputFormat
    precision: str
    provenance: Mapping[str, str]
    history: tuple[Mapping[str, Any], ...]


def _card(values: Any, path: Path) -> ModelCard:
    """The card in a file. Raises BadInput where it is damaged, and where it has a unit that earlier versions took
    wrongly: such a file was verified and calibrated on images that were prepared in another way."""
    try:
        card = ModelCard.from_dict(values)
    except (BadInput, RecursionError) as error:
        raise BadInput(f"{path} has a damaged model card: {error}, and export the file again") from error
    if card.remarks:
        raise BadInput(f"{path} was exported with a card that was not understood ({card.remarks[0]}) — export it again")
    return card


def describe(model: onnx.ModelProto, description: Description) -> None:
    """Write the description into a model. It replaces all metadata the model had."""
    del model.metadata_props[:]
    model.metadata_props.add(key=KEY, value=json.dumps(to_values(description), sort_keys=True, allow_nan=False))


def is_bare(path: Path) -> bool:
    """Whether a file is an ONNX model without a description: one of another exporter. Raises BadInput if it is no
    model."""
    return not is_plan(path) and not any(p.key == KEY for p in load_model(path).metadata_props)


def description_of(model: onnx.ModelProto, path: Path) -> Description:
    """The description in a model. Raises BadInput, naming `path`, if the model has none or a damaged one."""
    found = next((p.value for p in model.metadata_props if p.key == KEY), None)
    if found is None:
        raise BadInput(
            f"{path} has no model card — make the file with `hrnet-deploy export`, or give it one with "
            "`hrnet-deploy adopt`"
        )
    try:
        values = json.loads(found)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} has a damaged model card ({error!r}) — export it again") from error
    return from_values(values, path)


def load_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX model, with its tensors also where they are in other files. Raises BadInput if the file cannot be
    read or is not an ONNX model."""
    model = _without_external(path)
    load_external(model, path)
    return model


def file_digest(path: Path) -> str:
    """The digest of everything that an ONNX file, or a plan, computes with."""
    return sha256(path) if is_plan(path) else digest_with_external(_without_external(path), path)


def _without_external(path: Path) -> onnx.ModelProto:
    require_file(path)
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except Exception as error:  # the exception types differ between versions of protobuf
        raise BadInput(
            f"{path} is not an ONNX file, or a damaged one — expected a file written by `hrnet-deploy export`"
        ) from error
    if not model.graph.node:
        raise BadInput(
            f"{path} is not an ONNX file: it holds no graph — expected a file written by `hrnet-deploy export`"
        )
    if not any(o.domain in ("", "ai.onnx") for o in model.opset_import):
        raise BadInput(f"{path} is a damaged ONNX file: it does not say its opset — export it again")
    return model


def read_description(path: Path) -> Description:
    """The description in an ONNX file, or for a TensorRT plan that of the ONNX file it was built from."""
    if is_plan(path):
        require_file(path)
        return from_values(read_manifest(path).description, path)
    model = _without_external(path)
    external_files(model, path)
    return description_of(model, path)


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a model to a file. Equal models give equal bytes."""
    path.write_bytes(model.SerializeToString(deterministic=True))
