"""Images of one thing each, for the demo classifier: twelve classes, at any place, size and angle, before clutter.

A thing is drawn in axes of its own, in which it fills the square from -1 to 1 with y down. A random map turns, mirrors,
stretches and shears it. Every class has random proportions and parts, and its colours are random: no class can be told
by its colour or its outline alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawn.objects import paint_background
from drawn.paint import Canvas, Rng, Texture, capsule, colour, ellipse, plain, shaded, textile
from drawn.scene import photograph

Points = NDArray[np.float64]


@dataclass
class Pen:
    """Draws in the axes of one thing.

    Attributes:
        canvas: what is painted on.
        rng: the random generator.
        matrix: (2, 2) from the axes of the thing to pixels.
        at: (2,) the centre of the thing in pixels.
        light: (2,) the direction towards the light.
    """

    canvas: Canvas
    rng: Rng
    matrix: Points
    at: Points
    light: Points

    def between(self, low: float, high: float) -> float:
        """A random number."""
        return float(self.rng.uniform(low, high))

    def cloth(self, size: float = 1.0) -> Texture:
        """A random texture for a part of `size`, mostly of one colour, with the light on it."""
        radius = float(np.sqrt(abs(np.linalg.det(self.matrix))))
        texture = textile(self.rng, radius * size) if self.rng.random() < 0.5 else plain(colour(self.rng))
        return shaded(texture, self.at, radius, self.light)

    def shape(self, points: object, texture: Texture) -> None:
        """Fill a polygon with (n, 2) corners."""
        self.canvas.polygon(np.asarray(points, float) @ self.matrix.T + self.at, texture, 1)

    def disc(self, x: float, y: float, rx: float, ry: float, texture: Texture, turn: float = 0.0) -> None:
        """Fill an ellipse."""
        self.shape(ellipse(np.array([x, y]), rx, ry, turn, 28), texture)

    def bar(self, a: tuple[float, float], b: tuple[float, float], ra: float, texture: Texture, rb: float = 0.0) -> None:
        """Fill a stroke from `a` with radius `ra` to `b` with radius `rb`, which is `ra` where it is not given."""
        self.shape(capsule(np.array(a), np.array(b), ra, rb or ra), texture)

    def ring(self, x: float, y: float, radius: float, width: float, texture: Texture, start: float, end: float) -> None:
        """Draw an arc between two angles, in radians."""
        angles = np.linspace(start, end, 18)
        points = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]
        for a, b in itertools.pairwise(points):
            self.bar(a, b, width, texture)


def _tone(pen: Pen) -> Texture:
    return plain(colour(pen.rng))


def _ball(pen: Pen) -> None:
    pen.disc(0, 0, 0.95, 0.95, pen.cloth(0.6))
    if pen.rng.random() < 0.5:
        pen.ring(0, 0, pen.between(0.3, 0.6), 0.05, _tone(pen), 0, pen.between(2, 6))


def _bicycle(pen: Pen) -> None:
    frame, tyre, w = _tone(pen), _tone(pen), pen.between(0.05, 0.09)
    r = pen.between(0.36, 0.44)
    back, front, pedal = (-0.55, 0.4), (0.55, 0.4), (-0.08, 0.4)
    for x, y in (back, front):
        pen.ring(x, y, r, w * 0.9, tyre, 0, 2 * np.pi)
    saddle, head = (-0.25, -0.25), (0.38, -0.3)
    for a, b in ((back, pedal), (pedal, head), (pedal, saddle), (saddle, back), (saddle, head), (head, front)):
        pen.bar(a, b, w, frame)
    pen.bar((-0.4, -0.3), (-0.12, -0.3), w * 1.4, tyre)
    pen.bar(head, (0.3, -0.5), w, frame)
    pen.bar((0.3, -0.5), (0.55, -0.5), w, tyre)


def _bottle(pen: Pen) -> None:
    glass = pen.cloth(0.5)
    w, shoulder, neck = pen.between(0.28, 0.42), pen.between(-0.45, -0.1), pen.between(0.09, 0.15)
    side = [(w, shoulder + 0.15), (neck, shoulder - 0.15), (neck, -0.9)]
    pen.shape(
        [(-x, y) for x, y in side[::-1]][::-1] + [(-neck, -0.95), (neck, -0.95)] + side[::-1] + [(w, 0.95), (-w, 0.95)],
        glass,
    )
    pen.shape([(-neck * 1.3, -1), (neck * 1.3, -1), (neck * 1.3, -0.84), (-neck * 1.3, -0.84)], _tone(pen))
    if pen.rng.random() < 0.7:
        pen.shape([(-w, 0.2), (w, 0.2), (w, 0.65), (-w, 0.65)], pen.cloth(0.3))


def _chair(pen: Pen) -> None:
    wood, w = _tone(pen), pen.between(0.06, 0.1)
    seat, wide, back = pen.between(0.0, 0.2), pen.between(0.4, 0.6), pen.between(-0.95, -0.75)
    for x in (-wide, wide):
        pen.bar((x, seat), (x * 1.08, 0.95), w, wood)
        pen.bar((x * 0.55, seat), (x * 0.6, 0.75), w * 0.9, wood)
        pen.bar((x * 0.8, seat), (x * 0.8, back), w, wood)
    for y in np.linspace(back, seat - 0.35, int(pen.rng.integers(2, 4))):
        pen.bar((-wide * 0.8, y), (wide * 0.8, y), w * 1.1, wood)
    pen.shape(
        [(-wide * 1.1, seat + 0.1), (wide * 1.1, seat + 0.1), (wide * 0.8, seat - 0.15), (-wide * 0.8, seat - 0.15)],
        pen.cloth(0.5),
    )


def _crate(pen: Pen) -> None:
    h, plank, w = pen.between(0.6, 0.95), _tone(pen), pen.between(0.05, 0.08)
    pen.shape([(-0.95, -h), (0.95, -h), (0.95, h), (-0.95, h)], pen.cloth(0.6))
    for y in np.linspace(-h + w, h - w, int(pen.rng.integers(3, 5))):
        pen.bar((-0.9, y), (0.9, y), w, plank)
    for x in (-0.9, 0.9):
        pen.bar((x, -h + w), (x, h - w), w, plank)
    pen.bar((-0.9, -h + w), (0.9, h - w), w, plank)


def _cup(pen: Pen) -> None:
    clay = pen.cloth(0.6)
    top, bottom, h = pen.between(0.5, 0.68), pen.between(0.35, 0.55), pen.between(0.6, 0.85)
    pen.ring(top - 0.08, pen.between(-0.15, 0.1), pen.between(0.28, 0.4), 0.09, clay, -1.4, 1.4)
    pen.shape([(-top, -h), (top, -h), (bottom, h), (-bottom, h)], clay)
    pen.disc(0, -h, top, top * pen.between(0.15, 0.35), _tone(pen))


def _fish(pen: Pen) -> None:
    skin, fin, h = pen.cloth(0.4), _tone(pen), pen.between(0.32, 0.5)
    spread = pen.between(0.35, 0.55)
    pen.shape([(0.35, 0), (0.95, -spread), (0.8, 0), (0.95, spread)], fin)
    pen.shape([(-0.35, -h * 0.7), (0.1, -h - 0.28), (0.3, -h * 0.5)], fin)
    pen.disc(-0.2, 0, 0.75, h, skin)
    pen.shape([(-0.1, 0.02), (0.2, 0.25), (0.15, -0.02)], fin)
    pen.disc(-0.62, -h * 0.25, 0.09, 0.09, plain(np.array([245, 245, 245], np.float32)))
    pen.disc(-0.63, -h * 0.25, 0.05, 0.05, plain(np.array([20, 20, 20], np.float32)))


def _house(pen: Pen) -> None:
    eaves, w = pen.between(-0.3, 0.05), pen.between(0.6, 0.8)
    pen.shape([(-w, eaves), (w, eaves), (w, 0.95), (-w, 0.95)], pen.cloth(0.6))
    if pen.rng.random() < 0.5:
        pen.shape([(0.3, -0.9), (0.5, -0.9), (0.5, eaves), (0.3, eaves)], _tone(pen))
    ridge = pen.between(0.0, 0.3)
    pen.shape([(-w - 0.15, eaves), (-ridge, -0.95), (ridge, -0.95), (w + 0.15, eaves)], pen.cloth(0.5))
    glass, door = _tone(pen), pen.between(-0.5, 0.3)
    pen.shape([(door - 0.13, 0.4), (door + 0.13, 0.4), (door + 0.13, 0.95), (door - 0.13, 0.95)], _tone(pen))
    for x in (-0.45, 0.0, 0.45):
        if abs(x - door) > 0.28:
            pen.shape([(x - 0.12, 0.3), (x + 0.12, 0.3), (x + 0.12, 0.58), (x - 0.12, 0.58)], glass)


def _key(pen: Pen) -> None:
    metal, r = _tone(pen), pen.between(0.24, 0.34)
    pen.ring(-0.6, 0, r, pen.between(0.09, 0.13), metal, 0, 2 * np.pi)
    pen.bar((-0.6 + r, 0), (0.9, 0), pen.between(0.07, 0.1), metal)
    for x in (0.85, 0.62, 0.4)[: int(pen.rng.integers(2, 4))]:
        pen.bar((x, 0), (x, pen.between(0.22, 0.38)), 0.07, metal)


def _plant(pen: Pen) -> None:
    leaf = colour(pen.rng)
    count = int(pen.rng.integers(5, 10))
    for angle in np.linspace(-1.25, 1.25, count) + pen.rng.normal(0, 0.1, count):
        far = pen.between(0.75, 1.05)
        tip = (far * np.sin(angle), 0.3 - far * 1.15 * np.cos(angle))
        pen.bar((0, 0.3), tip, 0.05, plain((leaf * pen.between(0.7, 1.2)).clip(0, 255)), pen.between(0.09, 0.15))
    w = pen.between(0.28, 0.42)
    pen.shape([(-w, 0.25), (w, 0.25), (w * 0.7, 0.95), (-w * 0.7, 0.95)], pen.cloth(0.4))


def _sign(pen: Pen) -> None:
    pen.bar((0, 0), (0, 0.95), pen.between(0.05, 0.08), _tone(pen))
    corners, rim, fill = int(pen.rng.choice([3, 4, 6, 8])), _tone(pen), _tone(pen)
    turn = float(pen.rng.choice([0.0, np.pi / corners]))
    outline = ellipse(np.array([0, -0.38]), 0.58, 0.58, turn, corners)
    middle = outline.mean(0)
    pen.shape(outline, rim)
    pen.shape(middle + (outline - middle) * 0.72, fill)
    pen.bar((middle[0] - 0.15, middle[1]), (middle[0] + 0.15, middle[1]), 0.06, rim)


def _umbrella(pen: Pen) -> None:
    stick, w = _tone(pen), pen.between(0.045, 0.07)
    pen.bar((0, -0.9), (0, 0.7), w, stick)
    pen.ring(0.16, 0.72, 0.16, w, stick, 0, np.pi)
    cloth, other = pen.cloth(0.5), pen.cloth(0.5)
    brim, high = pen.between(-0.15, 0.1), -0.8
    arc = [(0.95 * np.cos(a), brim - (brim - high) * np.sin(a)) for a in np.linspace(np.pi, 0, 17)]
    pen.shape(arc, cloth)
    pen.shape([(0, high), *arc[6:11], (0, brim)], other)
    for x in (-0.63, 0.0, 0.63):
        pen.disc(x, brim + 0.03, 0.31, 0.1, cloth if x else other)


THINGS: dict[str, Callable[[Pen], None]] = {
    "ball": _ball, "bicycle": _bicycle, "bottle": _bottle, "chair": _chair, "crate": _crate, "cup": _cup,
    "fish": _fish, "house": _house, "key": _key, "plant": _plant, "sign": _sign, "umbrella": _umbrella,
}  # fmt: skip
NAMES = tuple(THINGS)


def _map(rng: Rng, size: float) -> Points:
    """The (2, 2) matrix of a thing whose longer side is `size` pixels: turned, mirrored, stretched and sheared."""
    angle = rng.normal(0, 0.25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shape = np.diag([rng.choice([-1, 1]) * np.exp(rng.normal(0, 0.1)), np.exp(rng.normal(0, 0.1))])
    shape[0, 1] = rng.normal(0, 0.1)
    return turn @ shape * (size / 2)


def _clutter(canvas: Canvas, rng: Rng, at: Points, size: float) -> None:
    """Strokes and patches in front of a thing, which hide a part of it."""
    for _ in range(int(rng.choice([0, 1, 2], p=[0.6, 0.3, 0.1]))):
        place = at + rng.normal(0, size * 0.4, 2)
        texture = textile(rng, size * 0.4)
        if rng.random() < 0.6:
            width = size * rng.uniform(0.02, 0.06)
            canvas.polygon(capsule(place, place + rng.normal(0, size * 0.5, 2), width, width), texture)
        else:
            canvas.polygon(ellipse(place, size * rng.uniform(0.06, 0.16), size * rng.uniform(0.06, 0.16)), texture)


def thing(seed: int, index: int) -> tuple[NDArray[np.uint8], int]:
    """Draw image `index` of the series `seed`: (H, W, 3) uint8 RGB, and the number of its class in NAMES."""
    rng = np.random.default_rng([seed, 77, index])
    label = int(rng.integers(len(NAMES)))
    height, width = (int(v) for v in rng.integers(88, 150, 2))
    canvas = Canvas.blank(height, width)
    paint_background(canvas, rng)
    side = min(height, width)
    size = side * rng.uniform(0.5, 0.85)
    spare = max(side * 0.875 - size, 0) * 0.5
    at = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * spare
    THINGS[NAMES[label]](Pen(canvas, rng, _map(rng, size), at, rng.normal(0, 0.6, 2)))
    _clutter(canvas, rng, at, size)
    return photograph(canvas.rgb, rng), label
