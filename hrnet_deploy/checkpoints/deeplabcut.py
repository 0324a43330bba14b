"""What DeepLabCut 3 writes beside a snapshot: the names of its body parts, and how images are prepared and decoded.

Source: DeepLabCut 3, pose_estimation_pytorch/config (pytorch_config.yaml), data/transforms.py (build_transforms).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hrnet_deploy.architecture import DeepLabCut
from hrnet_deploy.architecture.base import Fit
from hrnet_deploy.cards import UNKNOWN, ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.image_input import Input
from hrnet_deploy.registry import task_entry

CONFIG = "pytorch_config.yaml"
MOST_BYTES = 1 << 20  # of a configuration; real ones have some kilobytes
SIGMA = 0.1  # of object keypoint similarity for every body part, as DeepLabCut evaluates


@dataclass(frozen=True)
class Beside:
    """The architecture and the card of a snapshot, and what is assumed about it, with the cure; mostly empty."""

    architecture: DeepLabCut
    card: ModelCard
    assumption: str


def beside(path: Path, architecture: DeepLabCut, card: ModelCard) -> Beside:
    """The facts of the snapshot `path` from the configuration in its folder. `card` has what is assumed without one.

    Raises BadInput where there is a configuration that is none, or of another network."""
    config = path.with_name(CONFIG)
    if not config.is_file():
        names = tuple(f"bodypart_{i}" for i in range(architecture.keypoints))
        plain = _card(card, architecture, names, card.input, UNKNOWN)
        return Beside(
            architecture,
            plain,
            f"there is no {CONFIG} beside it, so its body parts are numbered, and its input is assumed to be "
            f"{_input_title(plain.input)} — copy that file into the folder of the snapshot",
        )
    values = _Values(_read(config), config)
    _refuse_other_methods(values)
    spec, assumption = _input(values, architecture, card.input)
    names = _names(values, architecture)
    known = dataclasses.replace(
        architecture,
        locref_std=_locref_std(values),
        scores=_scores(values),
    )
    return Beside(known, _card(card, known, names, spec, _project(values)), assumption)


def _card(card: ModelCard, architecture: DeepLabCut, names: tuple[str, ...], spec: Input, dataset: str) -> ModelCard:
    labels = task_entry(architecture.task).labels(names, sigmas=(SIGMA,) * len(names), box_padding=1.0)
    name = f"deeplabcut_{architecture.scale}_{len(names)}keypoints_{spec.size}"
    return dataclasses.replace(
        card, name=name, architecture=architecture, input=spec, labels=labels, dataset=dataset, published=(), note=""
    )


class _Values:
    """The values of a configuration, by keys that lead to them. `path` is named in errors."""

    def __init__(self, values: Mapping[str, Any], path: Path) -> None:
        self.values, self.path = values, path

    def get(self, kind: type, default: Any, *keys: str) -> Any:
        """The value under `keys`, `default` where there is none. Raises BadInput where it is of another kind."""
        value: Any = self.values
        for key in keys:
            if not isinstance(value, Mapping):
                value = None
                break
            value = value.get(key)
        if value is None:
            return default
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise BadInput(
                f"{self.path} has {'.'.join(keys)}: {str(value)[:60]!r}, expected {kind.__name__} — correct it"
            )
        return value


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    if path.stat().st_size > MOST_BYTES:
        raise BadInput(f"{path} is no configuration of DeepLabCut: it has over a megabyte — copy that of the snapshot")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{path} cannot be read as YAML ({first[:120]}) — copy that of the snapshot again") from error
    if not isinstance(values, Mapping):
        raise BadInput(f"{path} is no configuration of DeepLabCut: it has no keys — copy that of the snapshot")
    return values


def _refuse_other_methods(values: _Values) -> None:
    method = str(values.get(str, "bu", "method")).lower()
    if method not in ("bu", "td"):
        raise BadInput(
            f"{values.path} is of the method {method!r}, which is not supported — this tool takes bu (bottom-up, one "
            "animal) and td (top-down)"
        )
    predictor = values.get(str, "HeatmapPredictor", "model", "heads", "bodypart", "predictor", "type")
    if predictor != "HeatmapPredictor":
        raise BadInput(
            f"{values.path} decodes with {predictor}, which is not supported — this tool takes HeatmapPredictor"
        )


def _names(values: _Values, architecture: DeepLabCut) -> tuple[str, ...]:
    names = tuple(str(n) for n in values.get(list, [], "metadata", "bodyparts"))
    if not names:
        return tuple(f"bodypart_{i}" for i in range(architecture.keypoints))
    if len(names) != architecture.keypoints:
        raise BadInput(
            f"{values.path} names {len(names)} body parts, and the snapshot beside it has {architecture.keypoints} — "
            "keep a snapshot beside the configuration with which it was trained"
        )
    return names


def _locref_std(values: _Values) -> float:
    predictor = ("model", "heads", "bodypart", "predictor")
    if not values.get(bool, True, *predictor, "location_refinement"):
        return 0.0
    std: float = values.get(float, 7.2801, *predictor, "locref_std")
    return std


def _scores(values: _Values) -> Any:
    """What a score is. Where there is a predictor it takes the sigmoid unless told otherwise, as in DeepLabCut. Where
    there is none, the scores of DeepLabCut's own configurations are assumed, which are clipped."""
    predictor = ("model", "heads", "bodypart", "predictor")
    told = bool(values.get(dict, {}, *predictor))
    if values.get(bool, told, *predictor, "apply_sigmoid"):
        return "sigmoid"
    return "clipped" if values.get(bool, not told, *predictor, "clip_scores") else "raw"


