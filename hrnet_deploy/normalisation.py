"""The mean and the standard deviation of a card's input: in which unit they are, and the same in 0..1."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_deploy.errors import BadInput

WHITE = 255.0  # the largest value of a pixel
LEAST_STD_OF_255 = 10.0  # without a mean, only a standard deviation as large as this is surely of 0..255
UNITS = "of pixel values from 0 to 1 (0.485, 0.229) or from 0 to 255 (123.675, 58.395)"

Values = tuple[float, ...]


def in_unit_range(mean: Sequence[float], std: Sequence[float]) -> tuple[Values, Values, str]:
    """Mean and standard deviation of pixel values from 0 to 1, from those of 0 to 1 or of 0 to 255.

    Configurations of the mm* projects have them of 0 to 255. A mean over 1 can only be that.

    Returns:
        The mean, the standard deviation, and what was converted (empty if nothing was).

    Raises:
        BadInput: they are of two units, or of none.
    """
    if len(mean) != len(std):
        raise BadInput(
            f"input.mean has {len(mean)} values and input.std {len(std)} — give one of each for every channel"
        )
    if not_positive := [s for s in std if s <= 0]:
        raise BadInput(f"input.std has the value {not_positive[0]:g}, which is not over 0 — give it {UNITS}")
    for name, values in (("mean", mean), ("std", std)):
        if wrong := [v for v in values if not 0 <= v <= WHITE]:
            raise BadInput(f"input.{name} has the value {wrong[0]:g} — give it {UNITS}")
    of_bytes = any(m > 1 for m in mean) or (not any(mean) and all(s >= LEAST_STD_OF_255 for s in std))
    mixed = any(0 < m <= 1 for m in mean) or any(s < 1 for s in std) if of_bytes else any(s > 1 for s in std)
    if mixed:
        raise BadInput(
            f"input.mean ({_listed(mean)}) and input.std ({_listed(std)}) are of different units — give both {UNITS}"
        )
    if not of_bytes:
        if small := [s for s in std if s * (WHITE + 1) < 1]:
            raise BadInput(
                f"input.std has the value {small[0]:g}, which is less than one step of a pixel — it was divided by 255 "
                f"twice; give it {UNITS}"
            )
        return tuple(mean), tuple(std), ""
    mean, std = (tuple(v / WHITE for v in values) for values in (mean, std))
    return (
        mean,
        std,
        f"the card's mean and std are of pixel values from 0 to 255, and were divided by 255: mean {_listed(mean)}, "
        f"std {_listed(std)}",
    )


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{v:.4g}" for v in values)
