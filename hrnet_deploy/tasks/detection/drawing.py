"""Draws boxes, each with its class and score, in one colour per class."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.tasks.classes import Classes, colours_of
from hrnet_deploy.tasks.images import Image

FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_boxes(image: Image, boxes: NDArray, scores: NDArray, labels: NDArray, classes: Classes) -> None:
    """Draw on `image` (H, W, 3) in place: boxes (n, 4) as x1, y1, x2, y2 in pixels, scores (n,), labels (n,). The best
    score is drawn last and so on top. Lines and letters grow with the size of the image."""
    colours = colours_of(classes)
    scale = float(np.clip(max(image.shape[:2]) / 1000, 0.4, 2.0))
    thick = max(1, round(2 * scale))
    for box, score, label in sorted(zip(boxes, scores, labels, strict=True), key=lambda each: float(each[1])):
        corner, far = np.round(box[:2]).astype(int), np.round(box[2:]).astype(int)
        colour = colours[int(label)]
        cv2.rectangle(image, corner.tolist(), far.tolist(), colour, thick, cv2.LINE_AA)
        text = f"{classes.names[int(label)]} {score:.2f}"
        (width, height), base = cv2.getTextSize(text, FONT, 0.55 * scale, thick)
        x = int(np.clip(corner[0], 0, max(image.shape[1] - width, 0)))
        y = int(max(corner[1], height + base))  # above the box, or inside it if there is no room
        cv2.rectangle(image, (x, y - height - base), (x + width, y), colour, -1)
        ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 140 else (255, 255, 255)
        cv2.putText(image, text, (x, y - base // 2 - 1), FONT, 0.55 * scale, ink, max(1, thick // 2), cv2.LINE_AA)
