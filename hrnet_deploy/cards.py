"""Model cards: the facts of one model, from a YAML file of this package or from the metadata of an ONNX file.

A card says what the weights do not show: the size and the normalisation of the input, what the labels are called and
which of them swap in a mirror image, where the weights are published and which score their authors report."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hrnet_deploy import architecture as arch
from hrnet_deploy.architecture import Architecture
from hrnet_deploy.errors import BadInput
from hrnet_deploy.fields import made, within
from hrnet_deploy.files import require_file, sha256
from hrnet_deploy.image_input import Input, check_channels, read_input
from hrnet_deploy.registry import Labels, TaskEntry, task_entry, task_names

PACKAGE = Path(__file__).parent
DATASETS, COST_TABLE = "datasets.yaml", "cost_table.yaml"  # files next to the cards that are not cards
UNKNOWN = "unknown"  # the data set of a checkpoint whose labels are not known

L = TypeVar("L")


@dataclass(frozen=True)
class Published:
    """A trained checkpoint that its authors publish: where it is, how its sha256 begins, and the score they report for
    it, in the unit they use, on `data`."""

    url: str
    sha256_prefix: str
    metric: str
    value: float | None = within(0, 100, "a score in percent", None)
    data: str = ""

    @property
    def figure(self) -> str:
        """The score in words, such as "AP 74.6 on COCO val2017"; empty where none is stated."""
        return "" if self.value is None else f"{self.metric} {self.value:g} on {self.data}"


@dataclass(frozen=True)
class ModelCard:
    """Everything later commands need to know of a model. It travels inside every ONNX file made here.

    `labels` are of the type that the task of the architecture gives them (`tasks.pose.labels.Keypoints` for pose). In
    YAML and JSON they stand under the task's own key: `keypoints` or `classes`. `checkpoint` is the path of a trained
    checkpoint that comes with this package, relative to the folder of the cards. `remarks` says what was converted
    when the card was read: it is about the file that was read, and no part of the card."""

    name: str
    architecture: Architecture
    input: Input
    dataset: str
    labels: Labels
    checkpoint: str = ""
    published: tuple[Published, ...] = field(default=())
    note: str = ""
    remarks: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def task(self) -> str:
        """The name of the model's task."""
        return self.architecture.task

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the keypoints or classes, in the order of the network's output."""
        return self.labels.names

    def labels_as(self, kind: type[L]) -> L:
        """The labels, if they are of that type. Raises BadInput if they belong to another task."""
        if not isinstance(self.labels, kind):
            raise BadInput(
                f"{self.name} has labels of another task than {self.task} — give the card that belongs to it"
            )
        return self.labels

    def is_of(self, sha256: str) -> bool:
        """Whether a file with that digest is a checkpoint published for this model, or the one that comes with it."""
        return bool(sha256) and (self.published_as(sha256) is not None or sha256 == _shipped_sha256(self.checkpoint))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse."""
        values = dataclasses.asdict(self)
        del values["remarks"]
        labels = {task_entry(self.task).label_kind: values.pop("labels")}
        return {**values, **labels, "architecture": arch.to_dict(self.architecture)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """A card from JSON values. Keys of label kinds that are null are ignored: older files have one for every kind.

        Every field is checked. What can be read in one way only is converted to the units of this class, and `remarks`
        says so.

        Raises BadInput for a field that is missing, unknown, of another type or out of its range, and for lists that do
        not fit each other or the network."""
        if not isinstance(values, Mapping):
            raise BadInput("card is not a group of fields — give it an architecture and an input")
        rest = {k: v for k, v in values.items() if v is not None}
        architecture = arch.from_dict(_taken(rest, "architecture"))
        entry = task_entry(architecture.task)
        for kind in {task_entry(t).label_kind for t in task_names()} - {entry.label_kind}:
            if kind in rest:
                raise BadInput(f"it has {kind}, and its network is for {entry.name} — give it {entry.label_kind}")
        spec, converted = read_input(_taken(rest, "input"))
        labels, counted = _labels(entry, _taken(rest, entry.label_kind))
        if len(labels.names) != architecture.labels:
            raise BadInput(
                f"it names {len(labels.names)} {entry.label_kind}, its network has {architecture.labels} — name every "
                "one once"
            )
        check_channels(spec, architecture.image_channels)
        others = made(_Others, rest, "")
        return cls(
            architecture=architecture,
            input=spec,
            labels=labels,
            remarks=(*converted, *counted),
            **{f.name: getattr(others, f.name) for f in dataclasses.fields(others)},
        )

    def published_as(self, digest: str) -> Published | None:
        """The published checkpoint that has this sha256, or None."""
        return next((p for p in self.published if digest.startswith(p.sha256_prefix)), None)

    def resized(self, height: int, width: int) -> ModelCard:
        """The same model with an input of `height` x `width` pixels. Raises BadInput if the network cannot take
        it."""
        arch.check_size(self.architecture, height, width)
        longest = self.input.longest if (height, width) == (self.input.height, self.input.width) else None
        return dataclasses.replace(
            self, input=dataclasses.replace(self.input, height=height, width=width, longest=longest)
        )


@dataclass(frozen=True)
class _Others:
    """The fields of a card besides its groups."""

    name: str
    dataset: str
    checkpoint: str = ""
    published: tuple[Published, ...] = ()
    note: str = ""


def _taken(values: dict[str, Any], name: str) -> Any:
    if name not in values:
        raise BadInput(f"{name} is missing — give it a value")
    return values.pop(name)


def _labels(entry: TaskEntry, values: Any) -> tuple[Labels, Sequence[str]]:
    """The labels of a card, and what was converted in them. Labels with a method `settled` convert and check what lists
    do not say by their types."""
    labels: Any = made(entry.labels, values, entry.label_kind)
    return labels.settled() if hasattr(labels, "settled") else (labels, ())


def folder() -> Path:
    """The folder of the cards: inside an installed package, or next to the package in a checkout."""
    installed = PACKAGE / "models"
    return installed if installed.is_dir() else PACKAGE.parent / "models"


@functools.cache
def cards() -> dict[str, ModelCard]:
    """Every card of this package by its name, which is the name of its file without .yaml."""
    paths = sorted([*folder().glob("*.yaml"), *folder().glob("demo/*.yaml")])
    return {p.stem: read_card(p) for p in paths if p.name not in (DATASETS, COST_TABLE)}


def read_card(path: Path) -> ModelCard:
    """The card in a YAML file. Labels that the file does not name are taken from `datasets.yaml`. Raises BadInput with
    the reason if it is not a card, or if a field of it does not fit."""
    import yaml

    require_file(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # text of another encoding is a ValueError
        first = str(error).strip().splitlines()[0]
        raise BadInput(f"{path} is not a model card ({first[:120]}) — copy one of {folder()}") from error
    if not isinstance(values, Mapping) or not {"architecture", "input"} & set(values):
        raise BadInput(f"{path} is not a model card: it has no architecture and no input — copy one of {folder()}")
    try:
        return ModelCard.from_dict(_with_labels({"name": path.stem, **values}))
    except BadInput as error:
        raise BadInput(f"{path} is not a model card that can be used: {error}") from error


def _with_labels(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a card with the labels of its data set, where the card does not name its own. What the card says
    of them, such as how they are decoded, goes before what the data set says."""
    kind = task_entry(arch.from_dict(values.get("architecture") or {}).task).label_kind
    own = values.get(kind)
    if own is not None and not (isinstance(own, Mapping) and own and "names" not in own):
        return values
    datasets = _datasets()
    known = [name for name, facts in datasets.items() if kind in facts]
    if values.get("dataset") not in known:
        raise BadInput(
            f"the labels of the data set {values.get('dataset')!r} are not known — give {kind} with their names, or "
            f"one of the data sets {', '.join(known)}"
        )
    return {**values, kind: {**datasets[values["dataset"]][kind], **(own or {})}}


