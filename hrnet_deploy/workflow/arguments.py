"""Checks of a request, so that a value that makes no sense is refused before any work starts."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import require_file
from hrnet_deploy.registry import task_entry
from hrnet_deploy.threads import available_threads

if TYPE_CHECKING:
    from hrnet_deploy.tasks.detections import Boxes

ONNX = (".onnx",)


def require_count(name: str, value: int | None, least: int = 1) -> None:
    """Raises BadInput unless a count is at least `least`. None (not given) is accepted."""
    if value is not None and value < least:
        raise BadInput(f"{name} {value} is too small — give a whole number of {least} or more")


def require_amount(name: str, value: float | None, above_zero: bool = False) -> None:
    """Raises BadInput unless a number is finite and 0 or more (over 0 with `above_zero`). None is accepted."""
    if value is None:
        return
    if not math.isfinite(value) or value < 0 or (above_zero and value == 0):
        raise BadInput(f"{name} {value:g} cannot be used — give {'a number over 0' if above_zero else '0 or more'}")


def require_threads(value: int | None) -> None:
    """Raises BadInput for fewer threads than one, and for more than can be used here. None is accepted."""
    require_count("--threads", value)
    if value is not None and value > (cores := available_threads()):
        raise BadInput(
            f"--threads {value} is more than the {cores} that can be used here — give {cores} or fewer, because "
            "threads that share a core wait for each other"
        )


def require_suffix(path: Path, suffixes: Sequence[str], what: str) -> None:
    """Raises BadInput for the name of an output that no command could read later."""
    if path.suffix.lower() not in suffixes:
        ending = path.suffix or f"no suffix ({path.name})"
        raise BadInput(f"the name of {what} ends in {' or '.join(suffixes)}, not in {ending} — name it X{suffixes[0]}")


def require_one_of(known: Collection[str], names: Sequence[str], what: str) -> None:
    """Raises BadInput for a name that is not known."""
    for name in names:
        if name not in known:
            raise BadInput(f"there is no {what} {name!r} — choose among {', '.join(known)}")


def require_annotations(
    annotations: Path | None,
    card: ModelCard,
    subject: object,
    categories: Sequence[str] = (),
    boxes: Boxes | None = None,
) -> None:
    """Raises BadInput where annotations are not of the form that the task of a card takes: a file, or a folder of label
    maps; and where categories are chosen or boxes given for a task that has none. `subject` is what the error names.
    None is accepted."""
    entry = task_entry(card.task)
    if boxes is not None:
        entry.require("--boxes", subject)
    if categories:
        entry.require("--category", subject)
    if annotations is None:
        return
    if not entry.label_maps:
        if annotations.is_dir():
            raise BadInput(
                f"--annotations {annotations} is a folder, and {subject} is for {entry.name} — give a file of "
                "annotations"
            )
        require_file(annotations)
    elif not annotations.is_dir():
        raise BadInput(
            f"--annotations {annotations} is not a folder, and {subject} is for {entry.name} — give a folder of label "
            "maps, one PNG for each image"
        )
