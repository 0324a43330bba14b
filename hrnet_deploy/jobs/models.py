"""The model cards as a list, and the published checkpoints."""

from __future__ import annotations

from hrnet_deploy import cards
from hrnet_deploy.downloads import cache_folder, offers
from hrnet_deploy.results.inspection import CardList, CardSummary, CheckpointList, CheckpointSummary


def models() -> CardList:
    """A line for each card: its network, its input, and the first published figure."""
    return CardList([_summary(card) for card in cards.cards().values()])


def _summary(card: cards.ModelCard) -> CardSummary:
    published = next((p.figure for p in card.published if p.figure), "")
    own = "weights included" if card.checkpoint else ""
    return CardSummary(card.name, card.architecture.title, card.input.size, published or own)


def published_checkpoints() -> CheckpointList:
    """A line for each published checkpoint, with what is known of it and whether it is kept here."""
    folder = cache_folder()
    return CheckpointList(
        [
            CheckpointSummary(
                name, o.published.figure, o.published.url, o.published.sha256_prefix, (folder / o.file_name).is_file()
            )
            for name, o in offers().items()
        ]
    )
