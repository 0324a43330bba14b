"""run: a stage is reused only where everything that decides it is the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import generate
import pytest
from support.demo import NAME

from hrnet_deploy.bench.rows import RowAndSpec
from hrnet_deploy.bench.run import Schedule
from hrnet_deploy.files import json_text
from hrnet_deploy.jobs import run as module
from hrnet_deploy.jobs.run import RunRequest
from hrnet_deploy.jobs.run import run as job
from hrnet_deploy.results.bench import BenchResult, Region
from hrnet_deploy.results.codec import to_dict
from hrnet_deploy.results.figures import TaskFigures
from hrnet_deploy.results.run import RunResult
from hrnet_deploy.workflow import stages
from hrnet_deploy.workflow.split import Split

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    generate.generate(folder, range(80), seed=10_004)
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other people, whose files have the same names."""
    folder = tmp_path_factory.mktemp("others")
    generate.generate(folder, range(40), seed=10_005)
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement whose times are the seconds that it was asked to measure for."""

    def measured(rows: list[RowAndSpec], schedule: Schedule, *_: object) -> BenchResult:
        region = Region([[1000 * schedule.seconds]] * 6, steady=True)
        return BenchResult(rows=[dataclasses.replace(row, regions={"compute": region}) for row, _ in rows])

    monkeypatch.setattr(module, "measure", measured)


def figures(result: RunResult) -> dict[str, TaskFigures | None]:
    return {s.name: s.figures for s in result.stages}


def written(result: RunResult) -> str:
    """The measurement as its file has it: what is read from a file has lists where a new result has tuples."""
    return json_text(to_dict(result.result))


def redone(result: RunResult) -> dict[str, str]:
    return {s.name: s.redone for s in result.stages if not s.reused}


def test_a_stage_is_done_again_where_something_that_decides_it_has_changed(
    quick: None, tiny_checkpoint: Path, people: Path, others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    request = RunRequest(
        str(tiny_checkpoint), folder, Split(people, calibration_images=4, held_out=4), ("ort",), ("fp32",), seconds=1.0
    )
    first = job(request)
    assert redone(first) == {"export": "", "check fp32 in ort": "", "bench": ""}
    same = job(request)
    assert redone(same) == {} and figures(same) == figures(first) and written(same) == written(first)

    longer = job(dataclasses.replace(request, seconds=2.0))
    assert redone(longer) == {"bench": "the schedule changed"}
    assert longer.result.rows[0].regions["compute"].summary.p50 == 2000.0

    elsewhere = dataclasses.replace(request, split=dataclasses.replace(request.split, images=others), seconds=2.0)
    moved = job(elsewhere)
    assert redone(moved) == {"check fp32 in ort": "the test images changed"}
    assert figures(moved)["check fp32 in ort"] != figures(first)["check fp32 in ort"]
    more = job(dataclasses.replace(elsewhere, split=dataclasses.replace(elsewhere.split, held_out=6)))
    assert redone(more) == {"check fp32 in ort": "the test images changed"}
    found = figures(more)["check fp32 in ort"]
    assert found is not None and found.images == 6

    assert redone(job(request)) == {"check fp32 in ort": "the test images changed", "bench": "the schedule changed"}
    monkeypatch.setattr(stages, "software", lambda: "another version")
    assert set(redone(job(request)).values()) == {"the software changed"}
    assert redone(job(request)) == {}


def test_annotations_that_change_are_other_images(
    quick: None, tiny_checkpoint: Path, others: Path, tmp_path: Path
) -> None:
    generate.generate(tmp_path / "images", range(8), seed=7)
    request = RunRequest(
        str(tiny_checkpoint), tmp_path / "out", Split(tmp_path / "images", held_out=4), ("ort",), ("fp32",)
    )
    assert job(request).passed
    path = tmp_path / "images" / "annotations.json"
    content = json.loads(path.read_text())
    content["annotations"] = [a for a in content["annotations"] if a["id"] % 2]
    path.write_text(json.dumps(content))
    assert redone(job(request)) == {"check fp32 in ort": "the test images changed"}


def test_a_stage_that_failed_is_done_again(quick: None, tiny_checkpoint: Path, people: Path, tmp_path: Path) -> None:
    """int8 of random weights loses too much."""
    request = RunRequest(
        str(tiny_checkpoint), tmp_path / "out", Split(people, calibration_images=4, held_out=4), ("ort",), ("int8",)
    )
    first = job(request)
    assert [(s.name, s.passed) for s in first.stages] == [("export", True), ("int8_ort", False)]
    assert first.result.rows == () and not first.passed
    again = job(request)
    reason = "the earlier run failed, was interrupted, or did not record its inputs"
    assert redone(again) == {"int8_ort": reason}


@pytest.mark.slow
def test_a_run_goes_from_a_checkpoint_to_figures_and_goes_on_where_it_was(
    people: Path, tmp_path: Path, run: Run
) -> None:
    folder = tmp_path / "out"
    command = (
        "run",
        NAME,
        "-o",
        folder,
        "--images",
        people,
        "--engine",
        "ort",
        "--calibration-images",
        24,
        "--seconds",
        1,
        "--max-drop",
        4,
        "--json",
    )
    code, said, err = run(*command)
    assert code == 0, said + err
    first = json.loads(said)
    assert [s["name"] for s in first["stages"]] == [
        "export",
        "check fp32 in ort",
        "int8_ort",
        "check int8 in ort",
        "bench",
    ]
    assert [r["precision"] for r in first["result"]["rows"]] == ["fp32", "fp32", "int8"]
    assert all(r["status"] == "ok" for r in first["result"]["rows"])
    assert not [s for s in first["stages"] if s["reused"] or s["redone"]]
    written = {p: p.stat().st_mtime_ns for p in folder.iterdir() if p.name != "run.json"}
    again = json.loads(run(*command)[1])
    assert [{**s, "reused": False} for s in again["stages"]] == first["stages"]
    assert all(s["reused"] for s in again["stages"])
    assert again["result"]["rows"] == first["result"]["rows"]
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir() if p.name != "run.json"} == written
    (folder / "bench.json").unlink()  # as an interrupted run leaves it
    code, said, _ = run(*command)
    assert code == 0
    assert [s["reused"] for s in json.loads(said)["stages"]] == [True, True, True, True, False]


@pytest.mark.slow
def test_another_engine_other_images_and_another_duration_give_new_figures(
    tiny_checkpoint: Path, people: Path, others: Path, tmp_path: Path
) -> None:
    """The whole of it, measured: nothing of the first run is shown for the second."""
    split = Split(people, calibration_images=8, held_out=12)
    first_request = RunRequest(str(tiny_checkpoint), tmp_path / "out", split, ("ort",), ("fp32",), seconds=0.3)
    first = job(first_request)
    second_request = dataclasses.replace(
        first_request, split=dataclasses.replace(split, images=others), engines=("openvino",), seconds=0.6
    )
    second = job(second_request)
    assert {s.name: (s.reused, s.redone) for s in second.stages} == {
        "export": (True, ""),
        "check fp32 in openvino": (False, ""),
        "bench": (False, "the rows, the model files, the schedule changed"),
    }
    assert figures(first)["check fp32 in ort"] != figures(second)["check fp32 in openvino"]
    assert [r.engine for r in second.result.rows] == ["torch", "openvino"]
    assert first.result.rows[0].regions != second.result.rows[0].regions
    third = job(second_request)
    assert all(s.reused for s in third.stages)
    assert written(third) == written(second) and figures(third) == figures(second)


def test_a_folder_of_another_checkpoint_is_refused(tiny_onnx: Path, people: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "fp32.onnx").write_bytes(tiny_onnx.read_bytes())
    code, _, err = run("run", NAME, "-o", tmp_path, "--images", people)
    assert code == 2
    assert "holds a run of another checkpoint" in err


def test_a_file_is_no_folder_for_a_run(people: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "out").write_text("mine")
    code, _, err = run("run", NAME, "-o", tmp_path / "out", "--images", people, "--engine", "ort")
    assert (code, "is a file — name a folder" in " ".join(err.split())) == (2, True)
    assert (tmp_path / "out").read_text() == "mine"


def test_run_names_the_precisions_it_knows(people: Path, tmp_path: Path, run: Run) -> None:
    code, _, err = run("run", NAME, "-o", tmp_path / "out", "--images", people, "--precision", "int4")
    assert code == 2 and "choose among fp32, fp16, int8" in err
    assert not (tmp_path / "out").exists()
