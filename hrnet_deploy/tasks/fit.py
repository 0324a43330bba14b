"""Where an image lies in the input of a network that takes whole images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InputFit:
    """How an image was fitted into the network's input. `size` is the height and width of the image. It was scaled to
    fill the first `used` rows and columns of the input; what is to the right and below is padding."""

    image_id: int
    size: tuple[int, int]
    used: tuple[int, int]

    @property
    def zoom(self) -> tuple[float, float]:
        """Pixels of the input per pixel of the image, across and down."""
        return self.used[1] / self.size[1], self.used[0] / self.size[0]
