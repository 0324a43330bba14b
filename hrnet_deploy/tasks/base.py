"""What a task is: it prepares images for a network, and decodes the network's outputs into results.

A task knows nothing of engines. The same object serves the verification of `export`, `check`, the pipeline figure of
`bench`, `eval` and `predict`, so that images are prepared in the same way everywhere.

To add a task, make a folder with a `TaskEntry` and add one line to `hrnet_deploy.registry`. The entry's
implementation must be a `Task`; `Embedding` and `Training` are optional.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.architecture import IMAGE_SIZE, INPUT
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import sha256
from hrnet_deploy.registry import load, task_entry
from hrnet_deploy.results.base import Setting
from hrnet_deploy.results.figures import Distance
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import Image, Labels
from hrnet_deploy.tasks.loading import BESIDE

if TYPE_CHECKING:
    import torch

CROPS = "crops"  # the input of a graph that prepares images itself: uint8 (N, H, W, C)
Feed = Mapping[str, NDArray]  # the arrays a network takes, by the names of its inputs
Outputs = Mapping[str, NDArray]  # the arrays a network gives, by the names of its outputs
Record = dict[str, Any]  # one entry of a results file, in COCO's format where COCO has one


@dataclass(frozen=True)
class InputFormat:
    """Which inputs an ONNX file takes. A plain file takes normalised images and gives the outputs of the network. An
    `embedded` file takes uint8 crops and gives decoded results; with `flip_test` it also averages them with the results
    of the mirror image."""

    embedded: bool = False
    flip_test: bool = False


@dataclass(frozen=True)
class TaskOptions:
    """Options of a task. A task gets only the options that its entry lists.

    flip_test: average each result with that of the mirror image. scales: sizes to test at, as factors of the card's
    input; empty for the input itself. upright: height and width of a second input that takes upright images."""

    flip_test: bool = False
    scales: tuple[float, ...] = ()
    upright: tuple[int, int] | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The command-line options that are set."""
        options = {"--flip-test": self.flip_test, "--scales": self.scales, "--upright": self.upright}
        return tuple(name for name, value in options.items() if value)


NO_OPTIONS = TaskOptions()


@dataclass(frozen=True)
class Sample:
    """What one run of the network needs. `feed` holds its arrays, (passes, ...) each: one pass, or two where a flip
    test adds the mirror image. `context` is what decoding needs to know, and only the task reads it."""

    image_id: int
    feed: Feed
    context: Any


class Score(Protocol):
    """A metric of one set of predictions, which can be compared with that of another set on the same images."""

    def figures(self) -> dict[str, float]:
        """Every figure by its name, in 0..1."""

    def difference(self, base: Any) -> tuple[float, float, float]:
        """The headline figure minus that of `base`, and the bounds of its 95% bootstrap interval over images."""


