"""The labels of a landmark network: the landmarks of a face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.pose.labels import DECODINGS, GEOMETRIES, Keypoints

FACE = "face"  # the decoding and the geometry of the official repository
FACES = ("face", "faces", "head")  # what the category is called whose boxes are looked at


@dataclass(frozen=True)
class Landmarks(Keypoints):
    """The landmarks of a data set, see `Keypoints`, and by what errors are divided in its metric NME.

    normaliser: the two landmarks whose distance in the annotation it is, by their numbers, such as the outer corners of
    the eyes. Empty for the size of the face: box_size in an annotation, otherwise the root of the area of its box."""

    decodings: ClassVar[tuple[str, ...]] = (FACE, *DECODINGS)
    geometries: ClassVar[tuple[str, ...]] = (FACE, *GEOMETRIES)
    decode: str = FACE
    boxes_of: tuple[str, ...] = FACES
    normaliser: tuple[int, ...] = ()

    @property
    def metric_name(self) -> str:
        return self.metric or "NME"

    @property
    def crop_geometry(self) -> str:
        return self.geometry or (FACE if self.decode == FACE else super().crop_geometry)

    @property
    def shifts_mirrored(self) -> bool:
        if self.flip_shift is None and self.decode == FACE:
            return False  # targets that are rounded down are at mirrored places in a mirror image
        return super().shifts_mirrored

    def settled(self) -> tuple[Self, Sequence[str]]:
        """See `Keypoints.settled`."""
        known = range(len(self.names))
        if len(self.normaliser) not in (0, 2) or not set(self.normaliser) <= set(known):
            raise BadInput(
                f"landmarks.normaliser is {list(self.normaliser)} — give the numbers of two landmarks, 0 to "
                f"{len(known) - 1}, or none for the size of the face"
            )
        return super().settled()
