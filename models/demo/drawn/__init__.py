"""A generator of images of drawn people, with keypoints, part labels and boxes, so that no annotation is needed."""

from drawn.scene import Scene, scene

__all__ = ["Scene", "scene"]