class Task(Protocol):
    """What a task implements. Methods with a body here suit most tasks.

    card: the model's card. metric: the name of the headline figure of `score`. comparable: whether the outputs of two
    engines can be compared number by number; a list sorted by score cannot, because two rows with almost equal scores
    may swap. unusable_reason: why predictions are not results that somebody can use, although engines can be compared
    by them; mostly empty. limits: for each precision (fp32, fp16, bf16, int8), the largest accepted value of figures
    that `compare` returns. score_limits: the largest accepted change of the metric, up or down, in points."""

    card: ModelCard
    metric: str
    comparable: bool = True
    unusable_reason: str = ""
    limits: Mapping[str, Mapping[str, float]]
    score_limits: Mapping[str, float] = {"fp32": 0.1, "fp16": 0.1, "bf16": 0.1, "int8": 0.5}

    def samples(self, image: Image, item: Item) -> list[Sample]:
        """The samples of one image, (H, W, C) uint8 as `channels.read_channels` gives it. A top-down pose network has
        one per person, most others one."""

    def decode(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> list[Any]:
        """Predictions in pixels of the image. `outputs` has one entry per sample, each (passes, ...)."""

    def compact(self, predictions: Sequence[Any]) -> list[Any]:
        """The same predictions in less memory, because those of all images are kept until they are compared and
        scored."""
        return list(predictions)

    def compare(self, reference: Sequence[Any], other: Sequence[Any]) -> Distance:
        """How far two sets of predictions of the same samples are apart, in the task's own terms."""

    def protocol(self) -> dict[str, Setting]:
        """What a score depends on besides the weights and the images, as JSON values: flip test, decoding and so on."""

    def reading(self, dataset: Dataset) -> dict[str, Setting]:
        """How the annotations of a data set were read where they leave something open, and what of them is not scored.
        It is shown beside `protocol`."""
        return dict(dataset.remarks)

    def boxes_read(self, dataset: Dataset) -> dict[str, Setting]:
        """In which boxes of a data set results are looked for, where a file leaves that open; `predict` shows it.
        Empty for a task that looks at whole images."""
        return {}

    def unscorable_reason(self, dataset: Dataset) -> str:
        """Why `score` cannot score against this data set; empty where it can. Raises Unavailable where a library is
        missing, and BadInput where there are annotations of another meaning than the task expects."""

    def score(self, predictions: Sequence[Any], dataset: Dataset) -> Any:
        """The task's metric against the annotations: a `Score`. Raises BadInput if `unscorable_reason` gives a
        reason."""

    def annotation_source(self, images: Path, annotations: Path | None) -> dict[str, str]:
        """Which annotations a score used: the COCO file by its path and sha256, unless a task uses others.

        `images` is the folder of images, `annotations` the file or folder that was named in addition, if any.
        """
        path = annotations or images / BESIDE
        return {"file": str(path), "sha256": sha256(path)}

    def draw(self, image: Image, predictions: Sequence[Any]) -> Image:
        """A copy of the picture, (H, W, 3) RGB uint8, with the predictions drawn on it."""

    def records(self, predictions: Sequence[Any]) -> list[Record]:
        """Predictions as entries of `results.json`, which `predict` writes: in COCO's results format if there is
        one for the task."""

    def label_maps(self, predictions: Sequence[Any]) -> list[Labels]:
        """Results that are images themselves, one per entry of `records`; `predict` writes each as a PNG file."""
        return []


class Embedding(Protocol):
    """Writes the decoding of a task as an ONNX graph, for `export --embed`."""

    def __call__(self, card: ModelCard, output: tuple[int, ...], flip_test: bool, opset: int) -> str:
        """The model in ONNX's text form. It takes the network's first output, of the static shape `output`, and gives
        decoded results. With `flip_test` the batch has the images first and then their mirror images. Raises BadInput
        if the card lacks what this needs."""


@dataclass(frozen=True)
class GraphOutput:
    """An output of a graph of another exporter: its name, whether it holds floats, and its shape, with 0 or a name for
    an axis that is open."""

    name: str
    floats: bool
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Maps:
    """How `adopt` reads a task whose networks end in one map per label, (N, labels, h, w), which is the only output.

    kept: operators behind the last convolution that are part of the map (Relu); what else follows is left out. stride:
    pixels of the input per pixel of the map; None where any will do. undone: what the task does itself, in place of
    the operators that are left out."""

    kept: frozenset[str]
    stride: int | None
    undone: str


class Lists(Protocol):
    """How `adopt` reads a task whose networks end in lists. Raises BadInput, naming what was found, if the outputs are
    of no known form."""

    def __call__(
        self, card: ModelCard, outputs: Sequence[GraphOutput], opset: int, path: object
    ) -> tuple[str, dict[str, str]]:
        """A graph in ONNX's text form that makes the outputs of the contract, and which output of the file each of its
        inputs is."""


@dataclass(frozen=True)
class Training:
    """How networks of a task are trained, as `bench --train` measures it.

    random_loss: from a network, its architecture and a batch of images (N, C, H, W), a function that computes the
    task's loss against random targets, which cost as much as real ones. optimizer: from a network's parameters, the
    optimizer that the authors of the networks use."""

    random_loss: Callable[[Any, Any, torch.Tensor], Callable[[], torch.Tensor]]
    optimizer: Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


def task_of(
    card: ModelCard,
    input_format: InputFormat | None = None,
    flip_test: bool = False,
    options: TaskOptions | None = None,
) -> Task:
    """The task of a card.

    `input_format` says which inputs the file takes; those of a plain file unless given. `flip_test` averages each
    result with that of the mirror image, and is short for `options=TaskOptions(flip_test=True)`. Raises BadInput if the
    task is unknown or does not support an option, or if the card does not fit."""
    entry, chosen = task_entry(card.task), options or TaskOptions(flip_test=flip_test)
    for option in chosen.given:
        entry.require(option, card.name)
    made: Task = load(entry.implementation)(card, input_format or InputFormat(), chosen)
    return made


def embedding_of(card: ModelCard) -> Embedding:
    """The function that writes the graph added by `export --embed`. Raises BadInput if the task of the card has
    none."""
    entry = task_entry(card.task)
    if not entry.embedding:
        raise BadInput(
            f"--embed is not available for {card.task} — leave it out, and decode with `hrnet-deploy predict`"
        )
    made: Embedding = load(entry.embedding)
    return made


def adoption_of(card: ModelCard) -> Maps | Lists:
    """How graphs of other exporters are read for a card's task. Raises BadInput if the task does not define it."""
    entry = task_entry(card.task)
    if not entry.adoption:
        raise BadInput(f"adopt is not available for {card.task} — export the checkpoint with `hrnet-deploy export`")
    made: Maps | Lists = load(entry.adoption)
    return made


def training_of(card: ModelCard) -> Training:
    """How networks of a card's task are trained. Raises BadInput if the task does not define it."""
    entry = task_entry(card.task)
    if not entry.training:
        raise BadInput(f"the task {entry.name} has no training step to measure — leave --train out")
    made: Training = load(entry.training)
    return made


def checked_score(task: Task, predictions: Sequence[Any], dataset: Dataset) -> Score:
    """`task.score`, checked to be a number. It is NaN if the annotations have nothing to score.

    Raises BadInput in that case, with the reason and what to do.
    """
    score: Score = task.score(predictions, dataset)
    if not math.isfinite(score.figures()[task.metric]):
        raise BadInput(
            f"{task.metric} of {task.card.name} is not a number: the annotations have nothing to score (no "
            "object of its "
            "classes, or only ignored pixels) — give annotations with such objects or pixels"
        )
    return score


def dataset_samples(task: Task, dataset: Dataset) -> Iterator[tuple[Item, Image, list[Sample]]]:
    """Every item of a data set, with its image and the samples made from it."""
    for item in dataset.items:
        image = item.read(task.card.input)
        yield item, image, task.samples(image, item)


def noise(card: ModelCard, batch: int, seed: int, height: int = 0, width: int = 0) -> Feed:
    """Seeded input of normally distributed numbers: `image` (batch, C, H, W) float32, at the card's size unless another
    is given. If the network also takes `image_size` (batch, 2), it says that nothing is padding."""
    height, width = height or card.input.height, width or card.input.width
    shape = (batch, card.architecture.image_channels, height, width)
    feed = {INPUT: np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)}
    if IMAGE_SIZE in card.architecture.inputs:
        feed[IMAGE_SIZE] = np.tile(np.array([height, width], np.float32), (batch, 1))
    return feed
