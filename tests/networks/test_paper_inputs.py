"""The nine networks of the paper's cost table at the paper's inputs: the exported graph is the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_deploy.engines.base import Source
from hrnet_deploy.graph.metadata import save_model
from hrnet_deploy.jobs.cost_table import Column, columns, parity_at_input
from hrnet_deploy.jobs.export import ExportOptions
from hrnet_deploy.workflow.random_weights import random_model

LONG = {"PSPNet", "DeepLabV3"}  # most of a minute an inference on one core


@pytest.mark.slow
@pytest.mark.parametrize(
    "column", [pytest.param(c, marks=[pytest.mark.paper] * (c.name in LONG), id=c.name) for c in columns()]
)
def test_the_exported_graph_is_the_network_at_the_papers_input(column: Column, tmp_path: Path) -> None:
    model, description = random_model(column.card, ExportOptions(simplify=False))
    save_model(model, tmp_path / "a.onnx")
    found = parity_at_input(Source(column.card, tmp_path / "a.onnx", weights="random"), description)
    if column.task == "detection":
        assert ": 0 without a match, 0 in the other result alone" in found["sentence"]
    else:
        assert 0 < found["relative"] < 1e-4
