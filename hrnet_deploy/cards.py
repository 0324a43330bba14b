"""Model cards: the facts of one model, from a YAML file here or from the metadata of an ONNX file.

A card says what weights alone do not: input size and normalisation, what the outputs are called, which
keypoints mirror each other, where the weights come from and what they are said to reach.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrnet_deploy import architecture as arch
from hrnet_deploy.architecture import Architecture
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import require_file, sha256

PACKAGE = Path(__file__).parent
DATASETS, COST_TABLE = "datasets.yaml", "cost_table.yaml"  # what lies beside the cards
LABELS = {"pose": "keypoints", "segmentation": "classes", "detection": "classes"}  # what a task's network tells apart
# a task's card whose input and labels an unknown checkpoint is taken to have
USUAL = {
    "pose": "pose_hrnet_w32_256x192",
    "segmentation": "seg_hrnetv2_w48_pascal_context_480x480",
    "detection": "faster_rcnn_hrnetv2p_w32_800x1344",
}


@dataclass(frozen=True)
class Input:
    """Size in pixels; `mean` and `std` of an image scaled to 0..1, in the order of `colour`. `fit` is how an image of
    another size is brought to it: a `crop` a result, `stretch`, or `pad` (scaled as it is, the rest filled up; with `longest`
    so that no side of the image takes more pixels than that)."""

    height: int
    width: int
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    colour: str = "RGB"
    fit: str = "crop"
    longest: int | None = None

    @property
    def size(self) -> str:
        return f"{self.height}x{self.width}"


@dataclass(frozen=True)
class Keypoints:
    """Names in the order of the heatmaps; pairs that swap in a mirror; OKS sigmas where the dataset has them;
    edges of the skeleton. How a box is enlarged before it is cropped, how heatmaps are decoded, and whether a flip
    test moves the mirror image's heatmaps by one pixel to align them."""

    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    box_padding: float = 1.25
    decode: str = "quarter_offset"
    flip_shift: bool = True


@dataclass(frozen=True)
class Classes:
    """Names in the order of the network's output (background left out where it is no class of its own), and colours
    (R, G, B) to draw them in, where the dataset has some. `ignore` is the label of pixels nobody judges; pairs of classes
    swap in a mirror. `ids` are the dataset's own numbers of the classes, where they are not 1, 2, 3 and so on."""

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] = ()
    ignore: int = 255
    flip_pairs: tuple[tuple[int, int], ...] = ()
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Published:
    """A trained checkpoint others publish: where, how its sha256 begins, and the figure they give."""

    url: str
    sha256_prefix: str
    metric: str
    value: float | None = None
    data: str = ""


@dataclass(frozen=True)
class ModelCard:
    """Everything later commands need to know of a model. Travels inside every ONNX file made here."""

    name: str
    architecture: Architecture
    input: Input
    dataset: str
    keypoints: Keypoints | None = None
    classes: Classes | None = None
    checkpoint: str = ""  # a trained checkpoint this package carries, relative to the folder of the cards
    published: tuple[Published, ...] = field(default=())
    note: str = ""

    @property
    def task(self) -> str:
        return self.architecture.task

    def is_of(self, sha256: str) -> bool:
        """Whether a file of that digest is one of those published for this model, or the one that comes with it."""
        return bool(sha256) and (self.published_as(sha256) is not None or sha256 == _shipped_sha256(self.checkpoint))

    @property
    def label_names(self) -> tuple[str, ...]:
        named = self.keypoints or self.classes
        return named.names if named else ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse."""
        return {**dataclasses.asdict(self), "architecture": arch.to_dict(self.architecture)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        rest = dict(values)
        points, classes = rest.pop("keypoints", None), rest.pop("classes", None)
        return cls(
            architecture=arch.from_dict(rest.pop("architecture")),
            input=Input(**_tuples(rest.pop("input"))),
            keypoints=Keypoints(**_tuples(points)) if points else None,
            classes=Classes(**_tuples(classes)) if classes else None,
            published=tuple(Published(**p) for p in rest.pop("published", ())),
            **rest,
        )

    def published_as(self, digest: str) -> Published | None:
        """The published checkpoint whose sha256 this is, if it is one."""
        return next((p for p in self.published if digest.startswith(p.sha256_prefix)), None)

    def resized(self, height: int, width: int) -> ModelCard:
        """The same model at another input size, which the network has to be able to take."""
        arch.check_size(self.architecture, height, width)
        longest = self.input.longest if (height, width) == (self.input.height, self.input.width) else None
        return dataclasses.replace(
            self, input=dataclasses.replace(self.input, height=height, width=width, longest=longest)
        )


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Lists, nested ones too, as the tuples frozen dataclasses hold."""

    def convert(value: Any) -> Any:
        return tuple(convert(v) for v in value) if isinstance(value, (list, tuple)) else value

    return {k: convert(v) for k, v in values.items()}


def folder() -> Path:
    """Where the cards lie: inside an installed package, or beside it in a checkout."""
    installed = PACKAGE / "models"
    return installed if installed.is_dir() else PACKAGE.parent / "models"


@functools.cache
def cards() -> dict[str, ModelCard]:
    """Every card by its name, which is the name of its file."""
    paths = sorted([*folder().glob("*.yaml"), *folder().glob("demo/*.yaml")])
    return {p.stem: read_card(p) for p in paths if p.name not in (DATASETS, COST_TABLE)}


def read_card(path: Path) -> ModelCard:
    """A card from a YAML file: one of ours, or somebody's own."""
    import yaml

    require_file(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        labels = LABELS[arch.from_dict(values["architecture"]).task]
        if labels not in values:
            datasets = yaml.safe_load((folder() / DATASETS).read_text(encoding="utf-8"))
            values[labels] = datasets[values["dataset"]].get(labels)
        read = ModelCard.from_dict({"name": path.stem, **values})
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()[0]
        raise BadInput(
            f"{path} is not a model card ({type(error).__name__}: {first[:120]}) — copy one of {folder()}"
        ) from error
    if len(read.label_names) != read.architecture.labels:
        raise BadInput(
            f"{path} names {len(read.label_names)} {labels}, its network has {read.architecture.labels} — name every one once"
        )
    return read


def card(name: str) -> ModelCard:
    """The card of that name, or in that YAML file; or the sentence that lists the nearest ones."""
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
    return folder() / of.checkpoint if of.checkpoint else None


def card_for(architecture: Architecture, sha256: str = "") -> ModelCard:
    """The card of a checkpoint: a published one by its digest, else the first of the same architecture, else
    a card with nothing but what the tensors say and the usual input."""
    for known in cards().values():
        if known.is_of(sha256):
            return known
    for known in cards().values():
        if known.architecture == architecture:
            return known
    alike = [c for c in cards().values() if c.task == architecture.task]
    body = getattr(architecture, "body", None)
    same = [c for c in alike if getattr(c.architecture, "body", None) == body]
    usual = card(USUAL[architecture.task])
    named = next((c for c in [*same, usual, *alike] if c.architecture.labels == architecture.labels), None)
    size = (named or usual).input
    kind = LABELS[architecture.task]
    one = {"keypoints": "keypoint", "classes": "class"}[kind]
    numbered = tuple(f"{one}_{i}" for i in range(architecture.labels))
    return ModelCard(
        name=f"{architecture.family}_{architecture.scale}_{architecture.labels}{kind}_{size.size}",
        architecture=architecture,
        input=size,
        dataset=named.dataset if named else "unknown",
        keypoints=(named.keypoints if named else Keypoints(numbered)) if kind == "keypoints" else None,
        classes=(named.classes if named else Classes(numbered)) if kind == "classes" else None,
    )
