"""Draws a label map over its image, next to a legend of the classes that occur."""

from __future__ import annotations

import cv2
import numpy as np

from hrnet_deploy.tasks.classes import Classes, colours_of
from hrnet_deploy.tasks.images import Image, Labels

OPACITY = 0.55
FONT, MARGIN = cv2.FONT_HERSHEY_SIMPLEX, 8
PAPER, INK = (250, 250, 250), (30, 30, 30)


def draw_labels(image: Image, labels: Labels, classes: Classes) -> Image:
    """The image (H, W, 3) under its labels (H, W), with a legend of its classes to the right, the largest first. For
    images of one size the legend always has the same width, so that frames can be joined to a video."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(classes.names)] = colours_of(classes)
    mixed = cv2.addWeighted(image, 1 - OPACITY, table[labels], OPACITY, 0)
    return np.ascontiguousarray(np.concatenate([mixed, _legend(labels, classes, table, len(image))], 1), np.uint8)


def _legend(labels: Labels, classes: Classes, table: Image, height: int) -> Image:
    """(height, width, 3): one line per class, for as many as there is room."""
    scale = float(np.clip(height / 700, 0.35, 1.2))
    line = round(32 * scale)
    swatch = round(18 * scale)
    widest = max(cv2.getTextSize(f"{n} 100%", FONT, scale, 1)[0][0] for n in classes.names)
    panel = np.full((height, widest + swatch + 3 * MARGIN, 3), PAPER, np.uint8)
    areas = np.bincount(labels.ravel(), minlength=len(classes.names))
    shown = [i for i in np.argsort(-areas, kind="stable") if areas[i]]
    for row, i in enumerate(shown[: max((height - MARGIN) // line, 1)]):
        top = MARGIN + row * line
        cv2.rectangle(panel, (MARGIN, top), (MARGIN + swatch, top + swatch), table[i].tolist(), -1)
        text = f"{classes.names[i]} {100 * areas[i] / labels.size:.0f}%"
        cv2.putText(panel, text, (2 * MARGIN + swatch, top + swatch - 2), FONT, scale, INK, 1, cv2.LINE_AA)
    return panel
