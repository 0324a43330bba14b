"""Benchmarks: what the statistics say, what a row records, and how a row fails. No test here looks at a clock."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from hrnet_deploy.bench.launcher import Worker
from hrnet_deploy.bench.measured_model import REGIONS, MeasuredModel, MeasureSpec
from hrnet_deploy.engines import unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput, DeployError
from hrnet_deploy.graph.metadata import load_model, read_description, save_model
from hrnet_deploy.results.base import Environment
from hrnet_deploy.results.bench import BenchResult, BenchRow, Region
from hrnet_deploy.results.codec import read, read_as
from hrnet_deploy.stats import faster, median_interval, summarise
from hrnet_deploy.tasks.base import InputFormat

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--seconds", "0.05", "--rounds", "6", "--threads", "1")


@pytest.mark.parametrize("n", [1, 2, 5, 6, 12, 20, 101])
def test_the_interval_of_a_median_covers_it_as_often_as_it_says(n: int) -> None:
    low, high = median_interval(n)
    assert (0, n - 1) == (low - low, low + high)  # symmetric
    if n < 6:
        assert (low, high) == (0, n - 1)  # so few values cannot bound a median at 95%: all there is, then
        return
    rng = np.random.default_rng(n)
    trials = np.sort(rng.exponential(size=(3000, n)), axis=1)
    covered = (trials[:, low] <= np.log(2)) & (np.log(2) <= trials[:, high])
    assert 0.94 <= covered.mean() <= 0.99


def test_the_interval_of_a_row_knows_that_neighbours_in_time_are_alike() -> None:
    """Rounds drift by 2%, samples within one by 0.2%: the interval has to be that of 12 values, not of 600."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        s = summarise([(10 * d * rng.normal(1, 0.002, 50)).tolist() for d in rng.normal(1, 0.02, 12)])
        covered += s.low <= 10 <= s.high
    assert covered > 0.92 * 300


@pytest.mark.parametrize("rounds", [6, 12])
def test_two_equal_engines_are_seldom_called_different(rounds: int) -> None:
    rng = np.random.default_rng(1)
    wrong = sum(
        faster([[x] for x in rng.normal(1, 0.05, rounds)], [[x] for x in rng.normal(1, 0.05, rounds)]).differs
        for _ in range(1000)
    )
    assert wrong < 0.07 * 1000


def test_a_summary_is_what_numpy_says_of_every_sample() -> None:
    rng = np.random.default_rng(0)
    rounds = [rng.gamma(5, size=rng.integers(3, 9)).tolist() for _ in range(8)]
    every = np.concatenate(rounds)
    s = summarise(rounds)
    assert (s.n, s.min) == (len(every), every.min())
    assert (s.p50, s.p99, s.mean) == pytest.approx((np.median(every), np.quantile(every, 0.99), every.mean()))
    assert s.low <= s.p50 <= s.high
    assert summarise([[1.0, 1.1]] * 6).unstable is False
    assert summarise([[1.0], [1.0], [2.0], [2.0]]).unstable is True


def test_a_slow_row_is_judged_by_its_rounds_alone() -> None:
    """A warm-up has too few of its calls to say whether they became steady."""
    assert Region([[10.0]] * 6, steady=False).unstable
    assert not Region([[10.0]] * 6, steady=True).unstable
    assert not Region([[5000.0]] * 6, steady=False).unstable
    assert Region([[5000.0], [9000.0]] * 3, steady=False).unstable


@pytest.mark.parametrize(
    ("int8", "other", "sentence"),
    [
        (5.0, 10.0, "trt int8 is 2.00x trt fp16 here"),
        (9.5, 10.0, "trt int8 is 1.05x trt fp16 here: hardly worth it"),
        (11.0, 10.0, "trt int8 is 0.91x trt fp16 here: not worth it"),
    ],
)
def test_int8_is_held_against_the_fastest_other_precision(int8: float, other: float, sentence: str) -> None:
    def row(precision: str, ms: float, engine: str = "trt") -> BenchRow:
        times = Region([[ms * (1 + 0.001 * i)] for i in range(6)], steady=True)
        return BenchRow(engine, "m", "c", precision, "random", 1, 2, regions={"compute": times})

    rows = [row("fp32", 20.0), row("fp16", other), row("int8", int8), row("fp32", 1.0, "ort")]
    assert BenchResult(rows=rows).gains() == [sentence]
    assert BenchResult(rows=rows[2:]).gains() == []  # nothing of its own engine to hold it against


