"""The labels of a pose network: its keypoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from hrnet_deploy.errors import BadInput
from hrnet_deploy.fields import within
from hrnet_deploy.tasks.pairs import checked_flip_pairs, counted_from_0


@dataclass(frozen=True)
class Keypoints:
    """The keypoints of a data set and how they are predicted.

    names: in the order of the heatmaps. flip_pairs: pairs of numbers that swap in a mirror image. sigmas: the constants
    of object keypoint similarity (OKS), one per keypoint, empty if the data set has none. skeleton: pairs of
    keypoints that are joined by a line. box_padding: by how much a person's box is enlarged before it is cropped.
    decode: how a position is read from a heatmap. flip_shift: whether a flip test moves the heatmaps of the mirror
    image by one pixel to align them."""

    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = within(1e-6, 1, "a share of the size of a person", ())
    skeleton: tuple[tuple[int, int], ...] = ()
    box_padding: float = within(1, 10, "a factor (1.25 enlarges a box by a quarter)", 1.25)
    decode: str = "quarter_offset"
    flip_shift: bool = True

    def settled(self) -> tuple[Keypoints, Sequence[str]]:
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
