"""The networks of the HRNet paper's cost table, as `models/cost_table.yaml` lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hrnet_deploy.cards import COST_TABLE, ModelCard, card, folder
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results import codec
from hrnet_deploy.results.cost_table import CostTableEntry, PaperFigures
from hrnet_deploy.tasks.registry import task_entry


@dataclass(frozen=True)
class PaperNetwork:
    """One network of the table: its card at the input size to measure at, and the paper's figures."""

    name: str
    card: ModelCard
    paper: PaperFigures


def paper_networks(quick: bool = False) -> list[PaperNetwork]:
    """The nine networks, in the paper's order; with small inputs if `quick` is set."""
    import yaml

    table = yaml.safe_load((folder() / COST_TABLE).read_text(encoding="utf-8"))
    networks = []
    for entry in table["columns"]:
        chosen = card(entry["card"]).resized(*entry["quick" if quick else "input"])
        values = {
            "inference_static_s": None,
            **entry["paper"],
            "training_input": "x".join(map(str, entry["training"]["input"])),
            "training_batch": entry["training"]["batch"],
            "metric": task_entry(chosen.task).metric,
            "hardware": table["hardware"],
        }
        paper = codec.convert(values, PaperFigures, f"{COST_TABLE}, {entry['name']}")
        networks.append(PaperNetwork(entry["name"], chosen, paper))
    return networks


def chosen_networks(
    networks: Sequence[PaperNetwork], of_tasks: Sequence[str] = (), of_cards: Sequence[str] = ()
) -> list[PaperNetwork]:
    """The networks of these tasks and cards; empty means all.

    Raises BadInput for a task or card that the table does not have, and if no network has both.
    """
    tasks = dict.fromkeys(n.card.task for n in networks)
    if unknown := [t for t in of_tasks if t not in tasks]:
        raise BadInput(f"the cost table has no task {unknown[0]!r} — it has {', '.join(tasks)}")
    cards = [n.card.name for n in networks]
    if unknown := [c for c in of_cards if c not in cards]:
        raise BadInput(
            f"the cost table has no card {unknown[0]!r} — pass --weights random to measure any card by itself, or "
            f"choose among {', '.join(cards)}"
        )
    found = [n for n in networks if not of_tasks or n.card.task in of_tasks]
    found = [n for n in found if not of_cards or n.card.name in of_cards]
    if not found:
        raise BadInput("no network of the cost table has that task and that card — leave one of them out")
    return found


def empty_entry(network: PaperNetwork) -> CostTableEntry:
    """The entry of a network that is not measured yet."""
    chosen = network.card
    return CostTableEntry(network.name, chosen.task, chosen.name, chosen.input.size, network.paper)
