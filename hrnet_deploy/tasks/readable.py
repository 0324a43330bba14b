"""Leaves images that cannot be read out of a data set, before anything is computed on it, and lists them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hrnet_deploy.errors import BadInput, Damaged
from hrnet_deploy.results.base import Skipped
from hrnet_deploy.tasks.channels import read_array
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.images import ARRAY, read_image, read_labels
from hrnet_deploy.threads import available_threads


def readable(dataset: Dataset, strict: bool = False) -> Dataset:
    """The images of a data set that can be read, with their annotations alone, so that no score counts a missing image
    as one in which nothing was found. The others are in `skipped`.

    Every image is decoded once for this, and label maps too. Raises BadInput if no image can be read, or with `strict`
    if one cannot.
    """
    with ThreadPoolExecutor(available_threads()) as pool:
        reasons = list(pool.map(_reason_of, dataset.items))
    if not any(reasons):
        return dataset
    if strict:
        raise BadInput(next(filter(None, reasons)))
    skipped = [skipped_file(i.path, r) for i, r in zip(dataset.items, reasons, strict=True) if r]
    require_some(len(dataset) - len(skipped), skipped)
    kept = dataset.only(number for number, reason in enumerate(reasons) if not reason)
    return dataclasses.replace(kept, skipped=(*dataset.skipped, *skipped))


def require_some(left: int, skipped: Iterable[Skipped]) -> None:
    """Raises BadInput if no image is left, with the reason of the first one."""
    first = next(iter(skipped), None)
    if not left and first is not None:
        raise BadInput(f"none of the images can be read: {first.file} {first.reason}")


def skipped_file(path: Path, sentence: str) -> Skipped:
    """An image that cannot be read, from the sentence that refuses it."""
    return Skipped(str(path), sentence.removeprefix(f"{path} "))


def _reason_of(item: Item) -> str:
    reasons = (_reason(path, *_state(path), path == item.labels) for path in (item.path, item.labels) if path)
    return next(filter(None, reasons), "")


def _state(path: Path) -> tuple[int, int]:
    """The size and the time of change of a file."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=100_000)  # jobs that use the same images in several stages decode them once
def _reason(path: Path, size: int, changed: int, labels: bool) -> str:
    """Why a file cannot be read; empty if it can. A label map of another form than expected is no damage."""
    try:
        if labels:
            read_labels(path)
        elif path.suffix.lower() == ARRAY:
            read_array(path)
        else:
            read_image(path)
    except Damaged as error:
        return str(error)
    except BadInput:
        return ""  # refused when the maps are looked at
    return ""
