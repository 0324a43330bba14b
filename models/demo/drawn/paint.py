"""Paint on a canvas that remembers, for every pixel, whose it is and which part of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Array = NDArray[np.float32]
Texture = Callable[[Array, Array], Array]  # x, y in pixels -> RGB, (H, W, 3)

SHIFT = 4  # fractional bits of the coordinates cv2 draws with


@dataclass
class Canvas:
    """RGB, (H, W, 3) float32 in 0..255; `owner` 0 for the background or an instance; `part` a label."""

    rgb: Array
    owner: NDArray[np.int32]
    part: NDArray[np.uint8]

    @classmethod
    def blank(cls, height: int, width: int) -> Canvas:
        size = (height, width)
        return cls(np.zeros((*size, 3), np.float32), np.zeros(size, np.int32), np.zeros(size, np.uint8))

    def polygon(self, points: NDArray, texture: Texture, owner: int = 0, part: int = 0) -> None:
        """Fill a polygon, (n, 2) pixels, antialiased."""
        height, width = self.owner.shape
        x0, y0 = np.maximum(np.floor(points.min(0)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(points.max(0)).astype(int) + 2, (width, height))
        if x1 <= x0 or y1 <= y0:
            return
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fixed = np.round((points - (x0, y0)) * 2**SHIFT).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, SHIFT)
        self.blend(mask, x0, y0, texture, owner, part)

    def blend(self, mask: NDArray[np.uint8], x0: int, y0: int, texture: Texture, owner: int, part: int) -> None:
        """Lay a texture over the canvas where `mask`, whose corner is at (x0, y0), is set."""
        y1, x1 = y0 + mask.shape[0], x0 + mask.shape[1]
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        region = self.rgb[y0:y1, x0:x1]
        region += (texture(x, y) - region) * (mask[..., None] * np.float32(1 / 255))
        solid = mask > 127
        self.owner[y0:y1, x0:x1][solid] = owner
        self.part[y0:y1, x0:x1][solid] = part


def capsule(a: NDArray, b: NDArray, ra: float, rb: float) -> NDArray[np.float32]:
    """The outline of a limb from `a` (radius ra) to `b` (radius rb): two half circles and their tangents."""
    along = b - a
    angle = float(np.arctan2(along[1], along[0]))
    turn = np.linspace(np.pi / 2, 3 * np.pi / 2, 7)
    start = a + ra * np.stack([np.cos(angle + turn), np.sin(angle + turn)], 1)
    end = b + rb * np.stack([np.cos(angle + turn + np.pi), np.sin(angle + turn + np.pi)], 1)
    return np.concatenate([start, end]).astype(np.float32)


def ellipse(centre: NDArray, rx: float, ry: float, angle: float = 0.0, n: int = 20) -> NDArray[np.float32]:
    """The outline of an ellipse turned by `angle` radians."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    x, y = rx * np.cos(t), ry * np.sin(t)
    c, s = np.cos(angle), np.sin(angle)
    return (np.asarray(centre) + np.stack([x * c - y * s, x * s + y * c], 1)).astype(np.float32)


def colour(rng: Rng) -> Array:
    """Any colour, greys and dark ones included as clothes and walls have them."""
    base = rng.uniform(15, 245, 3)
    if rng.random() < 0.35:
        base = base.mean() + rng.normal(0, 12, 3)
    return base.clip(0, 255).astype(np.float32)


def rgb(red: float, green: float, blue: float) -> Array:
    return np.array([red, green, blue], np.float32)


def plain(rgb: Array) -> Texture:
    return lambda x, y: np.broadcast_to(rgb, (*x.shape, 3))


def textile(rng: Rng, scale: float) -> Texture:
    """Plain, striped, checked, dotted or mottled cloth; `scale` is the width in pixels of who wears it."""
    a, b = colour(rng), colour(rng)
    kind = rng.choice(["plain", "plain", "stripes", "checks", "dots", "mottle"])
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 6.28)
    step = 2 * np.pi / (scale * rng.uniform(0.12, 0.4) + 2.0)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))

    def texture(x: Array, y: Array) -> Array:
        if kind == "plain":
            return np.broadcast_to(a, (*x.shape, 3))
        u, v = (x * cos + y * sin) * step + phase, (y * cos - x * sin) * step + phase
        if kind == "stripes":
            t = (np.sin(u) > 0.2).astype(np.float32)
        elif kind == "checks":
            t = ((np.sin(u) > 0) ^ (np.sin(v) > 0)).astype(np.float32)
        elif kind == "dots":
            t = (np.sin(u) * np.sin(v) > 0.4).astype(np.float32)
        else:
            t = np.float32(0.5) + np.float32(0.5) * np.sin(u + 1.7 * np.sin(v * 0.7)) * np.sin(
                v + 1.3 * np.sin(u * 0.6)
            )
        return (a + (b - a) * t.astype(np.float32)[..., None]).astype(np.float32)

    return texture


def shaded(texture: Texture, centre: NDArray, radius: float, light: NDArray) -> Texture:
    """The texture, brighter on the side the light (a 2D vector) comes from."""
    lx, ly = np.asarray(light / max(radius, 1.0), np.float32)
    cx, cy = np.asarray(centre, np.float32)

    def lit(x: Array, y: Array) -> Array:
        shade = 1 + 0.28 * np.clip((x - cx) * lx + (y - cy) * ly, -1.2, 1.2)
        return np.clip(texture(x, y) * shade[..., None], 0, 255)

    return lit
