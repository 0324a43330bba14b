"""Infers an architecture from the names and shapes of a checkpoint's tensors alone.

The recognisers are listed with their families in `hrnet_deploy.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hrnet_deploy.architecture import Architecture
from hrnet_deploy.checkpoints.recognise.shapes import IncompleteError, Shapes
from hrnet_deploy.checkpoints.recognise.unknown import refuse, refuse_other_head
from hrnet_deploy.registry import family_entry, family_names, load

__all__ = ["IncompleteError", "recognise"]


def recognise(shapes: Mapping[str, Sequence[int]], path: object = "the checkpoint") -> Architecture:
    """The architecture whose official parameter names and shapes these are.

    `path` names the checkpoint in errors. Raises BadInput that says what the file is instead, and IncompleteError if a
    tensor is missing from which the architecture is inferred."""
    tensors = Shapes(shapes, path)
    refuse_other_head(tensors)
    for name in family_names():
        found: Architecture | None = load(family_entry(name).recogniser)(tensors)
        if found is not None:
            return found
    refuse(tensors)
