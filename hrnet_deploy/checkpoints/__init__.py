"""Load a checkpoint of any public layout into a network.

Loading is strict: a missing, unexpected or misshapen tensor is an error that names it. A file is read by `reading`, one
set of weights is chosen by `weights`, its tensors are renamed by `layouts` and `detectors`, its architecture is found
by `recognise`, and `completeness` checks the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_deploy import downloads
from hrnet_deploy.architecture import Architecture, DeepLabCut, with_known
from hrnet_deploy.cards import UNKNOWN, ModelCard, card_for, cards, shipped_checkpoint
from hrnet_deploy.checkpoints.completeness import COUNTER, check_complete, check_finite, nearest_architecture
from hrnet_deploy.checkpoints.config import config_beside, training_config
from hrnet_deploy.checkpoints.deeplabcut import beside
from hrnet_deploy.checkpoints.detectors import OLD, background_last
from hrnet_deploy.checkpoints.layouts import HRNET_PYTORCH, official_names, unwrap, without_classifier, zero_biases
from hrnet_deploy.checkpoints.reading import read_content
from hrnet_deploy.checkpoints.recognise import IncompleteError, recognise
from hrnet_deploy.checkpoints.weights import choose_weights
from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.files import require_file, sha256
from hrnet_deploy.image_input import COLOURS
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.registry import FromFile, Trained, task_entry
from hrnet_deploy.registry import load as load_attribute

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["COUNTER", "Checkpoint", "load", "resolve"]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose tensors fit its architecture.

    Attributes:
        path: the file.
        sha256: the digest of the file.
        layout: which project's names the file uses, such as "official" or "mmpose 1.x, prefix module.".
        architecture: the recognised architecture.
        card: the model card of the file or of its architecture.
        state: the tensors by official name. Floating-point tensors are float32.
        inferred: True if properties that are not in the weights, such as how branches are upsampled, are assumed; False
            if they are known from elsewhere.
        remarks: what was left out of the file, or not taken, one text each.
        described: what a file beside it leaves to be assumed, with the cure; mostly empty.
        weights_key: the key that was asked for, where the file holds several sets of weights; mostly empty.
        config: the configuration of the training, as far as the file has it.
    """

    path: Path
    sha256: str
    layout: str
    architecture: Architecture
    card: ModelCard
    state: Mapping[str, Tensor]
    inferred: bool = True
    remarks: tuple[str, ...] = ()
    weights_key: str = ""
    described: str = ""
    config: str = ""

    def with_known(self, architecture: Architecture) -> Checkpoint:
        """The same weights in an architecture known from elsewhere, for example from a card.

        Only properties that are not in the weights are taken from it. If the weights contradict it, nothing is taken.
        """
        known = with_known(self.architecture, architecture)
        if known == self.architecture:
            return dataclasses.replace(self, inferred=known != architecture)
        return dataclasses.replace(
            self, architecture=known, card=card_for(known, self.sha256), inferred=known != architecture
        )._as_trained()

    @property
    def trained(self) -> FromFile | None:
        """What the file tells of its labels; None where a card lists the file by its digest, or the task cannot say."""
        entry = task_entry(self.card.task)
        if not entry.trained or self.card.is_of(self.sha256):
            return None
        tell: Trained = load_attribute(entry.trained)
        return tell(self.architecture, self.card.dataset, self.card.labels, self.config, self.path.name)

    def _as_trained(self) -> Checkpoint:
        """The same checkpoint with the labels that its file tells of."""
        told = self.trained
        if told is None:
            return self
        alike = (c for c in cards().values() if c.architecture == self.architecture and c.dataset == told.dataset)
        chosen = next(alike, self.card) if told.dataset != self.card.dataset else self.card
        spec = dataclasses.replace(chosen.input, **told.input)
        known = dataclasses.replace(chosen, dataset=told.dataset, labels=told.labels, input=spec)
        return dataclasses.replace(self, card=known)

    def network(self) -> nn.Module:
        """The PyTorch network with these weights, in evaluation mode. It is the reference of all comparisons."""
        from hrnet_deploy.networks import build_network

        network = build_network(self.architecture)
        network.load_state_dict(dict(self.state), strict=False)  # `load` checked: only batch counters can be missing
        return network

    @property
    def assumption(self) -> str:
        """What is assumed about the network because it is not in the weights, with the option that corrects it.

        It is empty if the file is one that a card lists by its digest.
        """
        if self.card.is_of(self.sha256):
            return ""
        if isinstance(self.architecture, DeepLabCut):
            return self.described
        assumptions = []
        if self.layout.startswith(OLD):
            assumptions.append(
                "it was trained with boxes that are one pixel wider than those of mmdetection 2, whose rules are "
                "applied here"
            )
        if self.architecture.assumption and self.inferred:
            assumptions.append(self.architecture.assumption)
        if self.architecture.image_channels != len(COLOURS):
            spec = self.card.input
            named = zip(spec.channel_names, spec.mean, spec.std, strict=True)
            each = ", ".join(f"{name} with mean {mean:g} and std {std:g}" for name, mean, std in named)
            assumptions.append(
                f"its image is assumed to be {each} — if it is not, give a card of your own with --card FILE.yaml"
            )
        if self.card.dataset != UNKNOWN:
            labels = f"{self.architecture.labels} {task_entry(self.card.task).label_kind}"
            assumptions.append(
                f"its {labels} are assumed to be those of {self.card.dataset} — if they are not, give a card of your "
                "own with --card FILE.yaml"
            )
        if (told := self.trained) and told.assumption:
            assumptions.append(told.assumption)
        return "; ".join(assumptions)

    @property
    def summary(self) -> str:
        """One line about the file: its architecture, its layout, what was left out. `load` has checked the counts."""
        known = f"{self.architecture.title}, {self.layout} layout, 0 missing, 0 unexpected"
        told = [self.trained.remark] if self.trained and self.trained.remark else []
        return "; ".join([known, *self.remarks, *told])


