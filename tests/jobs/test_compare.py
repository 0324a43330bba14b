"""What changed between two results: what was put in is found, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hrnet_deploy.jobs.compare import compare

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "benchmarks/results/pose_hrnet_w32_256x192.json"
Run = Callable[..., tuple[int, str, str]]


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
        (("--fail-on", "latency"), "is no limit"),
        (("--fail-on", "miou=1"), "the results hold no miou — they hold latency"),
    ],
)
def test_a_limit_on_nothing_is_refused(arguments: tuple[str, ...], sentence: str, run: Run) -> None:
    code, _, err = run("compare", MEASURED, MEASURED, *arguments)
    assert code == 2 and sentence in err


def test_files_that_are_no_results_are_said_to_be_none(checked: Path, tmp_path: Path, run: Run) -> None:
    for path, sentence in (
        (ROOT / "README.md", "is not JSON"),
        (ROOT / "models/demo/images/annotations.json", "is no result that can be compared"),
        (changed(MEASURED, tmp_path / "damaged.json", lambda v: v["rows"][0].pop("memory")), "is a damaged result"),
        (checked, "have nothing in common"),
        (tmp_path / "nowhere.json", "does not exist"),
    ):
        code, _, err = run("compare", MEASURED, path)
        assert code == 2 and sentence in err and "Traceback" not in err
