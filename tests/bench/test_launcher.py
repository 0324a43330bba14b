"""Where rows are measured is a seam: the same worker in its own process and in a thread; and what is refused
before it."""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.progress import Counted

from hrnet_deploy.bench.launcher import LocalLauncher, Session, WorkerSpec
from hrnet_deploy.bench.machine import Machine, MachineSpec
from hrnet_deploy.bench.measured_model import MeasureSpec
from hrnet_deploy.bench.rows import Subject, row_of, without_repeats
from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.engines.base import Source
from hrnet_deploy.errors import BadInput, DeployError, Unavailable
from hrnet_deploy.graph.metadata import describe, load_model, read_description, save_model
from hrnet_deploy.jobs.bench import BenchRequest, bench

Run = Callable[..., tuple[int, str, str]]


class ThreadSession:
    """A worker in a thread of this process, reached through queues."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.requests: queue.Queue[tuple[Any, ...] | None] = queue.Queue()
        self.answers: queue.Queue[tuple[bool, Any]] = queue.Queue()
        self.thread = threading.Thread(target=self._serve, args=(spec,), daemon=True)
        self.thread.start()

    def _serve(self, spec: WorkerSpec) -> None:
        opened: Any = None
        while (request := self.requests.get()) is not None:
            try:
                opened = spec.open() if opened is None else opened
                self.answers.put((True, getattr(opened, request[0])(*request[1:])))
            except Exception as error:
                self.answers.put((False, error))

    def call(self, request: str, *arguments: Any) -> Any:
        self.requests.put((request, *arguments))
        done, answer = self.answers.get()
        if done:
            return answer
        raise answer if isinstance(answer, DeployError) else DeployError(str(answer))

    def close(self) -> None:
        self.requests.put(None)
        self.thread.join()


class OtherMachine:
    """Stands for the machine of a cluster, which has its own threads and engines."""

    def threads(self) -> int:
        return 1

    def unavailable_reasons(self, engines: tuple[str, ...]) -> dict[str, str]:
        return {e: "the cluster has no OpenVINO" if e == "openvino" else "" for e in engines}

    def load_average(self) -> list[float]:
        return [0.25, 0.5, 0.75]

    def environment(self) -> Any:
        here = MachineSpec().open().environment()
        return dataclasses.replace(here, system="the cluster's")


class ThreadLauncher:
    """Starts workers in threads, and keeps what it started."""

    def __init__(self) -> None:
        self.specs: list[WorkerSpec] = []
        self.sessions: list[ThreadSession] = []

    def start(self, spec: WorkerSpec) -> Session:
        self.specs.append(spec)
        self.sessions.append(ThreadSession(OtherMachineSpec() if isinstance(spec, MachineSpec) else spec))
        return self.sessions[-1]


class OtherMachineSpec:
    def open(self) -> OtherMachine:
        return OtherMachine()


def test_rows_are_measured_where_the_launcher_starts_them(tiny_onnx: Path) -> None:
    launcher, progress = ThreadLauncher(), Counted()
    request = BenchRequest([tiny_onnx], engines=("ort", "openvino"), seconds=0.05, rounds=6)
    found = bench(request, progress, launcher)
    ours, other = found.rows
    assert (ours.status, ours.threads, set(ours.regions)) == ("ok", 1, {"compute", "end_to_end", "pipeline"})
    assert (other.status, other.reason) == ("unavailable", "the cluster has no OpenVINO")
    assert found.environment is not None and found.environment.system == "the cluster's"
    assert found.load_before == found.load_after == [0.25, 0.5, 0.75]
    assert [type(spec) for spec in launcher.specs] == [MachineSpec, MeasureSpec]
    assert not any(session.thread.is_alive() for session in launcher.sessions)
    assert progress.units["opening models"] == 1
    assert all(progress.units[f"measuring, {region}"] == 6 for region in ours.regions)


def test_a_row_that_fails_in_another_place_is_marked(tiny_onnx: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_onnx, tmp_path / "gone.onnx")
    description = read_description(tiny_onnx)
    subject = Subject("gone", Source(description.card, tmp_path / "gone.onnx"), description.input_format, "fp32")
    rows = [row_of(subject, "ort", 1, 1), row_of(subject, "ort", 3, 1)]
    result = run(rows, Schedule(0.02, 6, 0, 0, regions=("compute",)), launcher=ThreadLauncher())
    assert [r.status for r in result.rows] == ["ok", "failed"]
    assert "takes batches of 1, not 3" in result.rows[1].reason


@dataclasses.dataclass(frozen=True)
class DyingSpec:
    """A worker that ends while it works: with an exit code, or by a signal if the number is negative."""

    how: int

    def open(self) -> DyingSpec:
        return self

    def die(self) -> None:
        if self.how < 0:
            os.kill(os.getpid(), -self.how)
        os._exit(self.how)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (3, r"the measuring process exited unexpectedly \(exit code 3\)"),
        (-9, r"the measuring process was killed by signal 9 \(out of memory\?\)"),
    ],
)
def test_a_worker_that_dies_says_how(how: int, sentence: str) -> None:
    session = LocalLauncher().start(DyingSpec(how))
    with pytest.raises(DeployError, match=sentence):
        session.call("die")
    session.close()


def test_the_local_machine_is_asked_in_a_process_of_its_own() -> None:
    with Machine(LocalLauncher()) as machine:
        assert machine.threads() >= 1
        reasons = machine.unavailable_reasons(["ort", "trt"])
        assert reasons["ort"] == "" and "NVIDIA" in reasons["trt"]
        assert machine.free_memory("cpu") > 0
        assert machine.environment().cpu.threads_available == machine.threads()
        with pytest.raises(Unavailable, match="NVIDIA driver"):
            machine.free_memory("cuda")


PARENT = """
import sys
from pathlib import Path
from hrnet_deploy.jobs.bench import BenchRequest, bench
if __name__ == "__main__":
    found = bench(BenchRequest([Path(sys.argv[1])], engines=("ort",), threads=(1,), seconds=0.05, rounds=6))
    assert [r.status for r in found.rows] == ["ok"], found.rows
    print({"onnxruntime", "torch", "openvino"} & set(sys.modules))
