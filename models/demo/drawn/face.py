"""A drawn face: the shape of a head and its expression, its landmarks in the image, and how it is painted.

Lengths are relative to half the height of the head. The axes of the head are those of a body (see `body`): x to the
person's own left, y down, z forward; the origin is the middle of the head.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawn.body import rotation
from drawn.paint import Array, Canvas, Rng, capsule, colour, ellipse, plain, rgb, shaded, textile
from drawn.person import HAIR, SKIN

SIDES = (("left", 1.0), ("right", -1.0))
OF_A_SIDE = ("brow_outer", "brow_inner", "eye_outer", "eye_top", "eye_inner", "eye_bottom", "nose", "mouth")
LANDMARKS = (
    *(f"{side}_{name}" for name in OF_A_SIDE for side in ("left", "right")),
    "nose_bridge", "nose_tip", "mouth_top", "mouth_bottom", "chin",
)  # fmt: skip
DEPTH = 0.85  # of the head, from its middle to the front


@dataclass
class Shape:
    """The proportions and the expression of a face."""

    width: float
    taper: float  # by how much the head narrows down to the chin
    brow: float
    brow_tilt: float
    eye: float  # the distance of the middle of an eye from the middle of the face
    eye_width: float
    eye_open: float
    eye_level: float
    nose: float
    nose_width: float
    mouth_level: float
    mouth_width: float
    mouth_open: float
    smile: float

    @classmethod
    def sample(cls, rng: Rng) -> Shape:
        """Draw a random face."""
        closed = rng.random() < 0.12
        return cls(
            width=rng.uniform(0.7, 0.86),
            taper=rng.uniform(0.12, 0.36),
            brow=rng.uniform(0.15, 0.27),
            brow_tilt=rng.normal(0, 0.045),
            eye=rng.uniform(0.29, 0.36),
            eye_width=rng.uniform(0.11, 0.16),
            eye_open=0.012 if closed else rng.uniform(0.035, 0.085),
            eye_level=rng.uniform(-0.16, -0.04),
            nose=rng.uniform(0.2, 0.32),
            nose_width=rng.uniform(0.09, 0.16),
            mouth_level=rng.uniform(0.46, 0.56),
            mouth_width=rng.uniform(0.17, 0.31),
            mouth_open=float(rng.choice([0.0, rng.uniform(0.02, 0.16)])),
            smile=rng.normal(0.02, 0.05),
        )

    def on_head(self, x: float, y: float, ahead: float = 0.0) -> NDArray[np.float64]:
        """(3,) the point of the surface of the head in front of (x, y), moved forward by `ahead`."""
        wide = self.width * (1 - self.taper * max(0.0, y) ** 2)
        inside = max(0.0, 1 - (x / wide) ** 2 - y**2)
        return np.array([x, y, DEPTH * np.sqrt(inside) + ahead])

    def landmarks(self) -> dict[str, NDArray[np.float64]]:
        """The landmarks in axes of the head, each (3,)."""
        points: dict[str, NDArray[np.float64]] = {}
        level, tip = self.eye_level, self.eye_level + self.nose + 0.08
        for side, sign in SIDES:
            over = level - self.brow
            points[f"{side}_brow_outer"] = self.on_head(sign * (self.eye + 0.17), over + 0.03 - self.brow_tilt)
            points[f"{side}_brow_inner"] = self.on_head(sign * (self.eye - 0.17), over + self.brow_tilt)
            points[f"{side}_eye_outer"] = self.on_head(sign * (self.eye + self.eye_width), level)
            points[f"{side}_eye_inner"] = self.on_head(sign * (self.eye - self.eye_width), level + 0.01)
            points[f"{side}_eye_top"] = self.on_head(sign * self.eye, level - self.eye_open)
            points[f"{side}_eye_bottom"] = self.on_head(sign * self.eye, level + self.eye_open * 0.8)
            points[f"{side}_nose"] = self.on_head(sign * self.nose_width, tip + 0.03, 0.06)
            points[f"{side}_mouth"] = self.on_head(sign * self.mouth_width, self.mouth_level - self.smile)
        points["nose_bridge"] = self.on_head(0, level + 0.02, 0.05)
        points["nose_tip"] = self.on_head(0, tip, 0.2)
        points["mouth_top"] = self.on_head(0, self.mouth_level - 0.05 - self.mouth_open / 2)
        points["mouth_bottom"] = self.on_head(0, self.mouth_level + 0.06 + self.mouth_open / 2)
        points["chin"] = self.on_head(0, 0.97)
        return points

    def outline(self, facing: NDArray) -> NDArray[np.float64]:
        """(n, 2) the outline of the head as it is seen, when `facing` (3, 3) turns it."""
        turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        rings = []
        for level in np.linspace(-1, 1, 41):
            wide = self.width * (1 - self.taper * max(0.0, level) ** 2)
            radius = np.sqrt(max(0.0, 1 - level**2))
            ring = np.stack([wide * radius * np.cos(turn), np.full_like(turn, level), DEPTH * radius * np.sin(turn)])
            rings.append((facing @ ring)[:2].T)
        points = np.concatenate(rings)
        directions = np.stack([np.cos(turn), np.sin(turn)])
        return points[(points @ directions).argmax(0)]


class Face:
    """A face at a place in the image.

    Args:
        rng: the random generator, for the shape, the direction and the look.
        at: (2,) the middle of the head, in pixels.
        scale: half the height of the head in pixels.
    """

    def __init__(self, rng: Rng, at: NDArray, scale: float) -> None:
        self.shape, self.at, self.scale = Shape.sample(rng), np.asarray(at, float), scale
        yaw, pitch = np.radians(np.clip(rng.normal(0, (20, 11)), -42, 42))
        self.facing = rotation(yaw, pitch, np.radians(np.clip(rng.normal(0, 15), -45, 45)))
        angle = rng.uniform(0, 2 * np.pi)
        self.light = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.2, 1.3)
        self.skin = (SKIN[rng.integers(len(SKIN))] * np.float32(rng.uniform(0.88, 1.08))).clip(0, 255)
        self.hair = (HAIR[rng.integers(len(HAIR))] * np.float32(rng.uniform(0.7, 1.2))).clip(0, 255)
        self.points = {name: self.seen(point) for name, point in self.shape.landmarks().items()}

    def seen(self, point: NDArray) -> NDArray[np.float64]:
        """(2,) where a point of the head is in the image, in pixels."""
        return self.at + (self.facing @ point)[:2] * self.scale

    def landmarks(self) -> NDArray[np.float64]:
        """(L, 2) the landmarks in pixels of the image, in the order of LANDMARKS."""
        return np.stack([self.points[name] for name in LANDMARKS])

    def paint(self, canvas: Canvas, rng: Rng) -> None:
        """Paint the neck, the hair, the head and the features of the face."""
        s, middle = self.scale, self.at
        below = middle + (self.facing @ np.array([0, 1.9, -0.3]))[:2] * s
        shirt = textile(rng, s * 2)
        canvas.polygon(ellipse(below + (0, s * 0.75), s * 1.6, s * 1.0, n=28), shaded(shirt, below, s, self.light))
        canvas.polygon(capsule(middle, below, s * 0.42, s * 0.5), plain(self.skin * 0.82))
        outline = middle + self.shape.outline(self.facing) * s
        if rng.random() < 0.85:  # hair behind the head
            long = rng.uniform(0.0, 1.2) if rng.random() < 0.5 else -0.25
            back = middle + (self.facing @ np.array([0, -0.12, -0.25]))[:2] * s
            end = back + (self.facing @ np.array([0, long, -0.2]))[:2] * s
            canvas.polygon(capsule(back, end, s * 1.03, s * rng.uniform(0.75, 1.0)), plain(self.hair * 0.85))
        for _, sign in SIDES:
            ear = np.array([sign * self.shape.width * 0.97, 0.02, -0.08])
            if (self.facing @ np.array([sign, 0, 0]))[2] > -0.55:
                canvas.polygon(ellipse(self.seen(ear), s * 0.13, s * 0.22), plain(self.skin * 0.9))
        canvas.polygon(outline, shaded(plain(self.skin), middle, s, self.light))
        self._hairline(canvas, rng, outline)
        self._eyes(canvas, rng)
        self._nose(canvas, rng)
        self._mouth(canvas, rng)
        if rng.random() < 0.15:
            self._beard(canvas)
        if rng.random() < 0.22:
            self._glasses(canvas, rng)

    def _hairline(self, canvas: Canvas, rng: Rng, outline: NDArray) -> None:
        """Hair over the forehead: the part of the head above a line that may slope."""
        if rng.random() < 0.12:
            return
        high, slope = rng.uniform(-0.78, -0.52), rng.normal(0, 0.12)
        ends = [self.seen(self.shape.on_head(x, high + slope * x)) for x in np.linspace(-0.66, 0.66, 9)]
        up = (self.facing @ np.array([0, -1.0, 0]))[:2]
        top = outline[((outline - self.at) @ up) > -(high + 0.05) * self.scale * np.linalg.norm(up)]
        if len(top) < 3:
            return
        across = np.array([-up[1], up[0]])
        around = top[np.argsort((top - self.at) @ across)]
        line = np.array(sorted(ends, key=lambda p: -float((p - self.at) @ across)))
        canvas.polygon(np.concatenate([around, line]), shaded(plain(self.hair), self.at, self.scale, self.light))

    def _lid(self, side: str) -> NDArray[np.float64]:
        """(n, 2) the opening of an eye: two arcs from corner to corner through its top and its bottom."""
        outer, inner = self.points[f"{side}_eye_outer"], self.points[f"{side}_eye_inner"]
        return np.concatenate(
            [
                _arc(outer, self.points[f"{side}_eye_top"], inner),
                _arc(inner, self.points[f"{side}_eye_bottom"], outer)[1:-1],
            ]
        )

    def _eyes(self, canvas: Canvas, rng: Rng) -> None:
        s, iris = self.scale, rgb(*rng.choice([[60, 40, 25], [70, 110, 150], [80, 110, 60], [30, 25, 22]]))
        look = rng.uniform(-0.035, 0.035, 2)
        thick = s * rng.uniform(0.025, 0.05)
        for side, sign in SIDES:
            lid = self._lid(side)
            canvas.polygon(lid, plain(rgb(240, 240, 238)))
            if self.shape.eye_open > 0.02:
                middle = self.seen(
                    self.shape.on_head(sign * self.shape.eye + look[0], self.shape.eye_level + look[1] * 0.4)
                )
                for radius, tone in ((0.075, iris), (0.035, rgb(12, 12, 12))):
                    ball = ellipse(middle, s * radius, s * min(radius, self.shape.eye_open * 0.95))
                    canvas.polygon(ball, plain(tone))
            _stroke(canvas, lid[: len(lid) // 2 + 1], thick * 0.5, rgb(35, 25, 22))
            outer, inner = self.points[f"{side}_brow_outer"], self.points[f"{side}_brow_inner"]
            lift = (self.facing @ np.array([0, -0.05, 0]))[:2] * s
            _stroke(canvas, _arc(outer, (outer + inner) / 2 + lift, inner), thick * 0.9, self.hair * 0.7)

    def _nose(self, canvas: Canvas, rng: Rng) -> None:
        s, dark = self.scale, self.skin * np.float32(rng.uniform(0.6, 0.82))
        left, right, tip = (self.points[n] for n in ("left_nose", "right_nose", "nose_tip"))
        bridge = self.points["nose_bridge"]
        canvas.polygon(np.array([bridge, left, tip, right]), plain(self.skin * 0.93))
        _stroke(canvas, _arc(left, tip + (left + right - 2 * tip) * 0.2, right), s * 0.02, dark)
        shadow = left if self.light[0] < 0 else right
        _stroke(canvas, np.array([bridge, (bridge + shadow) / 2 + (tip - shadow) * 0.25, shadow]), s * 0.014, dark)
        canvas.polygon(ellipse(tip, s * 0.06, s * 0.05), plain((self.skin * 1.08).clip(0, 255)))

    def _mouth(self, canvas: Canvas, rng: Rng) -> None:
        s, lips = self.scale, rgb(rng.uniform(130, 205), rng.uniform(45, 95), rng.uniform(55, 100))
        left, right, top, bottom = (self.points[n] for n in ("left_mouth", "right_mouth", "mouth_top", "mouth_bottom"))
        canvas.polygon(np.concatenate([_arc(left, top, right), _arc(right, bottom, left)[1:-1]]), plain(lips))
        middle, gap = (top + bottom) / 2, (bottom - top) * 0.5
        opening = self.shape.mouth_open / (self.shape.mouth_open + 0.11)
        inside = [_arc(left, middle - gap * opening, right), _arc(right, middle + gap * opening, left)[1:-1]]
        canvas.polygon(np.concatenate(inside), plain(rgb(60, 15, 20)))
        if self.shape.mouth_open > 0.05 and rng.random() < 0.6:
            canvas.polygon(np.array([left * 0.4 + middle * 0.6, middle, right * 0.4 + middle * 0.6, middle - gap
                                     * opening * 0.9]), plain(rgb(235, 232, 222)))  # fmt: skip
        _stroke(canvas, _arc(left, middle, right), s * 0.012, lips * 0.5)

    def _beard(self, canvas: Canvas) -> None:
        shape, level = self.shape, self.shape.mouth_level
        upper = [self.seen(shape.on_head(x, level + 0.16 + 0.1 * abs(x))) for x in np.linspace(-0.35, 0.35, 7)]
        lower = [self.seen(shape.on_head(x, 0.9 - 0.5 * x * x)) for x in np.linspace(0.38, -0.38, 7)]
        canvas.polygon(np.array(upper + lower), plain(self.hair * 0.8 + self.skin * 0.2))

    def _glasses(self, canvas: Canvas, rng: Rng) -> None:
        s, tone, big = self.scale, colour(rng) * 0.6, rng.uniform(0.19, 0.25)
        middles = []
        for _, sign in SIDES:
            middle = self.seen(self.shape.on_head(sign * self.shape.eye, self.shape.eye_level + 0.02, 0.03))
            wide = abs(float(self.facing[0, 0])) * big * s
            ring = ellipse(middle, wide, big * 0.85 * s, float(np.arctan2(self.facing[1, 0], self.facing[0, 0])))
            _stroke(canvas, np.concatenate([ring, ring[:1]]), s * 0.022, tone)
            middles.append((middle, wide))
        (a, wide_a), (b, wide_b) = middles
        along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
        _stroke(canvas, np.array([a + along * wide_a, b - along * wide_b]), s * 0.022, tone)


def _arc(a: NDArray, through: NDArray, b: NDArray, n: int = 9) -> NDArray[np.float64]:
    """(n, 2) points of the parabola from `a` to `b` whose middle is `through`."""
    t = np.linspace(0, 1, n)[:, None]
    return np.asarray((1 - t) * a + t * b + 4 * t * (1 - t) * (through - (a + b) / 2), np.float64)


def _stroke(canvas: Canvas, points: NDArray, radius: float, tone: Array) -> None:
    """A line through points."""
    for a, b in itertools.pairwise(points):
        canvas.polygon(capsule(a, b, radius, radius), plain(tone))
