"""Painting on a canvas that stores for each pixel which instance and which part it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Array = NDArray[np.float32]
Texture = Callable[[Array, Array], Array]  # from (H, W) x and y in pixels to (H, W, 3) RGB

SHIFT = 4  # fractional bits of the coordinates cv2 draws with


@dataclass
class Canvas:
    """An image that is being painted.

    Attributes:
        rgb: (H, W, 3) float32, from 0 to 255.
        owner: (H, W) the number of the instance that each pixel shows, 0 for the background.
        part: (H, W) the label of the part that each pixel shows.
    """

    rgb: Array
    owner: NDArray[np.int32]
    part: NDArray[np.uint8]

    @classmethod
    def blank(cls, height: int, width: int) -> Canvas:
        """A black canvas without instances."""
        size = (height, width)
        return cls(np.zeros((*size, 3), np.float32), np.zeros(size, np.int32), np.zeros(size, np.uint8))

    def polygon(self, points: NDArray, texture: Texture, owner: int = 0, part: int = 0) -> None:
        """Fill a polygon with (n, 2) corners in pixels, with smooth edges."""
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
        """Blend a texture into the canvas by the opacity in `mask` (0 to 255), whose top left corner is at (x0, y0).

        Pixels with an opacity above one half get the owner and the part.
        """
        y1, x1 = y0 + mask.shape[0], x0 + mask.shape[1]
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        region = self.rgb[y0:y1, x0:x1]
        region += (texture(x, y) - region) * (mask[..., None] * np.float32(1 / 255))
        solid = mask > 127
        self.owner[y0:y1, x0:x1][solid] = owner
        self.part[y0:y1, x0:x1][solid] = part


def capsule(a: NDArray, b: NDArray, ra: float, rb: float) -> NDArray[np.float32]:
    """The outline of a limb from `a` with radius `ra` to `b` with radius `rb`: two half circles, connected by lines."""
    along = b - a
    angle = float(np.arctan2(along[1], along[0]))
    turn = np.linspace(np.pi / 2, 3 * np.pi / 2, 7)
    start = a + ra * np.stack([np.cos(angle + turn), np.sin(angle + turn)], 1)
    end = b + rb * np.stack([np.cos(angle + turn + np.pi), np.sin(angle + turn + np.pi)], 1)
    return np.concatenate([start, end]).astype(np.float32)


def ellipse(centre: NDArray, rx: float, ry: float, angle: float = 0.0, n: int = 20) -> NDArray[np.float32]:
    """The outline of an ellipse with `n` corners, rotated by `angle` radians."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    x, y = rx * np.cos(t), ry * np.sin(t)
    c, s = np.cos(angle), np.sin(angle)
    return (np.asarray(centre) + np.stack([x * c - y * s, x * s + y * c], 1)).astype(np.float32)


def colour(rng: Rng) -> Array:
    """A random RGB colour. A third are close to grey, as many clothes and walls are."""
    base = rng.uniform(15, 245, 3)
    if rng.random() < 0.35:
        base = base.mean() + rng.normal(0, 12, 3)
    return base.clip(0, 255).astype(np.float32)


def rgb(red: float, green: float, blue: float) -> Array:
    """A colour as an array."""
    return np.array([red, green, blue], np.float32)


def plain(rgb: Array) -> Texture:
    """A texture of one colour."""
    return lambda x, y: np.broadcast_to(rgb, (*x.shape, 3))


def textile(rng: Rng, scale: float) -> Texture:
    """A random plain, striped, checked, dotted or mottled texture. `scale` is the width in pixels of what it covers."""
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
    """The texture with shading: brighter towards the light.

    Args:
        texture: the texture.
        centre: (2,) the point of unchanged brightness, in pixels.
        radius: the distance in pixels over which the brightness changes.
        light: (2,) the direction towards the light; its length is the strength.
    """
    lx, ly = np.asarray(light / max(radius, 1.0), np.float32)
    cx, cy = np.asarray(centre, np.float32)

    def lit(x: Array, y: Array) -> Array:
        shade = 1 + 0.28 * np.clip((x - cx) * lx + (y - cy) * ly, -1.2, 1.2)
        return np.clip(texture(x, y) * shade[..., None], 0, 255)

    return lit
