"""tune on the demo model: the winner is accepted by `check`, and findings are not made twice."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import generate
import pytest
from support.demo import NAME
from support.progress import Counted

from hrnet_deploy.bench.run import Schedule
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.jobs import candidates, tune
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
from hrnet_deploy.workflow.split import Split

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    generate.generate(folder, range(80), seed=10_004)
    return folder


@pytest.mark.slow
def test_the_winner_is_fast_accurate_and_can_be_made_again(people: Path, tmp_path: Path, run: Run) -> None:
    model, out, again = tmp_path / "model.onnx", tmp_path / "best.onnx", tmp_path / "again.onnx"
    assert export(ExportRequest(NAME, model, ExportOptions())).passed
    code, said, err = run(
        "tune",
        model,
        "-o",
        out,
        "--images",
        people,
        "--calibration-images",
        24,
        "--max-drop",
        4,
        "--minutes",
        1,
        "--json",
    )
    assert code == 0, err
    found = json.loads(said)
    tried = {(c["engine"], c["precision"]) for c in found["candidates"]}
    assert tried == {
        ("ort", "fp32"),
        ("ort", "int8"),
        ("openvino", "fp32"),
        ("openvino:precision=bf16", "bf16"),
        ("openvino", "int8"),
    }
    winner = found["candidates"][0]
    assert not winner["rejected"]
    assert winner["milliseconds"] == min(
        c["milliseconds"] for c in found["candidates"] if c["milliseconds"] is not None
    )
    assert found["faster_than_base"]["low"] > 1
    assert read_description(out).precision == ("int8" if winner["precision"] == "int8" else "fp32")
    assert (
        run("check", out, "--against", NAME, "--images", people, "--engine", winner["engine"], "--max-drop", 4)[0] == 0
    )
    if winner["command"]:
        words = shlex.split(winner["command"].replace(str(out), str(again)))
        assert run(*words[1:])[0] == 0
        assert again.read_bytes() == out.read_bytes()


@pytest.mark.slow
def test_what_tune_has_judged_it_does_not_judge_again(
    tiny_onnx: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """int8 of random weights may lose too much; float never does, so there is a winner."""
    monkeypatch.setattr(candidates, "Schedule", lambda seconds, regions: Schedule(0.02, 6, 0.0, 0.02, regions=regions))
    split = Split(people, calibration_images=4, held_out=3)
    request = tune.TuneRequest(
        tiny_onnx, tmp_path / "a.onnx", split, max_drop=100.0, threads=(1,), calibration_cache=tmp_path / "r.npz"
    )
    first, second, third = Counted(), Counted(), Counted()
    done = tune.tune(request, first)
    assert done.winner.figures is not None and done.winner.test_figures is not None
    assert done.winner.figures.images == done.winner.test_figures.images == 3
    assert sum(n for what, n in first.units.items() if what.startswith("judging")) >= 4 * 3
    again = tune.tune(dataclasses.replace(request, output=tmp_path / "b.onnx"), second)
    assert sorted(c.title for c in again.candidates) == sorted(c.title for c in done.candidates)
    # the fastest may be another one this time: of its images for the verdict nothing is known yet
    assert sum(n for what, n in second.units.items() if what.startswith("judging")) <= 2 * 3
    queued = tune.tune(dataclasses.replace(request, output=tmp_path / "c.onnx", throughput=True), third)
    engines = {c.engine for c in queued.candidates}
    assert engines == {"ort", "openvino:mode=throughput", "openvino:precision=bf16,mode=throughput"}
    assert sum(n for what, n in third.units.items() if what.startswith("judging ort")) <= 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--minutes", 0), "--minutes 0 cannot be used — give a number over 0"),
        (("--calibration-images", 0), "need at least one image each"),
        (("--images", "nowhere"), "is not a folder"),
    ],
)
def test_tune_says_what_it_cannot_use(
    arguments: tuple[object, ...], sentence: str, tiny_onnx: Path, people: Path, tmp_path: Path, run: Run
) -> None:
    given = ["--images", people] if "--images" not in arguments else []
    code, _, err = run("tune", tiny_onnx, "-o", tmp_path / "a.onnx", *given, *arguments)
    assert code == 2 and sentence in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_time_in_which_nothing_can_be_judged_is_said(tiny_onnx: Path, people: Path, tmp_path: Path, run: Run) -> None:
    images = ("--images", people, "--calibration-images", 4)
    code, _, err = run("tune", tiny_onnx, "-o", tmp_path / "a.onnx", *images, "--minutes", 1e-6)
    said = " ".join(err.split())
    assert code == 2 and said.count("error: ") == 1
    assert "no candidate was accepted (ort fp32: no time was left to judge it) — allow more with --minutes" in said
    assert not list(tmp_path.iterdir())


def test_a_plan_is_not_tuned(people: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.plan").write_bytes(b"a plan")
    code, _, err = run("tune", tmp_path / "a.plan", "-o", tmp_path / "a.onnx", "--images", people)
    assert code == 2 and "is a plan — tune the ONNX file it was built from" in " ".join(err.split())