"""


def test_the_process_that_asks_needs_no_engine(tiny_onnx: Path, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    done = subprocess.run([sys.executable, script, tiny_onnx], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr


def as_int8(source: Path, path: Path) -> Path:
    """The same file, said to be int8."""
    model = load_model(source)
    describe(model, dataclasses.replace(read_description(source), precision="int8"))
    save_model(model, path)
    return path


def test_pytorch_is_measured_once_for_two_files_of_one_network(tiny_onnx: Path, tmp_path: Path) -> None:
    int8 = as_int8(tiny_onnx, tmp_path / "int8.onnx")
    engines, batches = ("torch", "torch:channels_last", "ort"), (1, 2)
    rows = []
    for path in (tiny_onnx, int8):
        found = read_description(path)
        subject = Subject(path.name, Source(found.card, path), found.input_format, found.precision)
        rows += [row_of(subject, engine, batch, 1) for engine in engines for batch in batches]
    kept = [row for row, _ in without_repeats(rows)]
    assert [(r.engine, r.model, r.batch) for r in kept] == [
        *((e, tiny_onnx.name, b) for e in engines for b in batches),
        *(("ort", "int8.onnx", b) for b in batches),
    ]
    same = "this row also stands for int8.onnx, because PyTorch runs the same network"
    assert [r.remark for r in kept] == [same] * 4 + [""] * 4


def test_the_result_has_the_row_of_pytorch_once(
    tiny_onnx: Path, tiny_checkpoint: Path, tmp_path: Path, run: Run
) -> None:
    int8 = as_int8(tiny_onnx, tmp_path / "int8.onnx")
    quick = ("--seconds", "0.05", "--rounds", "6", "--threads", "1", "--json")
    code, out, err = run("bench", tiny_onnx, int8, "--checkpoint", tiny_checkpoint, *quick)
    assert (code, err) == (0, "")
    rows = json.loads(out)["rows"]
    assert [(r["engine"], r["precision"]) for r in rows] == [("torch", "fp32"), ("ort", "fp32"), ("ort", "int8")]
    assert "int8.onnx" in rows[0]["remark"]


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--batch", "0", "--batch 0 is too small"),
        ("--threads", "0", "--threads 0 is too small"),
        ("--threads", "100000", "--threads 100000 is more than the"),
        ("--seconds", "0", "--seconds 0 cannot be used"),
        ("--seconds", "nan", "--seconds nan cannot be used"),
        ("--seconds", "inf", "--seconds inf cannot be used"),
        ("--rounds", "1", "--rounds 1 is too small"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_before_anything_runs(
    option: str, value: str, sentence: str, tiny_onnx: Path, tmp_path: Path, run: Run
) -> None:
    code, out, err = run("bench", tiny_onnx, option, value, "-o", tmp_path / "r.json")
    assert (code, out) == (2, "") and sentence in err
    assert not (tmp_path / "r.json").exists()
    with pytest.raises(BadInput, match="a row cannot be measured for nan seconds — give a number over 0"):
        Schedule(seconds=float("nan"))
    with pytest.raises(BadInput, match="a row cannot take 0 turns — give 1 or more"):
        Schedule(rounds=0)
