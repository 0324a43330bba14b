"""The labels of a pose network: its keypoints."""

from __future__ import annotations

from dataclasses import dataclass


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
    sigmas: tuple[float, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    box_padding: float = 1.25
    decode: str = "quarter_offset"
    flip_shift: bool = True
