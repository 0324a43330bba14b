"""Parity: what passes, what fails, and what is said of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import onnx
import pytest
import torch
from support.nudging import LAYER, nudged
from support.tiny import SIZE

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import load_model, save_model
from hrnet_deploy.parity import TensorComparison, judge
from hrnet_deploy.results.figures import Budget, Distance, TaskFigures, all_passed
from hrnet_deploy.trace import Tracer

Run = Callable[..., tuple[int, str, str]]


def test_figures_of_tensors_are_what_numpy_says() -> None:
    rng = np.random.default_rng(0)
    r, x = rng.standard_normal((2, 4, 5)), rng.standard_normal((2, 4, 5))
    sums = TensorComparison()
    for a, b in zip(r, x, strict=True):
        sums.add(a, b)
    f = sums.figures("y", "noise")
    assert f.maximum == pytest.approx(np.abs(r - x).max())
    assert f.relative == pytest.approx(np.abs(r - x).max() / np.abs(r).max())
    assert f.cosine == pytest.approx(r.ravel() @ x.ravel() / np.linalg.norm(r) / np.linalg.norm(x))
    assert f.sqnr_db == pytest.approx(10 * np.log10((r**2).sum() / ((r - x) ** 2).sum()))


def test_equal_tensors_have_no_noise_and_broken_ones_are_not_finite() -> None:
    sums = TensorComparison()
    sums.add(np.ones(3), np.ones(3))
    assert (sums.figures("y", "").relative, sums.figures("y", "").sqnr_db) == (0, None)
    sums.add(np.ones(3), np.array([1, np.nan, np.inf]))
    assert not sums.figures("y", "").finite
    assert not all_passed(judge(Budget(), [sums.figures("y", "")], figures(0)))
    broken = TensorComparison()
    broken.add(np.full(3, np.nan), np.ones(3))  # a reference that is none is no reason to pass
    assert not broken.figures("y", "").finite


def test_nothing_judged_is_no_yes() -> None:
    assert judge(Budget(), [], figures(0)) == []
    assert not all_passed([])


def figures(difference: float, **moved: float) -> TaskFigures:
    return TaskFigures(1, 1, [], Distance(moved, ""), "AP", {"AP": 0.7}, {"AP": 0.7}, difference, (-1, 1))


@pytest.mark.parametrize(
    ("difference", "within"),
    [(0.0, True), (-0.4, True), (0.4, True), (-0.6, False), (0.6, False), (float("nan"), False)],
)
def test_a_budget_has_two_sides(difference: float, within: bool) -> None:
    assert all_passed(judge(Budget(drop=0.5), [], figures(difference))) == within


def test_limits_of_the_task_are_held() -> None:
    budget = Budget(distances={"pixels_mean": 0.1, "moved_over_1px": 0.01})
    checks = judge(budget, [], figures(0, pixels_mean=0.2, moved_over_1px=0.005))
    assert [(c.name, c.passed) for c in checks] == [("pixels_mean", False), ("moved_over_1px", True)]
    with pytest.raises(BadInput, match="there is no figure pixels_mean"):
        judge(budget, [], figures(0, other=1))


def test_the_exported_file_passes(tiny_onnx: Path, tiny_checkpoint: Path, run: Run) -> None:
    code, out, err = run("check", tiny_onnx, "--against", tiny_checkpoint)
    assert (code, err) == (0, "")
    assert "Passed: " in out
    assert re.search(r"heatmaps +images", out)


def test_one_nudged_weight_fails_and_is_found(tiny_onnx: Path, tiny_checkpoint: Path, tmp_path: Path, run: Run) -> None:
    bad, report, junit = nudged(tiny_onnx, tmp_path / "bad.onnx"), tmp_path / "r.json", tmp_path / "r.xml"
    code, out, _ = run("check", bad, "--against", tiny_checkpoint, "-o", report, "--junit", junit)
    assert code == 1
    assert "FAILED: " in out
    assert f"First tensor that differs: stage3.0.branches.1.0.bn2 (node {LAYER})" in out
    written = json.loads(report.read_text())
    assert written["passed"] is False
    assert written["first_difference"].startswith("stage3.0.branches.1.0.bn2")
    suite = ElementTree.parse(junit).getroot()[0]
    assert int(suite.get("failures", 0)) > 0
    assert len(suite) == int(suite.get("tests", 0))


def test_json_on_stdout_is_the_report(tiny_onnx: Path, tiny_checkpoint: Path, run: Run) -> None:
    code, out, _ = run("check", tiny_onnx, "--against", tiny_checkpoint, "--json", "--flip-test")
    report = json.loads(out)
    assert code == 0
    assert report["passed"] is True
    assert report["flip_test"] is True
    assert report["task"]["images"] == 6
    assert {t["inputs"] for t in report["tensors"]} == {"noise"}


def test_limits_can_be_set(tiny_onnx: Path, tiny_checkpoint: Path, tmp_path: Path, run: Run) -> None:
    assert run("check", tiny_onnx, "--against", tiny_checkpoint, "--max-relative", "1e-9")[0] == 1
    bad = nudged(tiny_onnx, tmp_path / "bad.onnx", by=0.01)
    generous = ("--max-relative", 1, "--max-pixels", 50, "--max-moved", 1, "--max-score", 1)
    assert run("check", bad, "--against", tiny_checkpoint, *generous)[0] == 0


def test_two_onnx_files_compare_without_torch(
    tiny_onnx: Path, exported: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    code, out, _ = run("check", exported(dynamic=("batch",)), "--against", tiny_onnx)
    assert code == 0
    assert "Passed: " in out
    assert run("check", nudged(tiny_onnx, tmp_path / "bad.onnx"), "--against", tiny_onnx)[0] == 1


@pytest.mark.parametrize("flip", [False, True])
def test_an_embedded_file_is_checked_on_its_keypoints(
    flip: bool, exported: Callable[..., Path], tiny_checkpoint: Path, run: Run
) -> None:
    code, out, _ = run("check", exported(embed=True, batch=2, flip_test=flip), "--against", tiny_checkpoint)
    assert code == 0
    assert "moved" in out


def test_another_checkpoint_of_the_same_shape_is_noticed(
    tiny_onnx: Path, tiny_network: torch.nn.Module, tmp_path: Path, run: Run
) -> None:
    state = {k: v * 1.5 if k == "final_layer.weight" else v for k, v in tiny_network.state_dict().items()}
    torch.save(state, tmp_path / "other.pth")
    code, out, _ = run("check", tiny_onnx, "--against", tmp_path / "other.pth")
    assert code == 1
    assert "according to the file, it was made from another checkpoint" in out


def test_a_checkpoint_of_another_shape_is_refused(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    from hrnet_deploy import architecture as arch
    from hrnet_deploy.networks import build_network

    torch.save(build_network(arch.PoseHRNet(arch.Body.of_width(8, (1, 1, 1), 1))).state_dict(), tmp_path / "w8.pth")
    code, _, err = run("check", tiny_onnx, "--against", tmp_path / "w8.pth")
    assert code == 2
    assert "give the checkpoint it was made from" in err


def test_a_file_without_a_card_is_refused(tiny_onnx: Path, tiny_checkpoint: Path, tmp_path: Path, run: Run) -> None:
    model = load_model(tiny_onnx)
    del model.metadata_props[:]
    save_model(model, tmp_path / "bare.onnx")
    code, _, err = run("check", tmp_path / "bare.onnx", "--against", tiny_checkpoint)
    assert code == 2
    assert "has no model card — make the file with `hrnet-deploy export`" in err


def test_nothing_differs_where_nothing_was_changed(
    tiny_onnx: Path, tiny_network: torch.nn.Module, exported: Callable[..., Path]
) -> None:
    x = {"image": np.random.default_rng(0).standard_normal((1, 3, *SIZE), dtype=np.float32)}
    assert Tracer(tiny_onnx, tiny_network).first_difference(x, 1e-5) is None
    assert (
        Tracer(exported(exporter="torchscript"), tiny_network).first_difference(x, 0.0) is None
    )  # it carries no names


@pytest.mark.parametrize(
    "layer", ["conv1", "layer1.0.conv2", "transition2.2.0.0", "stage4.0.fuse_layers.3.0.1.0", "final_layer"]
)
def test_the_first_tensor_that_differs_is_the_one_that_was_changed(
    layer: str, tiny_onnx: Path, tiny_network: torch.nn.Module, tmp_path: Path
) -> None:
    bad = nudged(tiny_onnx, tmp_path / "bad.onnx", f"{layer}.weight", by=2.0)
    x = {"image": np.random.default_rng(0).standard_normal((1, 3, *SIZE), dtype=np.float32)}
    found = Tracer(bad, tiny_network).first_difference(x, 1e-4)
    assert found is not None
    assert found.node == layer


def test_scores_that_are_off_fail_though_the_points_are_right(
    exported: Callable[..., Path], tiny_checkpoint: Path, tmp_path: Path, run: Run
) -> None:
    model = load_model(exported(embed=True, batch=2))
    scale = onnx.helper.make_tensor("seven", onnx.TensorProto.FLOAT, [], [7.0])
    model.graph.initializer.append(scale)
    for node in model.graph.node:
        node.output[:] = ["true_scores" if o == "scores" else o for o in node.output]
        node.input[:] = ["true_scores" if i == "scores" else i for i in node.input]
    model.graph.node.append(onnx.helper.make_node("Mul", ["true_scores", "seven"], ["scores"], "seven_times"))
    save_model(model, tmp_path / "bad.onnx")
    code, out, _ = run("check", tmp_path / "bad.onnx", "--against", tiny_checkpoint)
    assert code == 1
    assert "score_relative" in out


def test_an_engine_that_gives_no_numbers_fails_with_a_report(
    tiny_onnx: Path, tiny_checkpoint: Path, tmp_path: Path, run: Run
) -> None:
    bad = nudged(tiny_onnx, tmp_path / "bad.onnx", "final_layer.weight", by=float("nan"))
    code, out, err = run(
        "check", bad, "--against", tiny_checkpoint, "-o", tmp_path / "r.json", "--junit", tmp_path / "r.xml"
    )
    assert (code, err) == (1, "")
    assert "heatmaps on noise: finite" in out
    assert json.loads((tmp_path / "r.json").read_text())["tensors"][0]["finite"] is False
    assert (tmp_path / "r.xml").exists()


def test_two_embedded_files_compare(exported: Callable[..., Path], run: Run) -> None:
    assert run("check", exported(embed=True, batch=2), "--against", exported(embed=True, batch=2))[0] == 0


def test_reports_replace_nothing_unless_forced(
    tiny_onnx: Path, tiny_checkpoint: Path, tmp_path: Path, run: Run
) -> None:
    old = tmp_path / "r.json"
    old.write_text("old")
    for option in ("-o", "--junit"):
        code, out, err = run("check", tiny_onnx, "--against", tiny_checkpoint, option, old)
        assert (code, out) == (2, "")
        assert "exists already — pass --force" in err
    assert old.read_text() == "old"
    assert run("check", tiny_onnx, "--against", tiny_checkpoint, "-o", old, "--force")[0] == 0


def test_what_speaks_of_images_needs_them(tiny_onnx: Path, tiny_checkpoint: Path, run: Run) -> None:
    code, _, err = run("check", tiny_onnx, "--against", tiny_checkpoint, "--limit", 3)
    assert code == 2
    assert "need a folder of images" in err


def test_annotations_of_nobody_leave_nothing_to_compare(
    tiny_onnx: Path, tiny_checkpoint: Path, tmp_path: Path, run: Run
) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.full((96, 64, 3), 90, np.uint8))
    content = {
        "images": [{"id": 1, "file_name": "1.png", "height": 96, "width": 64}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    code, _, err = run("check", tiny_onnx, "--against", tiny_checkpoint, "--images", tmp_path)
    assert code == 2
    assert "nothing to compare: the annotations name nothing on any image — check them" in " ".join(err.split())
