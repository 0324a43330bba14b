"""Painting a body with clothes, skin, hair and a face, from back to front, and finding its keypoints in the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawn.body import SIDES, Body
from drawn.paint import Array, Canvas, Rng, Texture, capsule, colour, ellipse, plain, rgb, shaded, textile

KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
# The parts of PASCAL-Person-Part, with hair and face in place of the head, and with shoes. Left and right are one
# class.
PARTS = ["background", "hair", "face", "torso", "upper_arm", "lower_arm", "upper_leg", "lower_leg", "shoe"]
LIMBS = PARTS[4:]
# The labels while painting. Left and right are distinguished here, to tell which side hides the other.
SURFACES = [*PARTS[:4], *(f"{side}_{limb}" for side in SIDES for limb in LIMBS)]
LABEL = {name: i for i, name in enumerate(SURFACES)}
PART_OF = np.array([PARTS.index(name.removeprefix("left_").removeprefix("right_")) for name in SURFACES], np.uint8)

# positions on the unit sphere of the head, in axes of the head (x to the person's left, y down, z forward)
FEATURES = {
    "nose": (0.0, 0.12, 1.0),
    "left_eye": (0.36, -0.12, 0.92),
    "right_eye": (-0.36, -0.12, 0.92),
    "left_ear": (1.0, 0.05, -0.05),
    "right_ear": (-1.0, 0.05, -0.05),
}
SKIN = np.array([[246, 214, 190], [224, 176, 142], [190, 136, 100], [138, 92, 62], [92, 60, 42]], np.float32)
HAIR = np.array(
    [[30, 24, 20], [70, 44, 26], [130, 90, 50], [205, 170, 100], [150, 60, 30], [150, 150, 150]], np.float32
)


@dataclass
class Look:
    """The clothes, skin and hair of a person."""

    skin: Texture
    skin_rgb: Array
    shirt: Texture
    trousers: Texture
    shoes: Texture
    hair: Array
    sleeves: float  # 0 without sleeves, 1 to the elbow, 2 to the wrist
    legs: float  # 1 for shorts, 2 for long trousers
    hairline: float
    long_hair: bool
    front: str  # what is on the front of the shirt
    backpack: Texture | None

    @classmethod
    def sample(cls, rng: Rng, width: float) -> Look:
        """Draw a random look for a person of a given shoulder width in pixels."""
        skin = SKIN[rng.integers(len(SKIN))] * np.float32(rng.uniform(0.9, 1.08))
        return cls(
            skin=plain(skin.clip(0, 255)),
            skin_rgb=skin,
            shirt=textile(rng, width),
            trousers=textile(rng, width),
            shoes=plain(colour(rng)),
            hair=HAIR[rng.integers(len(HAIR))] * np.float32(rng.uniform(0.7, 1.2)),
            sleeves=float(rng.choice([0, 1, 2], p=[0.15, 0.45, 0.4])),
            legs=float(rng.choice([1, 2], p=[0.35, 0.65])),
            hairline=rng.uniform(-0.62, -0.3),
            long_hair=bool(rng.random() < 0.35),
            front=str(rng.choice(["buttons", "collar", "logo", "none"])),
            backpack=textile(rng, width) if rng.random() < 0.15 else None,
        )


class Person:
    """A body at a place in the image.

    Args:
        rng: the random generator, for the look and the light.
        body: the posed body.
        at: (2,) the middle of the hips, in pixels.
        scale: the body height in pixels.
    """

    def __init__(self, rng: Rng, body: Body, at: NDArray, scale: float) -> None:
        self.body, self.at, self.scale = body, np.asarray(at, float), scale
        self.look = Look.sample(rng, body.size.shoulders * 2 * scale)
        angle = rng.uniform(0, 2 * np.pi)
        self.light = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.2, 1.0)

    def point(self, joint: str) -> NDArray:
        """(2,) the position of a joint in pixels."""
        return self.at + self.body.joints[joint][:2] * self.scale

    def keypoint(self, name: str) -> tuple[NDArray, float]:
        """The position of a keypoint in pixels, and how much it faces the viewer, from -1 to 1. Joints have 1."""
        if name not in FEATURES:
            return self.point(name), 1.0
        normal = self.body.face @ np.array(FEATURES[name])
        radius = self.body.size.head * self.scale
        return self.point("head") + normal[:2] * radius * (0.92, 1.1), float(normal[2])

    def paint(self, canvas: Canvas, owner: int) -> None:
        """Paint the person as instance `owner`, from the farthest part to the nearest."""
        body, look, scale = self.body, self.look, self.scale
        g = body.size.girth * scale
        strokes: list[tuple[float, str, list[tuple[NDArray, Texture, float]]]] = []

        def limb(a: str, b: str, ra: float, rb: float, cloth: Texture, part: str, ahead: float = 0.0) -> None:
            depth = (body.joints[a][2] + body.joints[b][2]) / 2 + ahead
            shape = capsule(self.point(a), self.point(b), ra * g, rb * g)
            strokes.append((depth, part, [(shape, cloth, max(ra, rb) * g)]))

        for side in SIDES:
            upper = look.shirt if look.sleeves >= 1 else look.skin
            fore = look.shirt if look.sleeves >= 2 else look.skin
            limb(f"{side}_shoulder", f"{side}_elbow", 0.033, 0.026, upper, f"{side}_upper_arm", 0.02)
            limb(f"{side}_elbow", f"{side}_wrist", 0.025, 0.018, fore, f"{side}_lower_arm", 0.021)
            limb(f"{side}_wrist", f"{side}_hand", 0.02, 0.018, look.skin, f"{side}_lower_arm", 0.022)
            limb(f"{side}_hip", f"{side}_knee", 0.05, 0.034, look.trousers, f"{side}_upper_leg", -0.01)
            shin = look.trousers if look.legs >= 2 else look.skin
            limb(f"{side}_knee", f"{side}_ankle", 0.033, 0.021, shin, f"{side}_lower_leg", -0.011)
            limb(f"{side}_ankle", f"{side}_toe", 0.024, 0.019, look.shoes, f"{side}_shoe", -0.005)
        limb("neck", "head", 0.03, 0.03, look.skin, "face", -0.01)
        strokes.append((0.0, "torso", self._torso(g)))
        for _, part, shapes in sorted(strokes, key=lambda s: s[0]):
            if part == "torso" and look.backpack is not None and body.trunk[2, 2] > 0:
                self._backpack(canvas, owner)
            for shape, cloth, radius in shapes:
                lit = shaded(cloth, shape.mean(0), radius, self.light)
                canvas.polygon(shape, lit, owner, LABEL[part])
            if part == "torso":
                self._chest(canvas, owner)
        behind = body.joints["head"][2] < -0.12  # if the person leans away; the hair must not cover the trunk then
        self._head(canvas, owner, behind)

    def _torso(self, g: float) -> list[tuple[NDArray, Texture, float]]:
        """The outlines of hips and chest, each with its texture and its radius in pixels."""
        left, right, hip_l, hip_r = (self.point(f"{s}_{j}") for j in ("shoulder", "hip") for s in SIDES)
        across = left - right
        waist = g * 0.05
        shapes: list[tuple[NDArray, Texture, float]] = []
        hips = capsule(hip_l, hip_r, waist, waist)
        shapes.append((hips, self.look.trousers, waist * 2))
        down = (hip_l + hip_r) / 2 - (left + right) / 2
        side = np.array([-down[1], down[0]]) / max(float(np.linalg.norm(down)), 1.0) * g * 0.048
        if side @ across < 0:
            side = -side
        lift = -down / max(float(np.linalg.norm(down)), 1.0) * g * 0.025
        low = -down * 0.05
        chest = np.array(
            [
                left + side * 0.6 + lift,
                left + side * 0.9,
                hip_l + side + low,
                hip_r - side + low,
                right - side * 0.9,
                right - side * 0.6 + lift,
            ]
        )
        wide = max(float(np.linalg.norm(across)) / 2, float(np.linalg.norm(side)))
        shapes.append((chest.astype(np.float32), self.look.shirt, wide))
        return shapes

    def _on_chest(self, x: float, y: float, z: float = 0.06) -> NDArray:
        """(2,) the position of a point on the chest in pixels.

        x is in shoulder widths from the middle, y in torso lengths from the neck, z in radii of the trunk.
        """
        size = self.body.size
        local = np.array([x * size.shoulders, (y - 1) * size.torso, z * size.girth])
        return self.at + (self.body.trunk @ local)[:2] * self.scale

    def _chest(self, canvas: Canvas, owner: int) -> None:
        """Paint what is on the trunk: buttons, collar or logo in front, a backpack behind."""
        facing = self.body.trunk[2, 2]
        look, r = self.look, self.scale * 0.008
        if facing < -0.1 and look.backpack is not None:
            self._backpack(canvas, owner)
        if facing < 0.25:
            return
        if look.front == "buttons":
            line = np.array([self._on_chest(0, y) for y in (0.12, 0.95)])
            canvas.polygon(
                capsule(line[0], line[1], r * 0.7, r * 0.7), plain(look.skin_rgb * 0.35), owner, LABEL["torso"]
            )
        elif look.front == "logo":
            square = np.array([self._on_chest(x, y) for x, y in ((-0.4, 0.25), (0.4, 0.25), (0.4, 0.5), (-0.4, 0.5))])
            canvas.polygon(square, plain(255 - look.hair), owner, LABEL["torso"])
        if look.front in ("buttons", "collar"):
            neck = np.array([self._on_chest(x, y) for x, y in ((-0.4, 0.0), (0.4, 0.0), (0, 0.28))])
            canvas.polygon(neck, look.skin, owner, LABEL["torso"])

    def _backpack(self, canvas: Canvas, owner: int) -> None:
        assert self.look.backpack is not None
        pack = np.array([self._on_chest(x, y, -0.12) for x, y in ((-0.9, 0.1), (0.9, 0.1), (0.8, 0.8), (-0.8, 0.8))])
        canvas.polygon(
            pack, shaded(self.look.backpack, pack.mean(0), self.scale * 0.1, self.light), owner, LABEL["torso"]
        )

    def _head(self, canvas: Canvas, owner: int, behind: bool) -> None:
        """Paint the head as a ball whose surface is hair or skin, and the features of the face."""
        look, face = self.look, self.body.face
        centre, radius = self.point("head"), self.body.size.head * self.scale
        rx, ry = radius * 0.92, radius * 1.1
        if look.long_hair:
            fall = [
                centre + (face @ np.array(p))[:2] * radius
                for p in ((-0.95, -0.3, -0.3), (0.95, -0.3, -0.3), (0.85, 1.7, -0.5), (-0.85, 1.7, -0.5))
            ]
            if face[2, 2] < 0.1 and not behind:
                canvas.polygon(np.array(fall), plain(look.hair.clip(0, 255)), owner, LABEL["hair"])
        for name in ("left_ear", "right_ear"):
            at, facing = self.keypoint(name)
            if facing > -0.6:
                canvas.polygon(
                    ellipse(at, radius * 0.2, radius * 0.28), plain(look.skin_rgb * 0.9), owner, LABEL["face"]
                )
        inverse = face.T.astype(np.float32)

        def is_hair(x: Array, y: Array) -> NDArray[np.bool_]:
            dx, dy = (x - centre[0]) / rx, (y - centre[1]) / ry
            normal = np.stack([dx, dy, np.sqrt(np.maximum(0, 1 - dx * dx - dy * dy))], -1).astype(np.float32)
            local = normal @ inverse.T
            top = local[..., 1] < look.hairline + 0.35 * np.abs(local[..., 0])
            back = local[..., 2] < (-0.05 if look.long_hair else -0.25)
            return top | (back & (local[..., 1] < 0.75))

        def surface(x: Array, y: Array) -> Array:
            hair = is_hair(x, y)[..., None]
            return np.where(hair, look.hair, look.skin_rgb).clip(0, 255).astype(np.float32)

        outline = ellipse(centre, rx, ry, n=28)
        canvas.polygon(outline, shaded(surface, centre, radius, self.light), owner, LABEL["face"])
        self._label_hair(canvas, outline, is_hair, owner)
        for name in ("left_eye", "right_eye"):
            at, facing = self.keypoint(name)
            if facing > 0.12:
                thin = max(facing, 0.35)
                canvas.polygon(
                    ellipse(at, radius * 0.17 * thin, radius * 0.12), plain(rgb(245, 245, 245)), owner, LABEL["face"]
                )
                canvas.polygon(
                    ellipse(at, radius * 0.09 * thin, radius * 0.11), plain(rgb(25, 20, 20)), owner, LABEL["face"]
                )
        at, facing = self.keypoint("nose")
        if facing > -0.05:
            canvas.polygon(ellipse(at, radius * 0.12, radius * 0.14), plain(look.skin_rgb * 0.72), owner, LABEL["face"])
        mouth = face @ np.array([0.0, 0.52, 0.85])
        if mouth[2] > 0.2:
            canvas.polygon(
                ellipse(centre + mouth[:2] * (rx, ry), radius * 0.26 * mouth[2], radius * 0.07),
                plain(rgb(150, 45, 50)),
                owner,
                LABEL["face"],
            )

    def _label_hair(self, canvas: Canvas, outline: NDArray, is_hair, owner: int) -> None:  # type: ignore[no-untyped-def]
        """Change the label of the head's pixels from face to hair where there is hair."""
        height, width = canvas.owner.shape
        x0, y0 = np.maximum(outline.min(0).astype(int), 0)
        x1, y1 = np.minimum(outline.max(0).astype(int) + 1, (width, height))
        if x1 <= x0 or y1 <= y0:
            return
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        inside = (canvas.owner[y0:y1, x0:x1] == owner) & (canvas.part[y0:y1, x0:x1] == LABEL["face"])
        canvas.part[y0:y1, x0:x1][inside & is_hair(x, y)] = LABEL["hair"]
