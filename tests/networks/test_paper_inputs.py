"""The nine networks of the paper's cost table at the paper's inputs: the exported graph is the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_deploy.engines.base import Source
from hrnet_deploy.graph.metadata import save_model
from hrnet_deploy.jobs.cost_table import parity_at_input
from hrnet_deploy.workflow.network_export import ExportOptions
from hrnet_deploy.workflow.paper_networks import PaperNetwork, paper_networks
from hrnet_deploy.workflow.random_weights import random_model

# most of a minute per inference on one core, or the same layers as a network that CI exports
BY_HAND = {"PSPNet", "DeepLabV3", "HRNetV2-W48", "ResNet-101", "HRNetV2p-W48"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "network", [pytest.param(n, marks=[pytest.mark.paper] * (n.name in BY_HAND), id=n.name) for n in paper_networks()]
)
def test_the_exported_graph_is_the_network_at_the_papers_input(network: PaperNetwork, tmp_path: Path) -> None:
    model, description = random_model(network.card, ExportOptions(simplify=False))
    save_model(model, tmp_path / "a.onnx")
    found = parity_at_input(Source(network.card, tmp_path / "a.onnx", weights="random"), description)
    if network.card.task == "detection":
        assert ": 0 without a match, 0 only in the other result" in found.sentence
    else:
        assert found.relative is not None and 0 < found.relative < 1e-4