def test_a_ratio_cancels_the_drift_both_rows_saw() -> None:
    rng = np.random.default_rng(0)
    drift = np.linspace(1, 3, 12)  # the machine slows down to a third
    base = [(20 * d * rng.normal(1, 0.01, 5)).tolist() for d in drift]
    twice = [(10 * d * rng.normal(1, 0.01, 5)).tolist() for d in drift]
    ratio = faster(base, twice)
    assert ratio.low < 2 < ratio.high
    assert ratio.high - ratio.low < 0.05
    assert ratio.differs
    same = faster(base, [(20 * d * rng.normal(1, 0.01, 5)).tolist() for d in drift])
    assert not same.differs


PEAK = """
import numpy as np
from hrnet_deploy.bench import memory
before = memory.resident()
memory.reset_peak()
block = np.ones(30_000_000)  # 240 MB
del block
print(memory.peak() - before, memory.resident() - before)
"""


def test_the_peak_of_memory_is_seen_though_it_is_gone() -> None:
    """In a process of its own: one that has held much before may give out of that without growing."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    peak, left = map(int, done.stdout.split())
    assert peak > 200e6
    assert left < 100e6


def test_bench_of_two_engines(tiny_onnx: Path, tiny_checkpoint: Path, tmp_path: Path, run: Run) -> None:
    out_file = tmp_path / "r.json"
    code, out, err = run(
        "bench",
        tiny_onnx,
        "--engine",
        "torch",
        "--engine",
        "ort",
        "--checkpoint",
        tiny_checkpoint,
        *QUICK,
        "-o",
        out_file,
    )
    assert (code, err) == (0, "")
    assert "base" in out
    assert "hrnet-deploy bench" in out
    result = read_as(out_file, BenchResult)
    assert [(r.engine, r.status, r.weights, r.batch, r.threads) for r in result.rows] == [
        ("torch", "ok", "trained", 1, 1),
        ("ort", "ok", "trained", 1, 1),
    ]
    for row in result.rows:
        assert set(row.regions) == set(REGIONS)
        assert all(len(r.rounds) == 6 and min(map(min, r.rounds)) > 0 for r in row.regions.values())
        assert set(row.cold) == {"import_s", "open_s", "first_inference_s"}
        assert row.memory["peak_rss_over_before"] > 0
        assert row.info.threads == 1
    assert result.rows[1].memory["file"] == tiny_onnx.stat().st_size
    assert result.rows[1].info.provider == "CPUExecutionProvider"
    assert result.ratio(result.rows[1], "compute") is not None
    code, _, err = run("bench", tiny_onnx, *QUICK, "-o", out_file)
    assert code == 2
    assert "exists already — pass --force" in err
    assert isinstance(result.environment, Environment)
    assert result.environment.cpu.threads_available >= 1 and "numpy" in result.environment.libraries
    written = json.loads(out_file.read_text())["rows"][1]["regions"]["end_to_end"]
    assert {"milliseconds", "times_faster_than_first", "rounds", "steady"} <= set(written)


def test_a_card_is_measured_with_random_weights_and_labelled(run: Run) -> None:
    card = ("--card", "pose_hrnet_w16_demo_128x96", "--weights", "random", "--size", "64x32")
    code, out, _ = run(
        "bench", *card, "--engine", "torch", "--engine", "ort", "--batch", 1, "--batch", 2, *QUICK, "--json"
    )
    result = json.loads(out)
    assert code == 0
    assert [(r["engine"], r["batch"], r["weights"]) for r in result["rows"]] == [
        (e, b, "random") for e in ("torch", "ort") for b in (1, 2)
    ]
    assert all(r["input_size"] == "64x32" for r in result["rows"])
    assert result["rows"][3]["memory_per_extra_image"] is not None
    code, _, err = run("bench", "--card", "pose_hrnet_w16_demo_128x96")
    assert code == 2
    assert "pass --weights random" in err


def test_random_weights_are_said_to_be_so_on_the_table(tiny_onnx: Path, run: Run) -> None:
    _, out, _ = run("bench", tiny_onnx, "--engine", "torch", *QUICK)
    assert "The weights are random" in out


def test_an_engine_that_is_not_here_has_its_reason_in_its_cell(tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    asked = ("trt", "torch:cuda,graph", "ort:provider=cuda")
    engines = [a for e in ("ort", *asked) for a in ("--engine", e)]
    code, out, err = run("bench", tiny_onnx, *engines, *QUICK, "-o", tmp_path / "r.json")
    assert code == 3
    assert out.count("unavailable") == 3
    rows = read_as(tmp_path / "r.json", BenchResult).rows
    assert [r.status for r in rows] == ["ok"] + ["unavailable"] * 3
    assert all(r.reason.startswith("this machine has no NVIDIA driver") for r in rows[1:])
    assert "3 of 4 rows cannot run here" in err
    for engine in asked:
        code, out, err = run("bench", tiny_onnx, "--engine", engine)
        assert (code, out) == (3, "")
        assert f"the {engine} engine cannot run here: this machine has no NVIDIA driver" in err


@pytest.mark.skipif(not unavailable_reason("trt"), reason="TensorRT is here")
def test_every_command_of_tensorrt_ends_in_a_sentence_where_it_is_not(
    tiny_onnx: Path, run: Run, tmp_path: Path
) -> None:
    for command in (
        ("build", tiny_onnx, "-o", tmp_path / "tiny.plan"),
        ("bench", tiny_onnx, "--engine", "trt", "--sweep", "graph", "--layers"),
    ):
        code, out, err = run(*command)
        assert (code, out) == (3, "")
        assert "the trt" in err and "cannot run here: this machine has no NVIDIA driver" in err
    assert not list(tmp_path.iterdir())
    code, _, err = run("build", tiny_onnx, "-o", tmp_path / "tiny.plan", "--batch", "1:x:2")
    assert code == 2 and "'x' is not a count" in err
    code, _, err = run("build", tiny_onnx, "-o", tmp_path / "tiny.plan", "--size", "64x64:96x96")
    assert code == 2 and "MIN:OPT:MAX" in err


def test_a_row_that_fails_says_why_and_the_rest_goes_on(
    exported: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    batches = ("--batch", 4, "--batch", 2)
    code, out, err = run("bench", exported(batch=4), "--engine", "ort", *batches, *QUICK, "-o", tmp_path / "r.json")
    assert code == 1
    assert out.count("failed") == 1
    done, failed = read_as(tmp_path / "r.json", BenchResult).rows
    assert (done.status, failed.status) == ("ok", "failed")
    assert "the file takes batches of 4, not 2" in failed.reason
    assert "some rows failed" in err


def test_an_embedded_file_is_measured_from_pixels_to_keypoints(exported: Callable[..., Path], run: Run) -> None:
    code, out, _ = run(
        "bench", exported(embed=True, batch=2), "--engine", "ort", "--engine", "torch", "--batch", 2, *QUICK, "--json"
    )
    rows = json.loads(out)["rows"]
    assert code == 1
    assert rows[0]["status"] == "ok"
    assert "measure the plain export" in rows[1]["reason"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [("weight", 0.0, "the outputs are the same for different inputs"), ("bias", float("nan"), "is not finite")],
)
def test_dead_and_broken_models_are_not_timed(
    name: str, value: float, sentence: str, tiny_onnx: Path, tmp_path: Path, run: Run
) -> None:
    model = load_model(tiny_onnx)
    constant = next(i for i in model.graph.initializer if i.name == f"final_layer.{name}")
    values = np.full_like(onnx.numpy_helper.to_array(constant), value)
    constant.CopyFrom(onnx.numpy_helper.from_array(values, constant.name))
    save_model(model, tmp_path / "bad.onnx")
    code, out, _ = run("bench", tmp_path / "bad.onnx", *QUICK)
    assert code == 1
    assert sentence in " ".join(out.split())


@pytest.fixture
def worker(tiny_onnx: Path) -> Worker:
    description = read_description(tiny_onnx)
    return Worker(MeasureSpec("ort", Source(description.card, tiny_onnx), InputFormat(), 1, 1))


def test_a_worker_that_is_killed_is_noticed(worker: Worker) -> None:
    assert worker.call("describe").info.threads == 1
    os.kill(worker._process.pid or 0, signal.SIGKILL)
    with pytest.raises(DeployError, match="killed by signal 9"):
        worker.call("measure", "compute", 0.1, 3)
    worker.close()


@pytest.mark.cores
def test_a_row_with_several_inferences_in_flight_shares_their_time_out(
    tiny_onnx: Path, tmp_path: Path, run: Run
) -> None:
    """Image by image, as a pipeline goes, nothing is in flight together: that region is left out."""
    out = tmp_path / "r.json"
    code, said, err = run(
        "bench",
        tiny_onnx,
        "--engine",
        "ort",
        "--engine",
        "openvino:mode=throughput,streams=2",
        *QUICK[:-1],
        2,
        "-o",
        out,
    )
    assert code == 0, err
    plain, queued = read_as(out, BenchResult).rows
    assert set(plain.regions) == set(REGIONS)
    assert set(queued.regions) == {"compute", "end_to_end"}
    assert "flight" in said  # the note is folded where the row is also UNSTABLE


def test_a_call_of_many_inferences_is_divided_among_them(tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    description = read_description(tiny_onnx)
    row = MeasuredModel(
        MeasureSpec("openvino:mode=throughput", Source(description.card, tiny_onnx), InputFormat(), 1, 1)
    )
    assert row.inferences == row.engine.info.inferences_per_call > 1
    ticks = itertools.count(
        0, 1_000_000 * row.inferences
    )  # a clock on which every call takes a millisecond an inference
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(ticks))
    assert row.measure("compute", 0.0, 5) == [1.0] * 5


def test_a_worker_measures_at_least_what_it_is_asked(worker: Worker) -> None:
    assert worker.call("warm_up", "compute", 0.0, 0.05) in (True, False)
    assert len(worker.call("measure", "compute", 0.0, 7)) == 7
    worker.close()


def test_results_of_another_kind_are_refused(tmp_path: Path) -> None:
    contents: list[object] = [{"kind": "check", "schema": 1}, {"rows": []}, []]
    for content in contents:
        (tmp_path / "a.json").write_text(json.dumps(content))
        with pytest.raises(BadInput, match=r"is not a result|is damaged at"):
            read(tmp_path / "a.json")


def test_extra_memory_is_against_the_same_row_of_batch_one() -> None:
    def row(batch: int, peak: int, engine: str = "ort") -> BenchRow:
        return BenchRow(engine, "a.onnx", "card", "fp32", "trained", batch, 2, memory={"peak_rss_over_before": peak})

    one, five, other = row(1, 100), row(5, 180), row(5, 900, "torch")
    result = BenchResult(rows=[one, five, other])
    assert result.memory_per_extra_image(five) == 20
    assert result.memory_per_extra_image(one) is None
    assert result.memory_per_extra_image(other) is None
    memory = {"peak_rss_over_before": 7, "torch_peak_allocated": 1000}
    one, five = (
        BenchRow("torch:cuda", "a", "card", "fp32", "random", b, 2, device="cuda", memory=m)
        for b, m in ((1, memory), (5, {**memory, "torch_peak_allocated": 1400}))
    )
    assert BenchResult(rows=[one, five]).memory_per_extra_image(five) == 100
    without = dataclasses.replace(five, memory={"peak_rss_over_before": 70})
    assert BenchResult(rows=[one, without]).memory_per_extra_image(without) is None


def test_rows_of_another_batch_have_no_ratio() -> None:
    regions = {"compute": Region([[1.0, 2.0], [1.0, 2.0]], True)}
    rows = [BenchRow("ort", "a", "c", "fp32", "trained", b, 2, regions=regions) for b in (1, 8, 1)]
    result = BenchResult(rows=rows)
    assert result.ratio(rows[1], "compute") is None
    assert result.ratio(rows[2], "compute") is not None