def _project(values: _Values) -> str:
    """The name of the project, which is that of its folder."""
    path = values.get(str, "", "metadata", "project_path")
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] or UNKNOWN


def _input(values: _Values, architecture: DeepLabCut, assumed: Input) -> tuple[Input, str]:
    """The input of the network, and what is assumed about it."""
    test = ("data", "inference")
    mean, std = assumed.mean, assumed.std
    if not values.get(bool, True, *test, "normalize_images"):
        unit = values.get(bool, False, *test, "scale_to_unit_range")
        mean, std = (0.0,) * len(mean), ((1.0 if unit else 1 / 255),) * len(std)
    colours: dict[str, Literal["RGB", "BGR"]] = {"RGB": "RGB", "BGR": "BGR"}
    colour = str(values.get(str, "RGB", "data", "colormode")).upper()
    if colour not in colours:
        raise BadInput(f"{values.path} has data.colormode: {colour!r} — expected RGB or BGR")
    height, width, fit, assumption = _size(values, architecture)
    spec = dataclasses.replace(assumed, height=height, width=width, mean=mean, std=std, colour=colours[colour], fit=fit)
    return spec, assumption


def _size(values: _Values, architecture: DeepLabCut) -> tuple[int, int, Fit, str]:
    """Height, width and fit of the input, and what is assumed about them."""
    test = ("data", "inference")
    if values.get(str, "bu", "method").lower() == "td":
        crop = (*test, "top_down_crop")
        if not values.get(bool, True, *crop, "crop_with_context"):
            raise BadInput(
                f"{values.path} has crop_with_context: false, which is not supported — this tool cuts boxes out with "
                "their surroundings, as DeepLabCut's top-down networks do unless told otherwise"
            )
        return *_sides(values, architecture, (256, 256), crop), "crop", ""
    if values.get(dict, None, *test, "resize"):
        fit: Fit = "pad" if values.get(bool, True, *test, "resize", "keep_ratio") else "stretch"
        return *_sides(values, architecture, (448, 448), (*test, "resize")), fit, ""
    height, width = _sides(values, architecture, (448, 448), ("data", "train", "crop_sampling"))
    return (
        height,
        width,
        "place",
        f"DeepLabCut runs this network on images of any size, and a file has one input size, assumed to be "
        f"{height}x{width}; a larger image is scaled down to it — export with --size and the height and width of your "
        f"images, as multiples of {architecture.divisor}",
    )


def _sides(
    values: _Values, architecture: DeepLabCut, default: tuple[int, int], keys: tuple[str, ...]
) -> tuple[int, int]:
    """Height and width under some keys, as the next multiples of what the network takes."""
    step = architecture.divisor
    sides = [values.get(int, d, *keys, side) for side, d in zip(("height", "width"), default, strict=True)]
    if min(sides) < 1 or max(sides) > 1 << 14:
        raise BadInput(f"{values.path} has {'.'.join(keys)} of {sides[0]}x{sides[1]} pixels — correct it")
    return -(-sides[0] // step) * step, -(-sides[1] // step) * step


def _input_title(spec: Input) -> str:
    what = "boxes cut out of" if spec.fit == "crop" else "whole"
    return f"{spec.size}, {what} images in {spec.title} normalised as for ImageNet"
