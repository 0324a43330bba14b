"""A signal ends a command with its code and one sentence, also while a library computes, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hrnet_deploy.cli.signals import stoppable

# A command in native code that holds up every handler, with a child, a file and a folder that are not finished.
COMMAND = """
import hashlib, subprocess, sys
from pathlib import Path
from hrnet_deploy.cli import main
from hrnet_deploy.files import atomic_write, temporary_folder

def work(**_):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stderr=subprocess.DEVNULL)
    with temporary_folder() as folder, atomic_write(Path("out.txt")) as part:
        (folder / "a").write_text("a")
        part.write_text("half")
        print("ready", child.pid, flush=True)
        if sys.argv[1] == "native":
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        while True:
            pass

sys.modules[main.__module__].app = work
main()
"""


STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded() -> None:
    """Let this process be stopped, also where the tests run under nohup or in the background of a shell."""
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)


def started(folder: Path, how: str) -> tuple[subprocess.Popen[str], int]:
    """The command, once it computes, and the process id of its child."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, how],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeded,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline().split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="children are looked up in /proc")
@pytest.mark.parametrize(
    ("how", "number", "code", "said"),
    [
        ("python", signal.SIGTERM, 143, "stopped by SIGTERM — no output was written"),
        ("native", signal.SIGINT, 130, "interrupted — no output was written"),
        ("native", signal.SIGTERM, 143, "stopped by SIGTERM"),
        ("native", signal.SIGHUP, 129, "stopped by SIGHUP"),
    ],
)
def test_a_signal_ends_a_command(how: str, number: int, code: int, said: str, tmp_path: Path) -> None:
    process, child = started(tmp_path, how)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err.startswith(f"error: {said}") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:  # it was killed, and the kernel needs a moment for it
        time.sleep(0.01)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_the_handlers_of_a_program_are_put_back() -> None:
    own = [signal.getsignal(s) for s in STOPS]
    try:
        heeded()
        with stoppable() as stop:
            assert signal.SIG_DFL not in [signal.getsignal(s) for s in STOPS]
            assert (stop.number, stop.code) == (0, 130)
        assert [signal.getsignal(s) for s in STOPS] == [signal.SIG_DFL] * 3
    finally:
        for number, handler in zip(STOPS, own, strict=True):
            signal.signal(number, handler)


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
