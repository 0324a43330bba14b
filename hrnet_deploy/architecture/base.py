"""What every architecture states about itself, on which the rest of the package relies."""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar, Literal, Self

from hrnet_deploy.architecture.body import INPUT, Body, Upsample

Fit = Literal["crop", "stretch", "pad", "place", "centre"]  # how an image is brought to the input (`image_input.Input`)


class Architecture(abc.ABC):
    """The shape of a network as plain data. Each family derives one frozen dataclass from this class.

    Fields hold numbers, strings, tuples and other frozen dataclasses, so that an architecture can be compared, hashed
    and written as JSON. To add a family, add one line to `hrnet_deploy.registry`.

    Class attributes that a family sets:

    * `family`: its name in cards and ONNX files. `task`: the name of the task it is for.
    * `inputs`, `outputs`: the names of the tensors it takes and gives. `image` (N, C, H, W) is the normalised image;
      `image_size` (N, 2) is the height and width of the part of it that is not padding.
    * `not_in_weights`: fields that cannot be inferred from the tensors of a checkpoint, and so need a default.
    * `oldest_opset`, `opset_reason`: the oldest ONNX opset its graph can have, and why that is so.
    * `static_reason`: why a graph of it cannot have open axes; empty if it can.
    * `image_channels`: C, the channels of the image. It is a field where the weights may have another number than 3.
    """

    family: ClassVar[str]
    task: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]] = (INPUT,)
    outputs: ClassVar[tuple[str, ...]]
    not_in_weights: ClassVar[tuple[str, ...]] = ()
    static_reason: ClassVar[str] = ""
    image_channels: int = 3
    oldest_opset: ClassVar[int] = 1
    opset_reason: ClassVar[str] = ""

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What a reader calls this network, with its size and the number of its labels."""

    @property
    @abc.abstractmethod
    def labels(self) -> int:
        """How many labels it tells apart: keypoints, classes."""

    @property
    @abc.abstractmethod
    def scale(self) -> str:
        """Its size in short, for the name of a card: w32, resnet101."""

    @property
    @abc.abstractmethod
    def divisor(self) -> int:
        """Input height and width must be multiples of this; 1 if any size fits."""

    @property
    def smallest_side(self) -> int:
        """The smallest input height and width it takes, in pixels."""
        return self.divisor

    @property
    def shared_body(self) -> object:
        """The part it has in common with networks of other tasks or with other heads, None if there is no such part.
        Cards of the same body are preferred when an unknown checkpoint needs one."""
        return None

    @property
    def usual_input(self) -> tuple[int, int, Fit] | None:
        """Height, width and `fit` (see `image_input.Input`) of the input that is assumed where no card tells it; None
        for that of the most similar card."""
        return None

    @property
    def open_upsampling(self) -> Upsample | None:
        """The rule by which branches are upsampled, if the weights do not show it; else None."""
        return None

    def with_upsampling(self, rule: Upsample) -> Self:
        """The same network with its branches upsampled by `rule`. Unchanged where `open_upsampling` is None."""
        return self

    @property
    def assumption(self) -> str:
        """What was assumed because the weights do not show it, as part of a sentence with the cure; empty where a user
        has nothing to decide."""
        return ""

    def with_defaults(self) -> Self:
        """The same network, with the default in place of everything the weights do not show. Two architectures that are
        equal after this cannot be told apart by their tensors."""
        defaults = {f.name: f.default for f in dataclasses.fields(self) if f.name in self.not_in_weights}  # type: ignore[arg-type]
        same = dataclasses.replace(self, **defaults) if defaults else self  # type: ignore[type-var]
        return same.with_upsampling(Upsample()) if self.open_upsampling else same


class HRNetArchitecture(Architecture):
    """A family whose networks have an HRNet `body`, which decides the sizes that they take."""

    body: Body

    @property
    def scale(self) -> str:
        return f"w{self.body.width}"

    @property
    def divisor(self) -> int:
        return self.body.divisor

    @property
    def shared_body(self) -> Body:
        return self.body
