"""Any public checkpoint layout to a network, strictly: what is missing or left over is an error with names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_deploy.architecture import Architecture, with_known
from hrnet_deploy.cards import UNKNOWN, ModelCard, card_for, cards, shipped_checkpoint
from hrnet_deploy.checkpoints.detectors import OLD, background_last
from hrnet_deploy.checkpoints.layouts import to_official, zero_biases
from hrnet_deploy.checkpoints.reading import read_tensors
from hrnet_deploy.checkpoints.recognise import IncompleteError, recognise
from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.files import require_file, sha256
from hrnet_deploy.registry import task_entry

if TYPE_CHECKING:
    from torch import Tensor, nn

COUNTER = "num_batches_tracked"  # of batch norms; training only, and absent from older files


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that fits its architecture: official names, float32. `told`: what no tensor tells of the architecture
    is known from elsewhere."""

    path: Path
    sha256: str
    layout: str
    architecture: Architecture
    card: ModelCard
    state: Mapping[str, Tensor]
    inferred: bool = True

    def with_known(self, architecture: Architecture) -> Checkpoint:
        """The same weights in the network somebody says they are of, as far as the tensors leave that open."""
        known = with_known(self.architecture, architecture)
        return dataclasses.replace(
            self, architecture=known, card=card_for(known, self.sha256), inferred=known != architecture
        )

    def network(self) -> nn.Module:
        """The PyTorch network with these weights, in evaluation mode: the reference of every comparison."""
        from hrnet_deploy.networks import build_network

        network = build_network(self.architecture)
        network.load_state_dict(dict(self.state), strict=False)  # only counters can be missing: `load` checked
        return network

    @property
    def assumption(self) -> str:
        """What the tensors do not tell and was taken from the card, or from what is usual; empty where the file is known
        by its digest."""
        if self.card.is_of(self.sha256):
            return ""
        said = []
        if self.layout.startswith(OLD):
            said.append(
                "its boxes were a pixel wider when it was trained, which the rules of mmdetection 2 it is run by do not know"
            )
        if self.architecture.assumption and self.inferred:
            said.append(self.architecture.assumption)
        if self.card.dataset != UNKNOWN:
            said.append(
                f"its {self.architecture.labels} {task_entry(self.card.task).label_kind} are taken to be those of {self.card.dataset} — where they "
                "are not, give a card of your own with --card FILE.yaml"
            )
        return "; ".join(said)

    @property
    def summary(self) -> str:
        return f"{self.architecture.title}, {self.layout} layout, 0 missing, 0 unexpected"


def resolve(name: str | Path) -> Path:
    """A path as it is, or the checkpoint of a card that comes with one."""
    path = Path(name)
    if not path.exists() and str(name) in cards():
        shipped = shipped_checkpoint(cards()[str(name)])
        if shipped is None:
            raise BadInput(
                f"the card {name} comes without weights — give a checkpoint file, or --weights random to bench"
            )
        return shipped
    require_file(path)
    return path


def load(name: str | Path) -> Checkpoint:
    """Read, recognise and check a checkpoint. Raises BadInput with the reason and the cure."""
    need("torch", "export")
    path = resolve(name)
    layout, tensors = to_official(read_tensors(path))
    tensors = background_last(layout, tensors)
    try:
        architecture: Architecture | None = recognise(_shapes(tensors), path)
    except IncompleteError:
        architecture = None
    tensors = zero_biases(layout, tensors)
    shapes = _shapes(tensors)
    architecture = architecture or _nearest(shapes)
    _check_complete(architecture, shapes, path)
    _check_finite(tensors, path)
    state = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
    digest = sha256(path)
    found = Checkpoint(path, digest, layout, architecture, card_for(architecture, digest), state)
    return found.with_known(found.card.architecture) if found.card.is_of(digest) else found


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {n: tuple(t.shape) for n, t in tensors.items()}


def _expected(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The state dict of an architecture, names and shapes; no memory is taken."""
    import torch

    from hrnet_deploy.networks import build_network

    with torch.device("meta"):
        return {n: tuple(t.shape) for n, t in build_network(architecture).state_dict().items()}


def _nearest(shapes: Mapping[str, tuple[int, ...]]) -> Architecture:
    """The known network that shares most with some tensors: to say what they lack."""
    known = {c.architecture for c in cards().values()}
    given = set(shapes.items())
    return max(known, key=lambda a: len(given & set(_expected(a).items())))


def _check_complete(architecture: Architecture, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    expected = _expected(architecture)
    missing = [n for n in expected if n not in shapes and not n.endswith(COUNTER)]
    unexpected = [n for n in shapes if n not in expected]
    if missing or unexpected:
        parts = [_listed(kind, names) for kind, names in (("missing", missing), ("unexpected", unexpected)) if names]
        raise BadInput(
            f"{path} looks like {architecture.title}, but does not fit it: {'; '.join(parts)} — it is damaged, or of another variant"
        )
    wrong = [n for n in expected if n in shapes and shapes[n] != expected[n]]
    if wrong:
        first = f"{wrong[0]} is {shapes[wrong[0]]}, expected {expected[wrong[0]]}"
        raise BadInput(
            f"{path} looks like {architecture.title}, but {len(wrong)} tensors have another shape ({first}) — it is "
            "damaged, or of another variant"
        )


def _listed(kind: str, names: Sequence[str]) -> str:
    return f"{len(names)} {kind} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"


def _check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    import torch

    bad = [n for n, t in tensors.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
    if bad:
        raise BadInput(
            f"{path} has NaN or infinite values in {_listed('tensors', bad)} — training diverged; use an earlier checkpoint"
        )
