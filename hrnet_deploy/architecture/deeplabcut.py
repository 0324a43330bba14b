"""The HRNet of DeepLabCut 3, for the pose of one animal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from hrnet_deploy.architecture.base import Fit, HRNetArchitecture
from hrnet_deploy.architecture.body import Body, of_channels


@dataclass(frozen=True)
class DeepLabCut(HRNetArchitecture):
    """Two heads on the high-resolution branch: `heatmaps` (N, keypoints, h, w), and `locref` (N, 2 keypoints, h, w),
    the offsets of each keypoint as x, y, x, y, ..., in units of DeepLabCut's `locref_std`.

    With `deconv` a head is a transposed convolution of kernel 3 and stride 2 without padding, so that n rows become
    2 n + 1, at 1/2 of the input size (bottom-up networks). Otherwise it is a 1x1 convolution, at 1/4 (top-down
    networks).

    A keypoint is the place of a heatmap's maximum, moved by `locref` times `locref_std` pixels; a `locref_std` of 0
    leaves it there. Its score is the value of the heatmap: `clipped` to 0..1, `raw`, or the `sigmoid` of it."""

    family: ClassVar[str] = "deeplabcut"
    task: ClassVar[str] = "pose"
    outputs: ClassVar[tuple[str, ...]] = ("heatmaps", "locref")
    not_in_weights: ClassVar[tuple[str, ...]] = ("locref_std", "scores")
    body: Body
    keypoints: int
    deconv: bool = True
    locref_std: float = 7.2801
    scores: Literal["clipped", "raw", "sigmoid"] = "clipped"
    image_channels: int = 3

    @property
    def title(self) -> str:
        kind = "1/2" if self.deconv else "1/4"
        name = f"DeepLabCut HRNet-{self.body.title} pose, {self.keypoints} keypoints at {kind}"
        return name + of_channels(self.image_channels)

    @property
    def stride(self) -> int:
        """Pixels of the input per pixel of a heatmap."""
        return 2 if self.deconv else 4

    @property
    def labels(self) -> int:
        return self.keypoints

    @property
    def usual_input(self) -> tuple[int, int, Fit]:
        return (448, 448, "place") if self.deconv else (256, 256, "crop")
