"""Checks of the values in a request, so that a wrong one is refused before any work starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.registry import task_entry

if TYPE_CHECKING:
    from hrnet_deploy.tasks.detections import Boxes


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


def require_boxes(boxes: Boxes | None, card: ModelCard, subject: object) -> None:
    """Raises BadInput if boxes are given for a network whose task takes none. `subject` is what the error names."""
    if boxes is not None:
        task_entry(card.task).require("--boxes", subject)
