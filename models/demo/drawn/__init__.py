"""A generator of drawn people: images with keypoints, part labels and boxes that cost nothing to annotate."""

from drawn.scene import Scene, scene

__all__ = ["Scene", "scene"]
