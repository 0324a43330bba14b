"""Every reader on a fixed number of mutated files, the same ones in every run, and on files that were once faults.

HRNET_DEPLOY_FUZZ_SECONDS=60 gives each reader that time instead.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fuzz.harness import fuzz, mutation, read_one, where
from fuzz.targets import TARGETS
from fuzz.workplace import Workplace

SECONDS = float(os.environ.get("HRNET_DEPLOY_FUZZ_SECONDS", "0"))
SLOWEST = 60  # seconds for one input, on a machine that is busy with other tests
REGRESSIONS = Path(__file__).parent / "regressions"


@pytest.fixture(scope="module")
def workplace(
    tiny_checkpoint: Path,
    seg_checkpoint: Path,
    tiny_detector: Path,
    tiny_onnx: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A workplace with the networks that other tests have exported already."""
    folder = tmp_path_factory.mktemp("fuzz")
    made = {
        "pose.pth": tiny_checkpoint,
        "segmentation.pth": seg_checkpoint,
        "detection.pth": tiny_detector,
        "pose.onnx": tiny_onnx,
    }
    for name, path in made.items():
        shutil.copy(path, folder / name)
    return folder


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Ends what takes longer with an error."""

    def over(*_: object) -> None:
        raise TimeoutError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
@pytest.mark.parametrize("reader", TARGETS)
def test_a_reader_refuses_what_it_cannot_use(reader: str, workplace: Path) -> None:
    if SECONDS:
        made = fuzz(reader, workplace, int(time.time()), 2**40, SECONDS)
        assert not made.faults, made.faults
        return
    if not TARGETS[reader].each:
        pytest.skip("it needs a network of its own: run it with HRNET_DEPLOY_FUZZ_SECONDS=60")
    files = TARGETS[reader].seeds(Workplace(workplace))
    for number in range(len(files), len(files) + TARGETS[reader].each):
        data = mutation(reader, number, files)
        fault = ""
        try:
            with at_most(SLOWEST):
                read_one(reader, data, workplace)
        except (Exception, SystemExit) as error:
            fault = where(error)
        assert not fault, f"input {number} of {reader}: {fault}"


@pytest.mark.parametrize("path", sorted(REGRESSIONS.rglob("*.*")), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_what_was_a_fault_is_refused(path: Path, tmp_path: Path) -> None:
    assert not read_one(path.parent.name, path.read_bytes(), tmp_path)


def test_a_process_that_dies_or_hangs_is_a_fault(tmp_path: Path) -> None:
    """The harness sees what a reader does to its process: a signal, an exit, and an input that takes too long."""
    code = "import os, signal, time\nprint('ready\\nread 5\\ntook 5\\nread 6', flush=True)\n{}\n"
    for what, said in {
        "os.kill(os.getpid(), signal.SIGSEGV)": "the process ended with SIGSEGV",
        "os._exit(9)": "the process ended with exit code 9",
        "time.sleep(99)": "more than 0.3 s",
    }.items():
        from fuzz.harness import Outcome, watch

        outcome = Outcome("card", next=5)
        watch(outcome, ["-c", code.format(what)], allowed=0.3, seconds=50)
        assert [(f.number, f.what) for f in outcome.faults] == [(6, said)]
        assert (outcome.inputs, outcome.accepted, outcome.next) == (2, 1, 7)
