"""The model cards as a list."""

from __future__ import annotations

from hrnet_deploy import cards
from hrnet_deploy.results.inspection import CardList, CardSummary


def models() -> CardList:
    """A line for each card: its network, its input, and the first published figure."""
    return CardList([_summary(card) for card in cards.cards().values()])


def _summary(card: cards.ModelCard) -> CardSummary:
    published = next((f"{p.metric} {p.value:g} ({p.data})" for p in card.published if p.value is not None), "")
    own = "weights included" if card.checkpoint else ""
    return CardSummary(card.name, card.architecture.title, card.input.size, published or own)