def resolve(name: str | Path, progress: Progress = SILENT) -> Path:
    """The path of a checkpoint.

    Args:
        name: a path, the name of a card that has a checkpoint with it, or that of a published checkpoint, which is
            downloaded unless it is kept already.
        progress: is notified of a download.

    Raises:
        BadInput: there is no such file, or nothing is published for the card.
        Unavailable: the checkpoint cannot be downloaded.
    """
    path, known = Path(name), cards().get(str(name))
    if path.exists():
        require_file(path)
        return path
    if known is not None and (shipped := shipped_checkpoint(known)):
        return shipped
    if offer := downloads.offers().get(str(name)):
        return downloads.obtain(offer, progress=progress).path
    if known is not None:
        raise BadInput(
            f"the card {name} comes without weights, and none are published for it — give a checkpoint file, or "
            "--weights random to bench"
        )
    require_file(path)
    return path


def load(name: str | Path, weights_key: str = "", progress: Progress = SILENT) -> Checkpoint:
    """Read a checkpoint, recognise its architecture and check that it is complete.

    Args:
        name: as `resolve` takes it.
        weights_key: which weights to take, where the file holds several, such as "state_dict_ema".
        progress: is notified of a download.

    Raises:
        BadInput: the file cannot be read, is of an unknown architecture, or does not fit the one it resembles.
        Unavailable: PyTorch is not installed.
    """
    need("torch", "export")
    path = resolve(name, progress)
    content = read_content(path)
    weights = choose_weights(content, path, weights_key)
    unwrapped = unwrap(weights.tensors)
    layout, tensors = official_names(unwrapped)
    tensors = background_last(layout, tensors)
    tensors, unused = without_classifier(tensors)
    try:
        architecture: Architecture | None = recognise(_shapes(tensors), path)
    except IncompleteError:
        architecture = None
    if layout.startswith(HRNET_PYTORCH) and architecture and architecture.open_upsampling:
        aligned = dataclasses.replace(architecture.open_upsampling, align_corners=True)
        architecture = architecture.with_upsampling(aligned)
    tensors = zero_biases(layout, tensors)
    shapes = _shapes(tensors)
    architecture = architecture or nearest_architecture(shapes)
    check_complete(architecture, shapes, path)
    check_finite(tensors, path)
    state = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
    digest = sha256(path)
    remarks = tuple(
        r for r in (weights.remark, *(f"left out: {what}" for what in (*unwrapped.left_out, unused) if what)) if r
    )
    found = Checkpoint(
        path,
        digest,
        layout,
        architecture,
        card_for(architecture, digest),
        state,
        remarks=remarks,
        weights_key=weights_key,
        config=training_config(content) or config_beside(path),
    )
    if isinstance(architecture, DeepLabCut):
        known = beside(path, architecture, found.card)
        return dataclasses.replace(found, architecture=known.architecture, card=known.card, described=known.assumption)
    return found.with_known(found.card.architecture) if found.card.is_of(digest) else found._as_trained()


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {n: tuple(t.shape) for n, t in tensors.items()}
