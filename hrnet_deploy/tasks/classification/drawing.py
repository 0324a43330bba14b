"""Draws the best classes of an image beside it, each with a bar as long as its probability."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hrnet_deploy.tasks.classification.labels import ImageClasses
from hrnet_deploy.tasks.images import Image

FONT, MARGIN = cv2.FONT_HERSHEY_SIMPLEX, 8
PAPER, INK, BAR = (250, 250, 250), (30, 30, 30), (66, 133, 244)
LONGEST = 24  # characters of a name


def draw_classes(image: Image, found: Sequence[tuple[str, float]], classes: ImageClasses) -> Image:
    """The image (H, W, 3) with a panel to its right: a line for each class that was found, with its probability. For
    images of one size the panel always has the same width, so that frames can be joined to a video."""
    height = len(image)
    scale = float(np.clip(height / 700, 0.35, 1.2))
    line = round(36 * scale)
    names = [_short(n) for n in classes.names]
    widest = max(cv2.getTextSize(f"{n} 100%", FONT, scale, 1)[0][0] for n in {max(names, key=len), *names[:50]})
    panel = np.full((height, widest + 4 * MARGIN, 3), PAPER, np.uint8)
    for row, (name, probability) in enumerate(found[: max((height - MARGIN) // line, 1)]):
        bottom = MARGIN + (row + 1) * line
        right = MARGIN + round((panel.shape[1] - 2 * MARGIN) * probability)
        cv2.rectangle(panel, (MARGIN, bottom - max(round(6 * scale), 2)), (right, bottom), BAR, -1)
        text = f"{_short(name)} {100 * probability:.0f}%"
        cv2.putText(panel, text, (MARGIN, bottom - round(10 * scale)), FONT, scale, INK, 1, cv2.LINE_AA)
    return np.ascontiguousarray(np.concatenate([image, panel], 1), np.uint8)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 3] + "..."
