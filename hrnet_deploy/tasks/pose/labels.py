"""The labels of a pose network: its keypoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from hrnet_deploy.errors import BadInput
from hrnet_deploy.fields import within
from hrnet_deploy.tasks.pairs import checked_flip_pairs, counted_from_0

DECODINGS = ("quarter_offset", "dark", "udp")  # see tasks.pose.decoding
GEOMETRIES = ("standard", "udp")  # see tasks.geometry
PEOPLE = ("person", "people", "human", "pedestrian")  # what the category is called whose boxes are looked at


@dataclass(frozen=True)
class Keypoints:
    """The keypoints of a data set and how they are predicted.

    names: in the order of the heatmaps. flip_pairs: pairs of numbers that swap in a mirror image. sigmas: the constants
    of object keypoint similarity (OKS), one per keypoint, empty if the data set has none. skeleton: pairs of
    keypoints that are joined by a line. box_padding: by how much a person's box is enlarged before it is cropped.

    decode: how a position is read from a heatmap, one of `decodings`. geometry: how a box becomes a crop, one of
    `geometries`; that of the decoding unless given. flip_shift: whether a flip test moves the heatmaps of the mirror
    image by one pixel to align them; unless given, in all geometries but `udp`. blur: the side of the Gaussian kernel
    that `dark` and `udp` smooth heatmaps with, in pixels of the heatmap.

    boxes_of: the names of the category whose boxes are looked at; empty for all categories. parts: the lists that an
    annotation has for keypoints, and how many each holds, where there are several. metric: AP, PCKh or PCK; AP where
    there are sigmas and PCK where there are none unless given. area_of_box: which share of its box is the area of a
    person in the data set's own evaluation, where that does not take the annotated area. nothing_swaps: the keypoints
    of a mirror image are the same ones, as those of a hand, so a flip test needs no pairs."""

    decodings: ClassVar[tuple[str, ...]] = DECODINGS
    geometries: ClassVar[tuple[str, ...]] = GEOMETRIES
    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = within(1e-6, 1, "a share of the size of a person", ())
    skeleton: tuple[tuple[int, int], ...] = ()
    box_padding: float = within(1, 10, "a factor (1.25 enlarges a box by a quarter)", 1.25)
    decode: str = "quarter_offset"
    flip_shift: bool | None = None
    geometry: str = ""
    blur: int = within(1, 99, "pixels of the heatmap", 11)
    boxes_of: tuple[str, ...] = PEOPLE
    parts: tuple[tuple[str, int], ...] = ()
    metric: str = ""
    area_of_box: float | None = within(0.01, 1, "a share of the box", None)
    nothing_swaps: bool = False

    @property
    def metric_name(self) -> str:
        """The metric by which the keypoints are scored."""
        return self.metric or ("AP" if self.sigmas else "PCK")

    @property
    def crop_geometry(self) -> str:
        """How a box becomes a crop: the given geometry, or the one with which networks of this decoding are trained."""
        return self.geometry or ("udp" if self.decode == "udp" else "standard")

    @property
    def mirrors(self) -> bool:
        """Whether it is known what swaps in a mirror image, as a flip test needs."""
        return bool(self.flip_pairs) or self.nothing_swaps

    @property
    def shifts_mirrored(self) -> bool:
        """Whether a flip test moves the heatmaps of the mirror image by one pixel."""
        return self.crop_geometry != "udp" if self.flip_shift is None else self.flip_shift

    def decoded(self, decode: str = "", geometry: str = "") -> Self:
        """The same keypoints by another decoding or in another geometry. A flip test then shifts as is usual there."""
        kept = "" if decode else self.geometry
        made = dataclasses.replace(self, decode=decode or self.decode, geometry=geometry or kept)
        return made if made.crop_geometry == self.crop_geometry else dataclasses.replace(made, flip_shift=None)

    def settled(self) -> tuple[Self, Sequence[str]]:
        """The same with every pair counted from 0, and what was converted. Raises BadInput where lists do not fit the
        names."""
        if len(self.sigmas) not in (0, len(self.names)):
            raise BadInput(
                f"keypoints.sigmas has {len(self.sigmas)} values, and there are {len(self.names)} keypoints — give one "
                "for each, or none"
            )
        lists, remarks = counted_from_0({"flip_pairs": self.flip_pairs, "skeleton": self.skeleton}, self.names)
        checked_flip_pairs(lists["flip_pairs"], self.names)
        flip_pairs, skeleton = lists["flip_pairs"], lists["skeleton"]
        return dataclasses.replace(self, flip_pairs=flip_pairs, skeleton=skeleton), remarks
