"""Check that the tensors of a checkpoint are those of its architecture: none missing, none left over, none broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_deploy.architecture import Architecture
from hrnet_deploy.cards import cards
from hrnet_deploy.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
COUNTER = "num_batches_tracked"  # of a batch norm; used in training only, and absent from older files


def expected_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The shapes in the state dict of an architecture, by official name. No memory is allocated for the tensors."""
    import torch

    from hrnet_deploy.networks import build_network

    with torch.device("meta"):
        return {n: tuple(t.shape) for n, t in build_network(architecture).state_dict().items()}


def nearest_architecture(shapes: Shapes) -> Architecture:
    """The architecture of a card that shares most tensors with these shapes.

    It is used to name what is missing in a checkpoint that lacks a tensor needed for recognition.
    """
    known = {c.architecture for c in cards().values()}
    given = set(shapes.items())
    return max(known, key=lambda a: len(given & set(expected_shapes(a).items())))


def check_complete(architecture: Architecture, shapes: Shapes, path: Path) -> None:
    """Raises BadInput with names if tensors are missing or unexpected, or have other shapes than the architecture's."""
    expected = expected_shapes(architecture)
    missing = [n for n in expected if n not in shapes and not n.endswith(COUNTER)]
    unexpected = [n for n in shapes if n not in expected]
    if missing or unexpected:
        parts = [_listed(kind, names) for kind, names in (("missing", missing), ("unexpected", unexpected)) if names]
        raise BadInput(
            f"{path} looks like {architecture.title}, but does not fit it: {'; '.join(parts)} — it is damaged or of "
            "another variant; get the file again, or one of a variant that `hrnet-deploy models` lists"
        )
    wrong = [n for n in expected if n in shapes and shapes[n] != expected[n]]
    if wrong:
        first = f"{wrong[0]} is {shapes[wrong[0]]}, expected {expected[wrong[0]]}"
        raise BadInput(
            f"{path} looks like {architecture.title}, but {len(wrong)} tensors have another shape ({first}) — it is "
            "damaged or of another variant; get the file again, or one of a variant that `hrnet-deploy models` lists"
        )


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raises BadInput with names if a tensor holds a NaN or an infinity, or numbers that are no weights."""
    import torch

    if whole := [n for n, t in tensors.items() if not t.is_floating_point() and not n.endswith(COUNTER)]:
        raise BadInput(
            f"{path} has no floating point numbers in {_listed('tensors', whole)} — give the weights before they were "
            "quantized or converted"
        )
    bad = [n for n, t in tensors.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
    if bad:
        raise BadInput(
            f"{path} has NaN or infinite values in {_listed('tensors', bad)} — its training diverged; use an earlier "
            "checkpoint"
        )


def _listed(kind: str, names: Sequence[str]) -> str:
    """The number of names and the first five of them."""
    return f"{len(names)} {kind} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
