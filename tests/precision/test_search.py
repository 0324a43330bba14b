"""What a search does with its images and with what it has found: who sees which, and what is not done twice."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import generate
import pytest
from support.placing import placed
from support.progress import Counted

from hrnet_deploy.bench.run import Schedule
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import load_model, read_description
from hrnet_deploy.jobs import quantize
from hrnet_deploy.precision import speed
from hrnet_deploy.results.figures import Check, TaskFigures
from hrnet_deploy.tasks.pose.task import PoseTask
from hrnet_deploy.workflow.findings import FindingsCache, cache_beside
from hrnet_deploy.workflow.split import Split

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    generate.generate(folder, range(12), seed=31)
    return folder


@pytest.mark.parametrize(
    ("limit", "held_out", "search", "counts"),
    [
        (4, 5, False, (4, 0, 5)),
        (4, 5, True, (4, 4, 4)),
        (4, 3, True, (4, 3, 3)),
        (4, 500, False, (4, 0, 8)),
        (4, 500, True, (4, 4, 4)),
        (64, 500, True, (6, 3, 3)),
        (1, 1, True, (1, 1, 1)),
    ],
)
def test_no_image_plays_two_parts(
    limit: int, held_out: int, search: bool, counts: tuple[int, int, int], people: Path
) -> None:
    parts = Split(people, calibration_images=limit, held_out=held_out).parts(search)
    assert tuple(map(len, parts)) == counts
    every = [i.image_id for part in parts for i in part.items]
    assert len(every) == len(set(every))
    same = Split(people, calibration_images=limit, held_out=held_out).parts(not search)
    assert parts.calibration.items == same.calibration.items


def test_a_search_needs_an_image_more(people: Path, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes((people / f"{number:06d}.png").read_bytes())
    assert tuple(map(len, Split(tmp_path).parts())) == (1, 0, 1)
    with pytest.raises(
        BadInput, match="has only 2 images that can be used — calibration needs some, and the search and the test"
    ):
        Split(tmp_path).parts(search=True)


def request(
    model: Path, folder: Path, people: Path, max_drop: float | None = 0.5, **options: object
) -> quantize.QuantizeRequest:
    split = Split(people, calibration_images=4, held_out=4)
    wanted = {"calibration_cache": folder / "ranges.npz", "speed": False, **options}
    return quantize.QuantizeRequest(model, folder / "int8.onnx", split, max_drop=max_drop, **wanted)  # type: ignore[arg-type]


def test_a_search_chooses_by_some_images_and_what_was_found_is_not_found_twice(
    tiny_onnx: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit that nothing in int8 keeps, every step is taken."""
    monkeypatch.setattr(PoseTask, "limits", {**PoseTask.limits, "int8": {"score_relative": 0.0}})
    first = Counted()
    done = quantize.quantize(request(tiny_onnx, tmp_path, people), first)
    assert not done.passed
    assert {t.on for t in done.trials} == {"validation"}
    assert [len(t.excluded) for t in done.trials] == [0, 1, 2, 3, 5, 8, 13, 21]
    assert [b.pattern for b in done.worst[:3]] == list(done.trials[3].excluded)
    assert first.units["judging on 4 images"] == 4 * len(done.trials)
    second = Counted()
    again = quantize.quantize(request(tiny_onnx, tmp_path, people), second)
    assert again == done
    assert second.units["judging on 4 images"] == 0
    # other blocks in float are other graphs
    third = Counted()
    quantize.quantize(request(tiny_onnx, tmp_path, people, None, exclude=("conv1",)), third)
    assert third.units["judging on 4 images"] == 4


