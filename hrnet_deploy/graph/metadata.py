"""What an ONNX file made here says of itself, in its `metadata_props`.

The model card, how the file wants to be fed, its precision, what was done to it and with which figures, and the
digests of what it was made from. Nothing of a machine and no time, so the same export gives the same bytes.
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
from hrnet_deploy.files import require_file
from hrnet_deploy.graph.plan import is_plan, read_manifest
from hrnet_deploy.tasks.base import Contract

KEY = "hrnet_deploy"
SCHEMA = 1


@dataclass(frozen=True)
class Description:
    """Everything a later command needs of an ONNX file besides the graph."""

    card: ModelCard
    contract: Contract = field(default_factory=Contract)
    precision: str = "fp32"
    provenance: Mapping[str, str] = field(default_factory=dict)  # sha256 by role: checkpoint, parent, calibration
    history: tuple[Mapping[str, Any], ...] = ()  # one entry a step: what was done, how far it moved

    def with_step(self, step: str, **facts: Any) -> Description:
        return dataclasses.replace(self, history=(*self.history, {"step": step, **facts}))

    def step(self, name: str) -> Mapping[str, Any]:
        """The facts of the last step of that name, empty if it was not taken."""
        return next((h for h in reversed(self.history) if h["step"] == name), {})


def values_of(description: Description) -> dict[str, Any]:
    """A description as JSON values; `from_values` reads them."""
    return {
        "schema": SCHEMA,
        "card": description.card.to_dict(),
        "contract": dataclasses.asdict(description.contract),
        "precision": description.precision,
        "provenance": dict(description.provenance),
        "history": list(description.history),
    }


def from_values(values: Any, path: Path) -> Description:
    """Raises BadInput that names `path`, where the values are another version's or none of a description."""
    try:
        if values["schema"] != SCHEMA:
            raise BadInput(
                f"{path} was made by another version of hrnet-deploy (schema {values['schema']}, here {SCHEMA}) — export it again"
            )
        return Description(
            card=ModelCard.from_dict(values["card"]),
            contract=Contract(**values["contract"]),
            precision=values["precision"],
            provenance=values["provenance"],
            history=tuple(values["history"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} has a damaged model card ({error!r}) — export it again") from error


def describe(model: onnx.ModelProto, description: Description) -> None:
    """Write the description into a model, replacing what was there."""
    del model.metadata_props[:]
    model.metadata_props.add(key=KEY, value=json.dumps(values_of(description), sort_keys=True, allow_nan=False))


def description_of(model: onnx.ModelProto, path: Path) -> Description:
    found = next((p.value for p in model.metadata_props if p.key == KEY), None)
    if found is None:
        raise BadInput(f"{path} carries no model card — make the file with `hrnet-deploy export`")
    try:
        values = json.loads(found)
    except ValueError as error:
        raise BadInput(f"{path} has a damaged model card ({error!r}) — export it again") from error
    return from_values(values, path)


def load_model(path: Path) -> onnx.ModelProto:
    """The ONNX model in a file. Raises BadInput where it is none."""
    require_file(path)
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own error types differ between its versions
        raise BadInput(
            f"{path} is not an ONNX file, or a damaged one — expected a file written by `hrnet-deploy export`"
        ) from error
    if not model.graph.node:
        raise BadInput(
            f"{path} is not an ONNX file: it holds no graph — expected a file written by `hrnet-deploy export`"
        )
    return model


def read_description(path: Path) -> Description:
    """What an ONNX file says of itself; of a plan, what the ONNX file it was built of said."""
    if is_plan(path):
        require_file(path)
        return from_values(read_manifest(path).description, path)
    return description_of(load_model(path), path)


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """The bytes of a model, the same for the same model."""
    path.write_bytes(model.SerializeToString(deterministic=True))
