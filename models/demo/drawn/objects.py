"""Objects of five classes, and backgrounds with shapes that have no class."""

from __future__ import annotations

import cv2
import numpy as np

from drawn.paint import SHIFT, Canvas, Rng, capsule, colour, ellipse, plain, rgb, shaded, textile

OBJECTS = ("ball", "crate", "sign", "plant", "bottle")


def paint_object(canvas: Canvas, rng: Rng, kind: str, x: float, y: float, size: float, owner: int) -> None:
    """Draw one object.

    Args:
        canvas: the canvas.
        rng: the random generator.
        kind: one of OBJECTS.
        x, y: the centre of the object, in pixels.
        size: its larger side, in pixels.
        owner: the number of the instance.
    """
    c, s = np.array([x, y]), size
    light = rng.normal(0, 0.6, 2)
    if kind == "ball":
        skin = textile(rng, s)
        canvas.polygon(ellipse(c, s / 2, s / 2), shaded(skin, c, s / 2, light), owner)
        canvas.polygon(ellipse(c + s * 0.15, s * 0.1, s * 0.1), plain(colour(rng)), owner)
    elif kind == "crate":
        wood = rgb(rng.uniform(120, 190), rng.uniform(85, 130), rng.uniform(40, 80))
        w, h = s / 2, s * rng.uniform(0.3, 0.5)
        box = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) @ _turn(rng.normal(0, 0.12)).T + c
        canvas.polygon(box, shaded(plain(wood), c, s / 2, light), owner)
        for t in (0.0, 0.33, 0.66, 1.0):
            a, b = box[0] + (box[1] - box[0]) * t, box[3] + (box[2] - box[3]) * t
            canvas.polygon(capsule(a, b, s * 0.025, s * 0.025), plain(wood * 0.55), owner)
        canvas.polygon(capsule(box[0], box[2], s * 0.03, s * 0.03), plain(wood * 0.7), owner)
    elif kind == "sign":
        canvas.polygon(capsule(c - (0, s * 0.1), c + (0, s / 2), s * 0.03, s * 0.03), plain(rgb(120, 120, 125)), owner)
        corners = int(rng.choice([3, 4, 8, 24]))
        plate = ellipse(c - (0, s * 0.22), s * 0.27, s * 0.27, rng.choice([0, np.pi / corners]), corners)
        rim, fill = rgb(200, 30, 35), rgb(245, 245, 240)
        canvas.polygon(plate, plain(rim), owner)
        centre = plate.mean(0)
        canvas.polygon(centre + (plate - centre) * 0.72, plain(fill), owner)
        canvas.polygon(
            capsule(centre - (s * 0.08, 0), centre + (s * 0.08, 0), s * 0.03, s * 0.03), plain(rgb(30, 30, 30)), owner
        )
    elif kind == "plant":
        green = rgb(rng.uniform(20, 110), rng.uniform(110, 190), rng.uniform(20, 90))
        for angle in np.linspace(-1.25, 1.25, 9) + rng.normal(0, 0.1, 9):
            tip = c + s * rng.uniform(0.35, 0.5) * np.array([np.sin(angle), -np.cos(angle)])
            canvas.polygon(
                capsule(c + (0, s * 0.15), tip, s * 0.03, s * 0.06), plain(green * rng.uniform(0.7, 1.2)), owner
            )
        pot = c + s * np.array([[-0.17, 0.12], [0.17, 0.12], [0.12, 0.5], [-0.12, 0.5]])
        canvas.polygon(pot, shaded(plain(rgb(170, 85, 50)), c, s / 4, light), owner)
    else:
        glass = colour(rng)
        canvas.polygon(
            capsule(c - (0, s * 0.05), c + (0, s * 0.38), s * 0.13, s * 0.13),
            shaded(plain(glass), c, s * 0.13, light),
            owner,
        )
        canvas.polygon(capsule(c - (0, s * 0.42), c, s * 0.045, s * 0.06), plain(glass * 0.9), owner)
        label = c + s * np.array([[-0.13, 0.1], [0.13, 0.1], [0.13, 0.3], [-0.13, 0.3]])
        canvas.polygon(label, textile(rng, s * 0.3), owner)


def _turn(angle: float) -> np.ndarray:
    """The (2, 2) rotation by an angle in radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _muted(rgb: np.ndarray, rng: Rng) -> np.ndarray:
    """Colours with a random lower saturation, as those of walls and floors."""
    grey = rgb.mean(-1, keepdims=True)
    return grey + (rgb - grey) * rng.uniform(0.1, 0.75)


def paint_background(canvas: Canvas, rng: Rng) -> None:
    """Paint a wall and a floor, a blurred pattern over them, and random shapes and lines that have no class."""
    height, width = canvas.owner.shape
    horizon = int(height * rng.uniform(0.3, 0.85))
    for rows in (slice(0, horizon), slice(horizon, height)):
        canvas.rgb[rows] = _muted(colour(rng), rng)
        ramp = np.linspace(rng.uniform(0.7, 1.2), rng.uniform(0.7, 1.2), canvas.rgb[rows].shape[0])
        canvas.rgb[rows] *= ramp[:, None, None].astype(np.float32)
    coarse = rng.normal(0, rng.uniform(2, 24), (int(rng.integers(3, 24)), int(rng.integers(3, 24)), 3))
    coarse = _muted(coarse, rng)
    interpolation = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST
    canvas.rgb += cv2.resize(coarse.astype(np.float32), (width, height), interpolation=interpolation)
    for _ in range(int(rng.integers(0, 9))):
        at, size = rng.uniform((0, 0), (width, height)), rng.uniform(0.04, 0.3) * height
        texture = textile(rng, size)
        kind = rng.integers(4)
        if kind == 0:
            canvas.polygon(at + rng.normal(0, size * 0.5, (int(rng.integers(3, 7)), 2)), texture)
        elif kind == 1:
            canvas.polygon(ellipse(at, size * 0.5, size * rng.uniform(0.2, 0.8), rng.uniform(0, 3)), texture)
        elif kind == 2:  # as long and thin as a limb
            end = at + rng.normal(0, size, 2)
            canvas.polygon(capsule(at, end, size * rng.uniform(0.03, 0.12), size * rng.uniform(0.03, 0.12)), texture)
        else:
            tone = tuple(float(v) for v in colour(rng))
            ends = (np.stack([at, at + rng.normal(0, size * 2, 2)]) * 2**SHIFT).astype(int).tolist()
            cv2.line(canvas.rgb, ends[0], ends[1], tone, int(rng.integers(1, 5)), cv2.LINE_8, SHIFT)
