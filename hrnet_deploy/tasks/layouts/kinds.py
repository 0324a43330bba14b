"""What a layout of a public data set says, and what is found of one in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.images import IMAGE_SUFFIXES, is_visible

Values = tuple[int, ...]  # the class that each value of a label map stands for, (256,)


@dataclass(frozen=True)
class LabelMaps:
    """Label maps that lie apart from their images.

    folders: where they are; a map has the place in it and the name that its image has among the images, with
    `image_end` replaced by `end`. names: a file with the names of a split, where the folder has more. values: from the
    number of a network's classes, the class of each value, or None where values are classes; for numbers of classes
    that the data set does not have, it is not called. counts: the numbers of classes that the data set has."""

    folders: tuple[str, ...]
    counts: tuple[int, ...]
    end: str = ".png"
    image_end: str = ""
    names: str = ""
    values: Callable[[int], Values | None] = lambda count: None


@dataclass(frozen=True)
class Layout:
    """A public data set: what it is called, its name in datasets.yaml, the task, what its site calls each split (the
    first is taken unless another is asked for), the folders of its images, and its annotations: files, label maps, or
    nothing where the images are in folders of classes, which are called as `folders_of` says (a pattern)."""

    title: str
    dataset: str
    task: str
    splits: Mapping[str, str]
    images: tuple[str, ...]
    annotations: tuple[str, ...] = ()
    folders_of: str = field(default="", kw_only=True)
    maps: LabelMaps | None = field(default=None, kw_only=True)

    def at(self, root: Path, split: str) -> Found | None:
        """A split of the data set in a folder, None where it is not there."""
        called = self.splits[split]
        images = _first(root, self.images, called, Path.is_dir)
        if images is None:
            return None
        if self.maps is not None:
            folder = _first(root, self.maps.folders, called, Path.is_dir)
            return None if folder is None else Found(self, split, images, folder)
        file = _first(root, self.annotations, called, Path.is_file)
        classes = self.folders_of and any(images.glob(self.folders_of))
        return Found(self, split, images, file) if file or classes else None


@dataclass(frozen=True)
class Found:
    """A split of a public data set: the folder of its images, and its annotations, if it has some: a file, or the
    folder of its label maps; `values` is the class of each value in these, unless values are classes."""

    layout: Layout
    split: str
    images: Path
    annotations: Path | None
    values: Values | None = None

    @property
    def said(self) -> str:
        """What was recognised."""
        return f"{self.layout.title}, {self.split}"

    def labelled(self) -> Iterator[tuple[Path, Path | None]]:
        """Every image of a split with label maps, and its map if it is there."""
        maps = self.layout.maps
        assert maps is not None and self.annotations is not None
        known = self._names(maps)
        for path in nested_images(self.images):
            if not path.name.endswith(maps.image_end) or (known is not None and path.stem not in known):
                continue
            stem = path.name.removesuffix(maps.image_end or path.suffix)
            place = self.annotations / path.relative_to(self.images).parent / f"{stem}{maps.end}"
            yield path, place if place.is_file() else None

    def _names(self, maps: LabelMaps) -> set[str] | None:
        """The names of the split's images, where a file lists them."""
        if not maps.names or self.annotations is None:
            return None
        file = self.annotations.parent / maps.names.format(split=self.layout.splits[self.split])
        if not file.is_file():
            raise BadInput(
                f"{file} is not there — it lists the images of {self.said}; get it from the site of the data set"
            )
        return set(file.read_text(encoding="utf-8", errors="replace").split())


def _first(root: Path, places: Sequence[str], split: str, there: Callable[[Path], bool]) -> Path | None:
    return next((p for place in places if there(p := root / place.format(split=split))), None)


def nested_images(folder: Path) -> list[Path]:
    """The image files of a folder and of those in it, sorted by their paths."""
    return sorted(p for p in folder.rglob("*") if is_visible(p, IMAGE_SUFFIXES))
