"""The input image of a network: its size, its channels, and how pixel values are normalised."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hrnet_deploy.architecture.base import Fit
from hrnet_deploy.errors import BadInput
from hrnet_deploy.fields import made, within
from hrnet_deploy.normalisation import in_unit_range

COLOURS = ("red", "green", "blue")
MOST_CHANNELS = 4  # of an image: OpenCV cuts crops of up to so many
GREY_MEAN, GREY_STD = 0.449, 0.226  # of a channel whose statistics are not known: the means over ImageNet's colours
LARGEST = 2**16  # side of an input, in pixels


@dataclass(frozen=True)
class Input:
    """The input image: `height` and `width` in pixels; `mean` and `std` of pixel values scaled to 0..1, in the order of
    `colour` (RGB or BGR).

    `fit` says how an image of another size is brought to that size. `crop`: the task cuts out one crop per result.
    `stretch`: resized without keeping its proportions. `pad`: resized with its proportions, and the rest filled up.
    `place`: not resized, unless it is larger than the input, and the rest filled up.
    `centre`: resized with its proportions, and the centre of it cut out.
    With `longest`, no side of a padded image takes more pixels than that.

    With `centre`, the part that is cut out has `crop_ratio` of the height or of the width of the resized image: 224 of
    256 is 0.875. Its pixels are computed by `interpolation`, with the smoothing of Pillow, as in training.

    `channels` names what the channels of the image are where they are not the three colours, such as (grey,) or (red,
    green, blue, depth), in the order of the network; `mean` and `std` have one value for each."""

    height: int = within(1, LARGEST, "pixels")
    width: int = within(1, LARGEST, "pixels")
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    colour: Literal["RGB", "BGR"] = "RGB"
    fit: Fit = "crop"
    longest: int | None = within(1, LARGEST, "pixels", None)
    channels: tuple[str, ...] = ()
    crop_ratio: float = within(0.05, 1, "a share of the resized image", 0.875)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    @property
    def channel_names(self) -> tuple[str, ...]:
        """What each channel of the network's input is, in its order."""
        return self.channels or (COLOURS if self.colour == "RGB" else COLOURS[::-1])

    @property
    def order(self) -> tuple[int, ...]:
        """The channel of an image that is each channel of the input. An image has the colours first, as red, green,
        blue, and then the others in the order of `channels`."""
        names = self.channel_names
        image = [c for c in COLOURS if c in names] + [n for n in names if n not in COLOURS]
        return tuple(image.index(n) for n in names)

    @property
    def title(self) -> str:
        """The channels as text: RGB, BGR, or their names."""
        return ", ".join(self.channels) or self.colour

    def for_channels(self, count: int) -> Input:
        """The same input for a network of so many channels. What the channels are is assumed: grey for one; the
        colours and a fourth channel for four."""
        if count == len(self.channel_names):
            return self
        if count == 1:
            return dataclasses.replace(self, mean=(GREY_MEAN,), std=(GREY_STD,), colour="RGB", channels=("grey",))
        known = COLOURS if count > len(COLOURS) else ()
        others = tuple(f"channel_{i}" for i in range(len(known) + 1, count + 1))
        plain = Input(self.height, self.width)
        return dataclasses.replace(
            self,
            mean=(*plain.mean[: len(known)], *(GREY_MEAN for _ in others)),
            std=(*plain.std[: len(known)], *(GREY_STD for _ in others)),
            colour="RGB",
            channels=(*known, *others),
        )

    @property
    def size(self) -> str:
        """Height and width as text: 256x192."""
        return f"{self.height}x{self.width}"


def read_input(values: Any) -> tuple[Input, list[str]]:
    """The input of a card in the units of `Input`, and what was converted."""
    if isinstance(values, Mapping):
        as_written = {"colour": str.upper, "fit": str.lower}
        values = {k: as_written[k](v) if k in as_written and isinstance(v, str) else v for k, v in values.items()}
    spec: Input = made(Input, values, "input")
    mean, std, converted = in_unit_range(spec.mean, spec.std)
    return dataclasses.replace(spec, mean=mean, std=std), [converted] if converted else []


def check_channels(spec: Input, count: int) -> None:
    """Raises BadInput where the input of a card does not have the channels of its network, or not a mean and a standard
    deviation for each."""
    names = spec.channel_names
    if len(names) != count:
        example = "[grey]" if count == 1 else "[red, green, blue, depth]"
        raise BadInput(
            f"input has {len(names)} channels ({', '.join(names)}), and its network takes images of {count} — name "
            f"them under input, such as channels: {example}"
        )
    if len(set(names)) != count:
        raise BadInput(f"input.channels has a name twice ({', '.join(names)}) — give each channel a name of its own")
    for name, values in (("mean", spec.mean), ("std", spec.std)):
        if len(values) != count:
            raise BadInput(
                f"input.{name} has {len(values)} values for the {count} channels {spec.title} — give one for each"
            )
