"""The labels of networks that give an image one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hrnet_deploy.errors import BadInput

BEST = 5  # so many classes are kept of each image


@dataclass(frozen=True)
class ImageClasses:
    """The classes of a data set. names: in the order of the network's output. folders: how the data set calls the
    folder of each class, where that is not its name (n01440764 is the tench of ImageNet)."""

    names: tuple[str, ...]
    folders: tuple[str, ...] = ()

    def settled(self) -> tuple[ImageClasses, Sequence[str]]:
        """The same. Raises BadInput where the folders do not fit the names."""
        if len(self.folders) not in (0, len(self.names)):
            raise BadInput(
                f"classes.folders has {len(self.folders)} entries, and there are {len(self.names)} classes — give one "
                "for each, or none"
            )
        if len(set(self.folders)) != len(self.folders):
            raise BadInput("classes.folders has a name twice — give every class a folder of its own")
        return self, ()
