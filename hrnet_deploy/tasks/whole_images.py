"""Data sets that say of every image what the whole of it shows: a folder with a folder for each class, as ImageNet's,
or a list of images and classes. Both are made into COCO's form, with categories and without boxes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import require_file
from hrnet_deploy.tasks.faces import is_faces
from hrnet_deploy.tasks.images import ARRAY, IMAGE_SUFFIXES, is_visible

LISTS = (".txt", ".csv", ".tsv", ".lst")
_SUFFIXES = "|".join(re.escape(s.removeprefix(".")) for s in (*sorted(IMAGE_SUFFIXES), ARRAY))
LINE = re.compile(
    rf"""\s*["']?(?P<path>.+?\.(?:{_SUFFIXES}))["']?(?:\s*[,;]\s*|\s+)(?P<label>\S.*?)\s*""", re.IGNORECASE
)
LONGEST = 2**28  # bytes of a list


@dataclass(frozen=True)
class WholeImages:
    """Images and the class of each. root: their folder. names: the names of the classes, sorted. labels: the number of
    the class of each image in `names`. missing: how many images of a list there are not."""

    root: Path
    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    names: tuple[str, ...]
    missing: int = 0

    @classmethod
    def of(cls, root: Path, pairs: Sequence[tuple[Path, str]], missing: int = 0) -> WholeImages:
        """From the path and the class of each image."""
        names = sorted({name for _, name in pairs}, key=lambda n: (len(n), n) if n.isdecimal() else (0, n))
        numbers = {name: i for i, name in enumerate(names)}
        return cls(root, tuple(p for p, _ in pairs), tuple(numbers[n] for _, n in pairs), tuple(names), missing)

    @property
    def shown(self) -> list[str]:
        """What results call each image: its path in the folder."""
        return [(p.relative_to(self.root) if p.is_relative_to(self.root) else p).as_posix() for p in self.paths]

    @property
    def content(self) -> dict[str, Any]:
        """The same as a COCO file has it, without boxes. Images are numbered from 1."""
        return {
            "images": [{"id": i, "file_name": n} for i, n in enumerate(self.shown, start=1)],
            "annotations": [{"image_id": i, "category_id": n} for i, n in enumerate(self.labels, start=1)],
            "categories": [{"id": i, "name": n} for i, n in enumerate(self.names)],
        }


def read_whole_images(images: Path, annotations: Path | None) -> WholeImages | None:
    """The images of a folder with a class for each; None where the data set is not of this form.

    Raises BadInput where a list has a line that is none, or names none of the images."""
    if annotations is not None:
        listed = annotations.suffix.lower() in LISTS and not is_faces(annotations)
        return _from_list(images, annotations) if listed else None
    folders = class_folders(images)
    if not folders:
        return None
    return WholeImages.of(images, [(path, folder.name) for folder in folders for path in _images_of(folder)])


def class_folders(images: Path) -> list[Path]:
    """The folders of classes in a folder: those with images, where it has no images itself and several of them."""
    if not images.is_dir() or _images_of(images, first=True):
        return []
    folders = sorted(p for p in images.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    found = [f for f in folders if _images_of(f, first=True)]
    return found if len(found) > 1 else []


def _images_of(folder: Path, first: bool = False) -> list[Path]:
    """The image files of a folder, sorted; with `first`, at most one of them."""
    found = (p for p in folder.iterdir() if is_visible(p, {*IMAGE_SUFFIXES, ARRAY}))
    return [p for p, _ in zip(found, range(1), strict=False)] if first else sorted(found)


def _from_list(images: Path, source: Path) -> WholeImages:
    require_file(source)
    if source.stat().st_size > LONGEST:
        raise BadInput(f"{source} has more than {LONGEST // 2**20} MiB — give a list of images and classes")
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except ValueError as error:
        raise BadInput(f"{source} is no text in UTF-8 — write one image and its class in each line") from error
    pairs: list[tuple[Path, str]] = []
    missing, example = 0, ""
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None:
            if not pairs and not missing and "." not in line:  # the names of the columns
                continue
            raise BadInput(
                f"{source} has the line {number} {line.strip()[:60]!r} — write the path of an image and its class, as "
                "in `cat/1.jpg cat`"
            )
        path = _found(images, source, match["path"])
        if path is None:
            missing, example = missing + 1, example or match["path"]
        else:
            pairs.append((path, match["label"].strip("\"'")))
    if not pairs:
        what = f"none of its {missing} images is there, such as {example[:80]}" if missing else "it has no line"
        raise BadInput(f"{source} has no image of {images}: {what} — give paths that begin in that folder")
    return WholeImages.of(images, pairs, missing)


def _found(images: Path, source: Path, name: str) -> Path | None:
    """The file of a line: in the folder of images, beside the list, or of that name in the folder of images."""
    name = name.replace("\\", "/")
    places = (images / name, source.parent / name, images / name.rsplit("/", 1)[-1])
    for place in places:
        try:
            if place.is_file():
                return place
        except OSError:  # no file can be called so
            continue
    return None
