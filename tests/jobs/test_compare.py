"""What changed between two results: what was put in is found, and nothing else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.results import bench, check, evaluation, examples, region, task

from hrnet_deploy.errors import BadInput
from hrnet_deploy.jobs.compare import CompareRequest
from hrnet_deploy.jobs.compare import compare as job
from hrnet_deploy.results import codec
from hrnet_deploy.results.base import Figure
from hrnet_deploy.results.comparison import CompareResult
from hrnet_deploy.results.figures import Distance

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "benchmarks/results/pose_hrnet_w32_256x192.json"
Run = Callable[..., tuple[int, str, str]]


def compare(base: Path, new: Path, fail_on: str = "") -> CompareResult:
    return job(CompareRequest(base, new, fail_on))


def changed(path: Path, to: Path, change: Callable[[Any], None]) -> Path:
    values = json.loads(path.read_text())
    change(values)
    to.write_text(json.dumps(values))
    return to


def slower(factor: float) -> Callable[[Any], None]:
    """The last row's latency, times a factor."""

    def change(values: Any) -> None:
        region = values["rows"][-1]["regions"]["end_to_end"]
        region["rounds"] = [[factor * t for t in r] for r in region["rounds"]]
        region["milliseconds"]["p50"] *= factor

    return change


def test_two_runs_of_the_same_thing_do_not_differ(checked: Path, tmp_path: Path) -> None:
    for path in (MEASURED, checked):
        found = compare(path, path)
        assert found.changes
        assert not any(c.real for c in found.changes)
    drifted = changed(MEASURED, tmp_path / "drifted.json", slower(1.01))  # within what the rounds themselves did
    assert not any(c.real for c in compare(MEASURED, drifted).changes)


def test_a_tenth_slower_is_found_and_faster_is_no_failure(tmp_path: Path) -> None:
    new = changed(MEASURED, tmp_path / "slow.json", slower(1.1))
    found = compare(MEASURED, new, "latency=5%")
    assert not found.passed
    real = [c for c in found.changes if c.real]
    assert [(c.name, c.worse, c.failed) for c in real] == [("latency", True, True)]
    assert real[0].percent == pytest.approx(10, abs=0.1)
    assert real[0].subject.startswith("ort fp32 pose_hrnet_w32_256x192")
    assert compare(MEASURED, new, "latency=15%").passed
    back = compare(new, MEASURED, "latency=5%")
    assert back.passed and [c.worse for c in back.changes if c.real] == [False]


@pytest.mark.parametrize(
    ("name", "limit", "change"),
    [
        ("ap", "ap=0.3", lambda v: v["task"]["engine"].update(AP=v["task"]["engine"]["AP"] - 0.005)),
        ("pixels", "pixels=0.5", lambda v: v["task"]["distance"]["figures"].update(pixels_mean=1.0)),
    ],
)
def test_half_a_point_and_a_pixel_are_found_one_at_a_time(
    name: str, limit: str, change: Callable[[Any], None], checked: Path, tmp_path: Path, run: Run
) -> None:
    new = changed(checked, tmp_path / "new.json", change)
    found = compare(checked, new, "ap=0.3,pixels=0.5")
    assert [c.name for c in found.changes if c.failed] == [name]
    assert [c.name for c in found.changes if c.real] == [name]
    code, said, _ = run("compare", checked, new, "--fail-on", limit)
    assert code == 1 and "FAILED" in said
    assert run("compare", checked, checked, "--fail-on", limit)[0] == 0
    code, said, _ = run("compare", checked, new, "--json")
    assert code == 0 and json.loads(said)["kind"] == "compare"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--fail-on", "latency"), "is not a valid limit"),
        (("--fail-on", "miou=1"), "the results have no figure miou — they have latency"),
    ],
)
def test_a_limit_on_nothing_is_refused(arguments: tuple[str, ...], sentence: str, run: Run) -> None:
    code, _, err = run("compare", MEASURED, MEASURED, *arguments)
    assert code == 2 and sentence in err


