"""The cost table: what it measures, what it keeps after an interrupt, what it says where it cannot."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.progress import Counted
from support.tiny import TINY

from hrnet_deploy.bench.machine import Machine
from hrnet_deploy.bench.training import TrainingSpec, measure_training
from hrnet_deploy.cards import card, folder
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput, DeployError, Unavailable
from hrnet_deploy.files import json_text
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.jobs.cost_table import CostTableRequest, _score, cost_table
from hrnet_deploy.progress import SILENT
from hrnet_deploy.results.codec import to_dict
from hrnet_deploy.results.cost_table import CostTableResult
from hrnet_deploy.workflow.network_export import export_network
from hrnet_deploy.workflow.paper_networks import PaperNetwork, paper_networks

TINY_CARD = dataclasses.replace(card("pose_hrnet_w32_256x192"), name="tiny", architecture=TINY).resized(64, 64)
PAPER = paper_networks(quick=True)[1].paper


def json_values(result: CostTableResult) -> Any:
    """The result as JSON has it."""
    return json.loads(json_text(to_dict(result)))


def kept(path: Path) -> Any:
    """What a result file holds."""
    return json.loads(path.read_text())


def test_the_table_is_the_papers() -> None:
    found = paper_networks()
    assert [c.name for c in found] == [
        "SB-ResNet-152",
        "HRNetV1-W48",
        "PSPNet",
        "DeepLabV3",
        "HRNetV2-W48",
        "ResNet-101",
        "ResNeXt-101",
        "HRNetV2p-W32",
        "HRNetV2p-W48",
    ]
    assert [c.card.task for c in found] == ["pose"] * 2 + ["segmentation"] * 3 + ["detection"] * 4
    assert {c.card.task: c.card.input.size for c in found} == {
        "pose": "256x192",
        "segmentation": "1024x2048",
        "detection": "800x1344",
    }
    assert [c.paper.inference_s for c in found] == [0.030, 0.058, 0.397, 0.411, 0.150, 0.087, 0.144, 0.101, 0.116]
    assert [c.paper.training_s for c in found] == [1.085, 1.231, 0.837, 0.850, 0.692, 0.550, 1.183, 0.690, 0.965]


def test_a_column_is_measured_in_float_and_int8_and_kept(tmp_path: Path) -> None:
    table = [PaperNetwork("first", TINY_CARD, PAPER), PaperNetwork("second", TINY_CARD, PAPER)]
    request = CostTableRequest(
        tmp_path / "table.json", engines=("torch", "ort"), quick=True, command="the command", networks=table[:1]
    )
    found = cost_table(request)
    assert found.columns[0].result is not None and found.columns[0].parity is not None
    assert [(r.engine, r.precision, r.status, r.weights) for r in found.columns[0].result.rows] == [
        ("torch", "fp32", "ok", "random"),
        ("ort", "fp32", "ok", "random"),
        ("ort", "int8", "ok", "random"),
    ]
    assert found.command == "the command" and found.environment is not None and found.started
    assert kept(request.output) == json_values(found)
    assert 0 < (found.columns[0].parity.relative or 0) < 1e-4
    progress = Counted()
    again = cost_table(dataclasses.replace(request, networks=table), progress)
    assert [c.name for c in again.columns] == ["first", "second"]
    assert json_values(again)["columns"][0] == json_values(found)["columns"][0]
    assert not any(s.startswith("first") for s in progress.stages)
    assert progress.units["second: measuring, compute"] == 6 * 3
    with pytest.raises(BadInput, match="other settings"):
        cost_table(dataclasses.replace(request, engines=("ort",), networks=table))


def test_asking_for_some_columns_keeps_the_others(tmp_path: Path) -> None:
    table = [PaperNetwork(n, dataclasses.replace(TINY_CARD, name=n), PAPER) for n in ("first", "second", "third")]
    request = CostTableRequest(tmp_path / "table.json", engines=("ort",), quick=True, networks=table)
    cost_table(dataclasses.replace(request, cards=("third",)))
    found = cost_table(dataclasses.replace(request, cards=("first",)))
    assert [(c.name, c.result is not None) for c in found.columns] == [("first", True), ("third", True)]
    assert kept(request.output) == json_values(found)


def test_a_table_of_an_earlier_version_is_completed(tmp_path: Path) -> None:
    """Schema 1 called it a suite, and kept what engines say of themselves as free facts."""
    request = CostTableRequest(
        tmp_path / "table.json", engines=("ort",), quick=True, networks=[PaperNetwork("first", TINY_CARD, PAPER)]
    )
    cost_table(request)
    values = kept(request.output)
    values |= {"schema": 1, "kind": "suite"}
    (column,) = values["columns"]
    column["result"] |= {"schema": 1}
    for row in column["result"]["rows"]:
        row["facts"] = {"provider": row.pop("info")["provider"], "threads": row["threads"]}
    request.output.write_text(json.dumps(values))
    more = [*request.networks, PaperNetwork("second", TINY_CARD, PAPER)]
    progress = Counted()
    found = cost_table(dataclasses.replace(request, networks=more), progress)
    assert not any(s.startswith("first") for s in progress.stages)
    first, second = (c.result for c in found.columns)
    assert first is not None and second is not None
    assert first.rows[0].info.provider == second.rows[0].info.provider == "CPUExecutionProvider"


def test_what_cannot_be_measured_says_why_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "tiny.pth").write_bytes(b"not a checkpoint")
    bad = PaperNetwork("bad", TINY_CARD, PAPER)
    good = PaperNetwork("good", dataclasses.replace(TINY_CARD, name="good"), PAPER)
    request = CostTableRequest(
        tmp_path / "table.json", engines=("ort",), quick=True, checkpoints=tmp_path, networks=[bad, good]
    )
    found = {c.name: c for c in cost_table(request).columns}
    assert found["bad"].result is None
    assert "tiny.pth" in found["bad"].reason
    assert found["good"].result is not None and found["good"].result.rows[0].status == "ok"


def test_a_graph_that_is_not_the_network_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(network: torch.nn.Module, *rest: Any) -> Any:
        with torch.no_grad():
            next(network.parameters()).mul_(1.01)
        return export_network(network, *rest)

    monkeypatch.setattr("hrnet_deploy.workflow.random_weights.export_network", other)
    network = PaperNetwork("other", TINY_CARD, PAPER)
    request = CostTableRequest(tmp_path / "table.json", engines=("ort",), quick=True, networks=[network])
    (column,) = cost_table(request).columns
    assert column.result is None
    assert (
        "its ONNX file does not compute what PyTorch does (heatmaps on noise: relative difference is 0.0"
        in column.reason
    )


def test_when_the_minutes_are_over_nothing_is_begun(tmp_path: Path) -> None:
    network = PaperNetwork("late", TINY_CARD, PAPER)
    request = CostTableRequest(tmp_path / "table.json", engines=("ort",), quick=True, minutes=0, networks=[network])
    (column,) = cost_table(request).columns
    assert column.result is None
    assert "run the same command again to continue" in column.reason


def test_an_image_that_cannot_be_read_is_left_out_of_the_score_and_listed(tiny_onnx: Path, tmp_path: Path) -> None:
    shutil.copytree(folder() / "demo" / "images", tmp_path / "pose")
    broken = tmp_path / "pose" / "000003.jpg"
    broken.write_bytes(broken.read_bytes()[:2000])
    request = CostTableRequest(tmp_path / "table.json", data=tmp_path)
    score = _score(Source(read_description(tiny_onnx).card, tiny_onnx), request, SILENT)
    assert score is not None and score.metric == "AP"
    assert score.data == f"5 images of {tmp_path / 'pose'}, without 1 that cannot be read"
    assert [s.file for s in score.skipped] == [str(broken)]


def test_an_engine_that_cannot_run_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    request = CostTableRequest(
        tmp_path / "table.json", engines=("trt",), networks=[PaperNetwork("t", TINY_CARD, PAPER)]
    )
    with pytest.raises(Unavailable, match="the trt engine cannot run here: this machine has no NVIDIA driver"):
        cost_table(request)
    assert not (tmp_path / "table.json").exists()


def test_a_training_without_a_gpu_or_with_broken_weights_is_refused() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(Unavailable, match="PyTorch sees no GPU — remove the GPU engines"):
            TrainingSpec(TINY_CARD, 2, 1, "cuda").open()
    trained = TrainingSpec(TINY_CARD, 2, 1).open()
    with torch.no_grad():
        next(trained.network.parameters()).fill_(float("nan"))
    with pytest.raises(DeployError, match="the loss is not finite — the network or its weights are broken"):
        trained.step()


def test_a_training_step_is_measured_in_a_process_of_its_own() -> None:
    progress = Counted()
    with Machine() as machine:
        (row,) = measure_training(TINY_CARD, PAPER.training_batch, machine, quick=True, progress=progress).rows
    assert row.status == "ok", row.reason
    assert row.batch == 2
    assert row.seconds > 0
    assert row.peak_bytes > 1e6
    assert progress.units["training steps with a batch of 2"] == 3


def test_the_command_line(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, _, err = run("bench", "--task", "poses", "-o", tmp_path / "t.json")
    assert code == 2
    assert "no task 'poses'" in err
    code, _, err = run("bench", "--card", "pose_hrnet_w32_256x192", "-o", tmp_path / "t.json")
    assert code == 2
    assert "no card 'pose_hrnet_w32_256x192'" in err
    code, _, err = run("bench", "--quick", "--card", "pose_hrnet_w32_256x192", "--weights", "random")
    assert code == 2
    assert "for the cost table" in err
    code, _, err = run(
        "bench", "--task", "segmentation", "--card", "faster_rcnn_hrnetv2p_w32_800x1344", "-o", tmp_path / "t.json"
    )
    assert code == 2
    assert "no network of the cost table has that task and that card — leave one of them out" in " ".join(err.split())
    two = ("--card", "pose_hrnet_w32_256x192", "--card", "pose_hrnet_w48_256x192")
    code, _, err = run("bench", "--weights", "random", *two)
    assert code == 2
    assert "--weights random takes one card — name one" in " ".join(err.split())
    (tmp_path / "other.json").write_text("{}")
    code, _, err = run("bench", "-o", tmp_path / "other.json")
    assert code == 2
    assert "is not a cost table" in err
    assert (tmp_path / "other.json").read_text() == "{}"
