"""Runs a reader on mutated files in a process of its own, and notes every fault.

The process says which input it reads before it reads it. So if it is killed, takes too long or needs too much memory,
it is known from which input that was, and another process goes on with the next one.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).parents[1]
MEMORY = 2 * 2**30  # the most that one input may take
MOST_WAITS = 10  # so many times as long may it wait without computing
START = 120.0  # seconds until a process has imported and made what it needs
MOST = 8 * 2**30  # of data, so that a fault does not take the memory of the machine


@dataclass(frozen=True)
class Fault:
    """An input that a reader did not take well. `what` is the kind, and where it happened."""

    reader: str
    number: int
    what: str


@dataclass
class Outcome:
    """How many inputs a reader was given, and how many of them it took."""

    reader: str
    inputs: int = 0
    accepted: int = 0
    faults: list[Fault] = field(default_factory=list)
    next: int = 0


def mutation(reader: str, number: int, files: list[bytes]) -> bytes:
    """The input of this number. Each seed is first read as it is."""
    from fuzz.mutate import change_bytes
    from fuzz.targets import TARGETS

    if number < len(files):
        return files[number]
    rng = random.Random(f"{reader} {number}")
    seed = rng.choice(files)
    try:
        return TARGETS[reader].mutate(rng, seed)
    except Exception:  # a seed that is not of the format, or a change that the format does not have
        return change_bytes(rng, seed)


def read_one(reader: str, data: bytes, workplace: Path) -> bool:
    """Read one input: whether it was accepted. Raises whatever is a fault."""
    from fuzz.targets import TARGETS
    from fuzz.workplace import Workplace
    from hrnet_deploy.errors import DeployError

    folder = Path(tempfile.mkdtemp(prefix="input", dir=workplace))
    try:
        path = folder / f"file{TARGETS[reader].suffix}"
        path.write_bytes(data)
        TARGETS[reader].read(path, Workplace(workplace))
    except DeployError:
        return False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return True


def work(reader: str, workplace: Path, start: int, stop: int) -> None:
    """Read the inputs from `start` to `stop`, and say on stdout what happens. This runs in a process of its own."""
    from fuzz.targets import TARGETS
    from fuzz.workplace import Workplace

    say = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what readers print is not for the harness
    os.dup2(1, 2)
    files = TARGETS[reader].seeds(Workplace(workplace))
    with contextlib.suppress(Exception):
        read_one(reader, files[0], workplace)  # imports, and networks that are made
    resource.setrlimit(resource.RLIMIT_DATA, (MOST, MOST))
    say.write("ready\n")
    for number in range(start, stop):
        data = mutation(reader, number, files)
        _forget_peak()
        say.write(f"read {number}\n")
        try:
            accepted = read_one(reader, data, workplace)
        except (Exception, SystemExit, RecursionError) as error:
            say.write(f"fault {number} {where(error)}\n")
            continue
        if _peak() > MEMORY:
            say.write(f"fault {number} it took {_peak() / 2**30:.1f} GB\n")
        else:
            say.write(f"{'took' if accepted else 'refused'} {number}\n")
    say.write("end\n")


def where(error: BaseException) -> str:
    """The type of an error, what it says, and the last line of this package that it came through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "hrnet_deploy" in f.filename]
    at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    said = (
        " ".join(str(error).split())[-300:] if isinstance(error, AssertionError) else " ".join(str(error).split())[:120]
    )
    return f"{type(error).__name__}{at}: {said}".encode("ascii", "replace").decode()


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """The most memory since `_forget_peak`, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def fuzz(reader: str, workplace: Path, start: int, stop: int, seconds: float | None = None) -> Outcome:
    """Give a reader the inputs from `start` to `stop`, for about `seconds` at most without the time that the processes
    need to start."""
    outcome = Outcome(reader, next=start)
    left = seconds if seconds is not None else float("inf")
    failed = 0
    while outcome.next < stop and left > 0:
        before = outcome.next
        left -= _run(outcome, workplace, stop, left)
        failed = failed + 1 if outcome.next == before else 0
        if failed > 2:
            raise RuntimeError(f"the process that reads {reader} does not start, or does not read anything")
    return outcome


def _run(outcome: Outcome, workplace: Path, stop: int, seconds: float) -> float:
    """One process, until it has read everything, the time is over, or it dies or has to be ended. Returns how long it
    read."""
    from fuzz.targets import TARGETS

    words = ["-m", "tests.fuzz", "--worker", outcome.reader, str(workplace), str(outcome.next), str(stop)]
    return watch(outcome, words, TARGETS[outcome.reader].seconds, seconds)


def watch(outcome: Outcome, words: Sequence[str], allowed: float, seconds: float) -> float:
    """Run Python with these arguments, and add to `outcome` what it says that it reads, as `work` does. A process that
    says nothing for `allowed` seconds is ended. Returns how long it read, at most about `seconds`."""
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, text=True, cwd=TESTS.parent, start_new_session=True
    )
    begun = time.monotonic()
    ready, reading = False, -1
    try:
        for line in _lines(process, allowed):
            what, number, text = (*line.split(" ", 2), "", "")[:3]
            if what == "end" or (ready and time.monotonic() - begun > seconds):
                return time.monotonic() - begun
            if what == "ready":
                ready, begun = True, time.monotonic()
            elif what == "read":
                reading = int(number)
            elif what:
                outcome.next, reading = int(number) + 1, -1
                outcome.inputs += 1
                outcome.accepted += what == "took"
                if what == "fault":
                    outcome.faults.append(Fault(outcome.reader, outcome.next - 1, text))
        if reading >= 0:
            outcome.faults.append(Fault(outcome.reader, reading, _end_of(process, allowed)))
            outcome.inputs += 1
            outcome.next = reading + 1
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return time.monotonic() - begun


def _end_of(process: subprocess.Popen[str], allowed: float) -> str:
    """What happened to a process that says nothing more."""
    try:
        code = process.wait(1)
    except subprocess.TimeoutExpired:
        return f"more than {allowed:g} s"
    return f"the process ended with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"


def _seconds_of(process: subprocess.Popen[str]) -> float:
    """The time that a process has computed; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _lines(process: subprocess.Popen[str], allowed: float) -> Iterator[str]:
    """What the process says, line by line, until it ends or says nothing for too long."""
    assert process.stdout is not None
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    rest, wait, waited, used = "", START, 0.0, _seconds_of(process)
    while True:
        if not selector.select(wait):  # on a busy machine a process may wait for its turn: its own time counts, too
            waited += wait
            if wait == START or _seconds_of(process) - used > allowed / 2 or waited > MOST_WAITS * allowed:
                return
            continue
        waited, used = 0.0, _seconds_of(process)
        data = os.read(process.stdout.fileno(), 65536).decode("ascii", "replace")
        if not data:
            return
        *lines, rest = (rest + data).split("\n")
        wait = allowed if "ready" in lines else wait
        yield from lines
