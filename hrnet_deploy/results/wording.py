"""Names and figures as text, the same in every table and chart."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Control characters that no document may hold, halves of surrogate pairs that cannot be written, and marks that change
# the direction of the text after them: a name in a file must not be able to rearrange the line around it.
UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
NONE = "–"  # is shown if there is no figure

PARTS = {"validation": "validation set", "test": "test set"}  # which part of the images a trial was judged on


def clean(text: object) -> str:
    """Any value from a file as text that is safe in any document."""
    return UNFIT.sub("\ufffd", str(text))


def said(value: object) -> str:
    """A setting as readable text."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(said, value)) or "none"
    return (
        {True: "yes", False: "no"}[value] if isinstance(value, bool) else "none" if value in (None, "") else str(value)
    )


def ms(value: float) -> str:
    """Milliseconds, without the unit."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def seconds(milliseconds: float) -> str:
    """Seconds with the paper's number of digits, and with two at least, from milliseconds."""
    value = milliseconds / 1000
    return (
        f"{value:.1f}"
        if value >= 100
        else f"{value:.2f}"
        if value >= 10
        else f"{value:.3f}"
        if value >= 0.01
        else f"{value:.2g}"
    )


def megabytes(size: float) -> str:
    """Bytes as MB, without the unit."""
    return f"{size / 1e6:.1f}" if size < 1e7 else f"{size / 1e6:.0f}"


def gigabytes(size: float) -> str:
    """Bytes as GB, without the unit."""
    return f"{size / 1e9:.2f}"


def points(score: float) -> str:
    """A score of 0..1 in points."""
    return f"{100 * score:.2f}"


def figure(name: str, value: float) -> str:
    """A figure of a score: in points, or in pixels if its name ends with px."""
    return f"{value:.2f}" if name.endswith(" px") else points(value)


def signed(value: float) -> str:
    """A value with two decimals and a sign; without a sign if it rounds to zero."""
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def percent(value: float) -> str:
    """A change, with its sign."""
    return f"{value:+.1f}%".replace("-", "−")


def times(value: float) -> str:
    """A ratio."""
    return f"{value:.2f}×"


def between(low: str, high: str) -> str:
    """An interval."""
    return f"{low} to {high}"


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 image", "12 images"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def sentence(text: str) -> str:
    """Text with exactly one full stop at its end."""
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."
