"""Stages: what makes an earlier result hold, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_deploy.results.bench import BenchResult, BenchRow
from hrnet_deploy.workflow.stages import StageFolder


class Work:
    """Makes a result and a file, and counts how often."""

    def __init__(self, folder: Path) -> None:
        self.output, self.times = folder / "made.bin", 0

    def __call__(self) -> BenchResult:
        self.times += 1
        self.output.write_text("made")
        return BenchResult(rows=[BenchRow("ort", "a.onnx", "card", "fp32", "random", 1, self.times)])


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def do(work: Work, good: bool = True, **inputs: str) -> tuple[bool, str]:
    named = {name.replace("_", " "): value for name, value in inputs.items()}
    stage = StageFolder(work.output.parent)
    result, reused, redone = stage.run_or_reuse("a stage", BenchResult, named, work, lambda _: good, [work.output])
    assert result.rows[0].threads == work.times
    return reused, redone


def test_the_same_inputs_give_the_earlier_result(work: Work) -> None:
    assert do(work, the_images="1") == (False, "")
    assert do(work, the_images="1") == (True, "")
    assert work.times == 1


def test_an_input_that_changed_appeared_or_went_is_named(work: Work) -> None:
    do(work, the_images="1")
    assert do(work, the_images="2", the_engine="ort") == (False, "the images, the engine changed")
    assert do(work, the_images="2") == (False, "the engine changed")
    assert do(work, the_images="2") == (True, "")


def test_a_file_that_was_changed_or_deleted_is_made_again(work: Work) -> None:
    do(work)
    work.output.write_text("something else")
    assert do(work) == (False, "made.bin is missing or was changed")
    work.output.unlink()
    assert do(work) == (False, "made.bin is missing or was changed")
    result = work.output.with_name("a_stage.json")
    result.write_text(result.read_text().replace('"card"', '"card" '))
    assert do(work) == (False, "a_stage.json was changed")


def test_a_result_without_a_record_or_with_a_damaged_one_is_made_again(work: Work) -> None:
    do(work)
    record = work.output.with_name("a_stage.inputs.json")
    record.write_text("{}")
    assert do(work)[1].startswith("the earlier result cannot be read")
    record.unlink()
    assert do(work)[1].startswith("the earlier run failed, was interrupted, or did not record its inputs")
    assert do(work) == (True, "")


def test_a_failed_stage_and_an_interrupted_one_leave_no_record(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    do(work, good=False)
    assert do(work, good=False)[0] is False
    do(work)

    def interrupted() -> BenchResult:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StageFolder(work.output.parent).run_or_reuse("a stage", BenchResult, {"x": "1"}, interrupted, lambda _: True)
    assert do(work)[0] is False


def test_intermediate_results_of_other_inputs_are_deleted(tmp_path: Path) -> None:
    file, folder = tmp_path / "statistics.npz", StageFolder(tmp_path)
    folder.discard_if_stale(file, {"the images": "1"})
    file.write_text("statistics")
    assert folder.discard_if_stale(file, {"the images": "1"}).exists()
    assert not folder.discard_if_stale(file, {"the images": "2"}).exists()
