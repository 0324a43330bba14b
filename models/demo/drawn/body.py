"""A person in three dimensions: the proportions, a pose, and the joints in the view of a camera.

In the axes of the world, x points to the viewer's right, y down and z towards the viewer. In the axes of a body, x
points to the person's own left, y down and z forward. A person with a yaw of 0 faces the viewer. Lengths are relative
to the body height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Vector = NDArray[np.float64]

SIDES = ("left", "right")


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> NDArray[np.float64]:
    """The (3, 3) rotation about y, then x, then z, by angles in radians."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def _unit(v: Vector) -> Vector:
    return v / max(float(np.linalg.norm(v)), 1e-9)


def _bend(along: Vector, towards: Vector, angle: float) -> Vector:
    """The unit vector `along`, turned by `angle` radians in the direction of `towards`."""
    side = _unit(towards - along * float(along @ towards))
    return np.cos(angle) * along + np.sin(angle) * side


@dataclass
class Proportions:
    """The lengths of one person's body parts, relative to the body height."""

    head: float
    neck: float
    torso: float
    shoulders: float
    hips: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    foot: float
    girth: float  # a factor of all radii

    @classmethod
    def sample(cls, rng: Rng) -> Proportions:
        """Draw random proportions; 15% are those of a child."""
        child = rng.random() < 0.15
        limb, girth = rng.normal(1.0, 0.06), rng.uniform(0.8, 1.35)

        def about(mean: float) -> float:
            return mean * float(np.clip(rng.normal(1, 0.07), 0.8, 1.2))

        return cls(
            head=about(0.088 if child else 0.066),
            neck=about(0.035),
            torso=about(0.29),
            shoulders=about(0.105) * (0.7 + 0.3 * girth),
            hips=about(0.062) * (0.7 + 0.3 * girth),
            upper_arm=about(0.165) * limb,
            forearm=about(0.15) * limb,
            thigh=about(0.235) * limb,
            shin=about(0.225) * limb,
            foot=about(0.075),
            girth=girth,
        )


def _arm(rng: Rng, sign: float) -> tuple[Vector, Vector]:
    """The directions of the upper arm and the forearm in body axes. `sign` is 1 on the left and -1 on the right."""
    mode = rng.choice(5, p=[0.38, 0.16, 0.18, 0.14, 0.14])
    low, high, turn, flex = [
        (4, 28, (-20, 50), (0, 45)),  # hanging
        (20, 55, (-40, 40), (60, 125)),  # hand near the hip or chest
        (105, 172, (-20, 60), (0, 100)),  # raised
        (60, 110, (-20, 30), (0, 90)),  # sideways
        (35, 100, (60, 110), (0, 80)),  # forward
    ][mode]
    lift, azimuth = np.radians(rng.uniform(low, high)), np.radians(rng.uniform(*turn))  # type: ignore[arg-type]
    upper = np.array([np.sin(lift) * np.cos(azimuth), np.cos(lift), np.sin(lift) * np.sin(azimuth)])
    towards = np.array([rng.uniform(-1, 0.2), rng.uniform(-1, 0.1), rng.uniform(0.3, 1)])
    fore = _bend(upper, towards, np.radians(rng.uniform(*flex)))  # type: ignore[arg-type]
    mirror = np.array([sign, 1, 1])
    return upper * mirror, fore * mirror


