"""The landmark task: one crop per face in, heatmaps out, landmarks in pixels of the image.

Source of the test protocol: HRNet-Facial-Landmark-Detection, lib/datasets/ and lib/core/function.py (validate,
inference). The flip test is that of mmpose, because the official repository has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.landmarks.metrics import FACE_METRICS
from hrnet_deploy.tasks.pose.metrics import Metric
from hrnet_deploy.tasks.pose.task import PoseTask

SCALE = 200  # pixels per unit of the scale of an annotation
LARGEST = 2**24  # of a coordinate


class LandmarkTask(PoseTask):
    """See `tasks.base.Task`. A sample is a face, and a prediction is a `Pose`."""

    metrics: Mapping[str, Metric] = FACE_METRICS
    subjects = "faces"
    # points of the metric: a network that is good has an NME of 1.5 to 5 points
    score_limits: Mapping[str, float] = {"fp32": 0.01, "fp16": 0.05, "bf16": 0.1, "int8": 0.1}

    def _box(self, annotation: Mapping[str, Any], height: int, width: int) -> tuple[float, ...] | None:
        """As for pose; an annotation with a centre and a scale, as data sets of faces have, has the square that these
        say. Raises BadInput where they are no numbers."""
        if "score" in annotation or "center" not in annotation or "scale" not in annotation:
            return super()._box(annotation, height, width)
        try:
            (x, y), side = map(float, annotation["center"]), SCALE * float(annotation["scale"])
            if not all(abs(v) < LARGEST for v in (x, y, side)):  # a NaN is not, either
                raise ValueError("a number is too large, or none")
        except (TypeError, ValueError, OverflowError) as error:
            raise BadInput(
                f"an annotation of image {annotation.get('image_id')} has a center or a scale that cannot be read "
                f"({error}) — give x and y, and the size of the face divided by {SCALE} pixels, or leave them out"
            ) from error
        return (x - side / 2, y - side / 2, side, side) if side > 0 else None