@functools.cache
def _datasets() -> dict[str, Any]:
    import yaml

    content: dict[str, Any] = yaml.safe_load((folder() / DATASETS).read_text(encoding="utf-8"))
    for facts in content.values():
        for labels in facts.values():
            if (
                "file" in labels
            ):  # a long list, in a file of its own: the name of the folder of each class, and its name
                lines = (folder() / labels.pop("file")).read_text(encoding="utf-8").splitlines()
                rows = [line.split(" ", 1) for line in lines]
                labels |= {"names": [name for _, name in rows], "folders": [of for of, _ in rows]}
    return content


def publication(card: ModelCard, digest: str) -> Published | None:
    """The published checkpoint that has this sha256, of a card or of another one of this package; None if there is
    none."""
    return next((p for c in (card, *cards().values()) if (p := c.published_as(digest))), None)


def labels_of(dataset: str, task: str) -> Labels | None:
    """The labels of a data set in `datasets.yaml` for a task; None if it has none."""
    entry = task_entry(task)
    values = _datasets().get(dataset, {}).get(entry.label_kind)
    return None if values is None else _labels(entry, values)[0]


def card(name: str) -> ModelCard:
    """The card of that name, or in the YAML file of that path. Raises BadInput with the most similar names where there
    is none."""
    import difflib

    if name.endswith((".yaml", ".yml")):
        return read_card(Path(name))
    known = cards()
    if name not in known:
        near = difflib.get_close_matches(name, known, 3) or list(known)[:3]
        raise BadInput(f"there is no card {name!r} — did you mean {', '.join(near)}? `hrnet-deploy models` lists all")
    return known[name]