def _legs(rng: Rng) -> list[tuple[Vector, Vector]]:
    """The directions of thigh and shin in body axes, for the left and the right leg."""
    mode = rng.choice(["stand", "walk", "wide", "sit", "squat"], p=[0.42, 0.27, 0.16, 0.09, 0.06])
    swing = rng.uniform(8, 38) * rng.choice([-1, 1])
    legs = []
    for sign in (1.0, -1.0):
        if mode == "walk":
            flex, spread = swing * sign + rng.normal(0, 4), rng.uniform(-2, 8)
            knee = rng.uniform(0, 25) if flex > 0 else rng.uniform(10, 70)
        elif mode == "wide":
            flex, spread, knee = rng.uniform(-8, 25), rng.uniform(10, 38), rng.uniform(0, 35)
        elif mode == "sit":
            flex, spread, knee = rng.uniform(65, 95), rng.uniform(0, 22), rng.uniform(60, 100)
        elif mode == "squat":
            flex, spread, knee = rng.uniform(35, 80), rng.uniform(5, 30), rng.uniform(50, 120)
        else:
            flex, spread, knee = rng.uniform(-6, 12), rng.uniform(-1, 9), rng.uniform(0, 14)
        f, s = np.radians(flex), np.radians(spread)
        thigh = np.array([np.sin(s), np.cos(s) * np.cos(f), np.cos(s) * np.sin(f)])
        shin = _bend(thigh, np.array([0.0, 0.0, -1.0]) - thigh * 0.2, np.radians(knee))
        mirror = np.array([sign, 1, 1])
        legs.append((thigh * mirror, shin * mirror))
    return legs


@dataclass
class Body:
    """A posed body.

    Attributes:
        size: its proportions.
        joints: by name, (3,) positions in world axes relative to the middle of the hips, in body heights.
        trunk: (3, 3) from axes of the trunk to world axes.
        face: (3, 3) from axes of the head to world axes.
    """

    size: Proportions
    joints: dict[str, Vector]
    trunk: NDArray[np.float64]
    face: NDArray[np.float64]

    @classmethod
    def sample(cls, rng: Rng) -> Body:
        """Draw random proportions and a random pose."""
        size = Proportions.sample(rng)
        # most photographs show people from the front; views from the back and the side teach left and right
        yaw = rng.choice([0, np.pi, np.pi / 2, -np.pi / 2], p=[0.5, 0.22, 0.14, 0.14]) + rng.normal(0, 0.38)
        roll = rng.normal(0, 0.1) if rng.random() < 0.88 else rng.normal(0, 0.5)
        stance = rotation(roll=roll) @ rotation(pitch=rng.normal(0.05, 0.1)) @ rotation(yaw=yaw)
        trunk = stance @ rotation(rng.normal(0, 0.15), rng.normal(-0.06, 0.13), rng.normal(0, 0.08))
        face = trunk @ rotation(rng.normal(0, 0.35), rng.normal(0, 0.16), rng.normal(0, 0.12))
        joints = {"pelvis": np.zeros(3), "neck": trunk @ np.array([0, -size.torso, 0])}
        joints["head"] = joints["neck"] + face @ np.array([0, -size.neck - size.head * 0.95, size.head * 0.15])
        for side, sign, (thigh, shin) in zip(SIDES, (1.0, -1.0), _legs(rng), strict=True):
            upper, fore = _arm(rng, sign)
            at = joints[f"{side}_shoulder"] = trunk @ np.array([sign * size.shoulders, -size.torso * 0.96, 0])
            at = joints[f"{side}_elbow"] = at + trunk @ upper * size.upper_arm
            at = joints[f"{side}_wrist"] = at + trunk @ fore * size.forearm
            joints[f"{side}_hand"] = at + trunk @ fore * size.forearm * 0.3
            at = joints[f"{side}_hip"] = trunk @ np.array([sign * size.hips, 0, 0])
            at = joints[f"{side}_knee"] = at + stance @ thigh * size.thigh
            at = joints[f"{side}_ankle"] = at + stance @ shin * size.shin
            toe = _unit(_bend(shin, np.array([sign * 0.2, 0.1, 1.0]), np.radians(75)))
            joints[f"{side}_toe"] = at + stance @ toe * size.foot
        return cls(size, joints, trunk, face)

    def extent(self) -> tuple[Vector, Vector]:
        """The smallest and the largest x and y of the joints and the head, in body heights."""
        points = np.array(list(self.joints.values()))[:, :2]
        head = self.joints["head"][:2]
        radius = self.size.head * 1.25
        points = np.concatenate([points, head[None] - radius, head[None] + radius])
        return points.min(0), points.max(0)
