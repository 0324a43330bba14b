"""The published checkpoints that can be downloaded by name. Where they are stands in the model cards."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from hrnet_deploy.cards import ModelCard, Published, cards


@dataclass(frozen=True)
class Offer:
    """A published checkpoint: the name that commands take, the card that lists it, and where it is."""

    name: str
    card: ModelCard
    published: Published

    @property
    def file_name(self) -> str:
        """The name of the file as it is published. It tells how the network was trained, so it is kept."""
        return PurePosixPath(urlsplit(self.published.url).path).name


@functools.cache
def offers() -> dict[str, Offer]:
    """Every published checkpoint by its name: that of its card; where a card lists several, the further ones have the
    first digits of their sha256 behind it, as in pose_hrnet_w32_256x192_udp@73ede547."""
    found = {}
    for card in cards().values():
        for number, published in enumerate(card.published):
            name = f"{card.name}@{published.sha256_prefix}" if number else card.name
            found[name] = Offer(name, card, published)
    return found