@functools.cache
def _shipped_sha256(checkpoint: str) -> str:
    path = folder() / checkpoint
    return sha256(path) if path.is_file() else ""


def shipped_checkpoint(of: ModelCard) -> Path | None:
    """The checkpoint that comes with this package for a card, or None."""
    return folder() / of.checkpoint if of.checkpoint else None


def card_for(architecture: Architecture, sha256: str = "") -> ModelCard:
    """The card of a checkpoint, from its architecture and its digest.

    The first of these that there is: the card for which the checkpoint is published; a card of the same architecture; a
    new card. A new card takes input and labels from the card that is most similar and has as many labels. Where no card
    has as many, it takes the input of the task's default card, and its labels are numbered."""
    entry = task_entry(architecture.task)
    default = card(entry.default_card)
    known = [*cards().values(), default]
    if found := next((c for c in known if c.is_of(sha256)), None):
        return found
    if found := next((c for c in known if c.architecture == architecture), None):
        return found
    alike = [c for c in known if c.task == architecture.task]
    twin = _with_channels(architecture, 3)  # the cards of this package are of colour images
    if found := next((c for c in known if c.architecture == twin), None):
        return dataclasses.replace(
            found,
            name=f"{found.name}_{architecture.image_channels}ch",
            architecture=architecture,
            input=found.input.for_channels(architecture.image_channels),
            checkpoint="",
            published=(),
        )
    same_body = [c for c in alike if c.architecture.shared_body == architecture.shared_body]
    similar = next((c for c in [*same_body, default, *alike] if c.architecture.labels == architecture.labels), None)
    size = (similar or default).input
    if architecture.usual_input is not None:
        height, width, fit = architecture.usual_input
        size = Input(height, width, fit=fit)
    size = size.for_channels(architecture.image_channels)
    return ModelCard(
        name=f"{architecture.family}_{architecture.scale}_{architecture.labels}{entry.label_kind}_{size.size}",
        architecture=architecture,
        input=size,
        dataset=similar.dataset if similar else UNKNOWN,
        labels=similar.labels if similar else _numbered(entry, architecture.labels),
    )


def _with_channels(architecture: Architecture, count: int) -> Architecture:
    if architecture.image_channels == count:
        return architecture
    return dataclasses.replace(architecture, image_channels=count)  # type: ignore[type-var]


def _numbered(entry: TaskEntry, count: int) -> Labels:
    return entry.labels(tuple(f"{entry.label_word}_{i}" for i in range(count)))