@pytest.mark.parametrize("fits_others", [True, False])
def test_what_was_chosen_is_judged_on_images_it_was_not_chosen_by(
    fits_others: bool, tiny_onnx: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits that everything keeps on the four images to choose by, and that say yes or no on the five others."""
    from hrnet_deploy.precision import trial

    def limits(_: object, __: object, figures: TaskFigures) -> list[Check]:
        return [Check("", 0.0, 0.0, figures.images == 4 or fits_others)]

    monkeypatch.setattr(trial, "judge", limits)
    wanted = dataclasses.replace(
        request(tiny_onnx, tmp_path, people), split=Split(people, calibration_images=3, held_out=5)
    )
    assert tuple(map(len, wanted.split.parts(search=True))) == (3, 4, 5)
    done = quantize.quantize(wanted)
    assert [(t.on, t.figures.images, t.passed) for t in done.trials] == [
        ("validation", 4, True),
        ("test", 5, fits_others),
    ]
    assert done.passed is wanted.output.exists() is fits_others
    assert bool(done.blocks) is not fits_others


def test_an_interrupted_search_goes_on_where_it_was(tiny_onnx: Path, people: Path, tmp_path: Path) -> None:
    wanted = request(tiny_onnx, tmp_path, people)
    findings = cache_beside(wanted.calibration_cache)
    assert findings is not None
    command = [
        sys.executable,
        "-c",
        "from hrnet_deploy.cli import main; main()",
        "quantize",
        str(tiny_onnx),
        "-o",
        str(wanted.output),
    ]
    command += [
        "--images",
        str(people),
        "--calibration-images",
        "4",
        "--held-out",
        "4",
        "--max-drop",
        "0.5",
        "--calibration-cache",
        str(wanted.calibration_cache),
    ]
    command += ["--sensitivity", str(tmp_path / "blocks.json")]  # so that there is enough to do, whatever is found
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a shell's background jobs ignore it
    )
    while process.poll() is None and (not findings.exists() or len(json.loads(findings.read_text())["found"]) < 5):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "interrupted" in err and "Traceback" not in err
    assert not wanted.output.exists()
    before = json.loads(findings.read_text())["found"]
    counted = Counted()
    done = quantize.quantize(dataclasses.replace(wanted, sensitivity=True), counted)
    assert counted.units["judging on 4 images"] < 4 * len(done.trials)
    after = json.loads(findings.read_text())["found"]
    assert before.items() <= after.items()
    assert done == quantize.quantize(dataclasses.replace(wanted, calibration_cache=None, sensitivity=True, force=True))


def test_notes_are_of_what_they_were_found_of(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    found: list[int] = []

    def find() -> float:
        found.append(1)
        return float("inf") if len(found) == 1 else 2.0

    assert FindingsCache(path).get_or_compute({"graph": "a"}, find) == float("inf")
    assert FindingsCache(path).get_or_compute({"graph": "a"}, find) == float("inf")
    one, other = FindingsCache(path), FindingsCache(path)
    assert one.get_or_compute({"graph": "b"}, find) == other.get_or_compute({"graph": "c"}, find) == 2.0
    assert (
        FindingsCache(path).get_or_compute({"graph": "b"}, find)
        == FindingsCache(path).get_or_compute({"graph": "c"}, find)
        == 2.0
    )
    assert len(found) == 3
    for content in ("[]", "{}", "no json", '{"kind": "bench"}'):
        path.write_text(content)
        with pytest.raises(BadInput, match="is not JSON|does not hold findings"):
            FindingsCache(path)


def test_what_is_in_float_is_measured_beside_float_and_all_int8(
    tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "SCHEDULE", Schedule(0.05, 6, 0.0, 0.05, regions=("compute",)))
    models = {speed.FLOAT: load_model(tiny_onnx), speed.MADE: placed(tiny_onnx, "ort", ("stage4.*",))[0]}
    description = read_description(tiny_onnx)
    alone = speed.measure(models, description, "ort", 1, tmp_path)
    assert alone.over_int8 is None and alone.over_float is not None
    assert set(alone.milliseconds) == {"float", "as made"}
    models[speed.INTEGERS] = placed(tiny_onnx, "ort")[0]
    found = speed.measure(models, description, "ort", 1, tmp_path)
    assert found.over_int8 is not None
    assert found.over_int8.low <= found.over_int8.ratio <= found.over_int8.high
    away = speed.measure(models, description, "trt", 1, tmp_path)
    assert away.missing.startswith("this machine has no NVIDIA driver")


def test_the_command_writes_the_table_also_where_the_verdict_is_no(
    tiny_onnx: Path, people: Path, tmp_path: Path, run: Run
) -> None:
    table = tmp_path / "blocks.json"
    command = (
        "quantize",
        tiny_onnx,
        "-o",
        tmp_path / "a.onnx",
        "--images",
        people,
        "--held-out",
        3,
        "--sensitivity",
        table,
    )
    code, said, err = run(*command)
    assert code == 1, err
    found = json.loads(table.read_text())
    assert not found["written"]
    assert sum(b["convolutions"] for b in found["blocks"]) == sum(
        n.op_type == "Conv" for n in load_model(tiny_onnx).graph.node
    )
    assert "Try --exclude" in said
    assert [p.name for p in tmp_path.iterdir()] == ["blocks.json"]