def test_files_that_are_no_results_are_said_to_be_none(checked: Path, tmp_path: Path, run: Run) -> None:
    for path, sentence in (
        (ROOT / "README.md", "is not JSON"),
        (ROOT / "models/demo/images/annotations.json", "it has no kind"),
        (changed(MEASURED, tmp_path / "damaged.json", lambda v: v["rows"][0].pop("engine")), "is damaged at rows[0]"),
        (checked, "have nothing in common"),
        (tmp_path / "nowhere.json", "does not exist"),
    ):
        code, _, err = run("compare", MEASURED, path)
        assert code == 2 and sentence in err and "Traceback" not in err


def written(folder: Path, **results: object) -> Path:
    folder.mkdir()
    for name, result in results.items():
        codec.write(folder / f"{name}.json", result)  # type: ignore[arg-type]
    return folder


def test_folders_are_compared_by_name_so_that_limits_reach_several_kinds(tmp_path: Path, run: Run) -> None:
    slow = [dataclasses.replace(r, regions={n: region(40.0) for n in r.regions}) for r in bench().rows]
    base = written(tmp_path / "base", bench=bench(), check=check())
    new = written(tmp_path / "new", bench=dataclasses.replace(bench(), rows=slow), check=check(), more=evaluation())
    (base / "annotations.json").write_text('{"images": []}')
    limits = "ap=0.3,latency=5%,pixels=0.5"
    code, said, err = run("compare", base, new, "--fail-on", limits)
    assert code == 1 and "FAILED" in said, err
    found = compare(base, new, limits)
    assert {c.name for c in found.changes if c.failed} == {"latency"}
    assert any(s.startswith("more: ") for s in found.only_new) and not found.only_base
    code, _, err = run("compare", base / "bench.json", new / "bench.json", "--fail-on", limits)
    assert code == 2 and "--fail-on ap: the results have no figure ap — they have latency, compute, memory" in err
    assert run("compare", base, base, "--fail-on", limits)[0] == 0
    (tmp_path / "empty").mkdir()
    code, _, err = run("compare", base, tmp_path / "empty")
    assert code == 2 and "holds no results that can be compared" in err


def test_every_kind_that_holds_figures_can_be_compared(tmp_path: Path) -> None:
    for kind, (result, *_) in examples().items():
        path = tmp_path / f"{kind}.json"
        codec.write(path, result)
        if kind in ("compare", "download", "predict", "sensitivity"):
            with pytest.raises(BadInput, match="cannot be compared"):
                compare(path, path)
            continue
        found = compare(path, path)
        assert found.changes and not any(c.real for c in found.changes), kind


def test_detections_that_are_missing_or_extra_are_found(tmp_path: Path) -> None:
    def detector(missing: float, extra: float) -> Path:
        figures = {"detections": 310.0, "missing": missing, "extra": extra, "pixels_mean": 0.1, "score_mean": 0.01}
        distance = Distance({k: Figure(v) for k, v in figures.items()}, "310 detections")
        path = tmp_path / f"{missing}.json"
        codec.write(path, dataclasses.replace(check(), task=task(distance=distance)))
        return path

    found = compare(detector(0.0, 0.0), detector(0.03, 0.01), "missing=0.02,extra=0.02")
    assert {c.name: c.failed for c in found.changes if c.real} == {"missing": True, "extra": False}


def test_a_figure_that_can_no_longer_be_computed_fails_its_limit(tmp_path: Path) -> None:
    codec.write(tmp_path / "a.json", check())
    lost = Distance({**check().task.distance.figures, "pixels_mean": Figure("nan")}, "nothing was found")
    codec.write(tmp_path / "b.json", dataclasses.replace(check(), task=task(distance=lost)))
    found = compare(tmp_path / "a.json", tmp_path / "b.json", "pixels=0.5")
    assert [c.name for c in found.changes if c.failed] == ["pixels"] and not found.passed
    assert compare(tmp_path / "b.json", tmp_path / "b.json", "pixels=0.5").passed


def test_memory_differs_past_its_tolerance_alone(tmp_path: Path) -> None:
    codec.write(tmp_path / "a.json", bench())
    for factor, differs in ((1.04, False), (1.06, True)):
        rows = [dataclasses.replace(r, memory={k: int(factor * v) for k, v in r.memory.items()}) for r in bench().rows]
        codec.write(tmp_path / "b.json", dataclasses.replace(bench(), rows=rows))
        found = compare(tmp_path / "a.json", tmp_path / "b.json")
        assert {c.name for c in found.changes if c.real} == ({"memory"} if differs else set())
