"""What a command does when it is told to stop by Ctrl-C (SIGINT), SIGTERM or SIGHUP.

The handler raises KeyboardInterrupt in the main thread, so that every `with` and `finally` cleans up. Python runs a
handler only between two of its own instructions, so a library that computes in the main thread delays it. Therefore a
second thread waits for the same signal. If the command still runs after GRACE seconds, that thread cleans up and ends
the process.

In both cases the process ends without the finalisation of the interpreter, because native threads that call back into
Python meanwhile would end it with a crash instead of its exit code.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from hrnet_deploy.files import remove_unfinished

GRACE = 0.7  # seconds in which a command may end by itself
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
KEPT = (
    "no output was written, but a --calibration-cache, the folder of `run` and the .part folder of `predict` keep "
    "finished work; run the same command again to resume"
)


class Stop:
    """The signal that told this process to stop; 0 while there was none."""

    def __init__(self) -> None:
        self.number = 0

    @property
    def sentence(self) -> str:
        """What the user is told."""
        how = "interrupted" if self.number in (0, signal.SIGINT) else f"stopped by {signal.Signals(self.number).name}"
        return f"{how} — {KEPT}"

    @property
    def code(self) -> int:
        """The exit code, as shells count it."""
        return 128 + (self.number or signal.SIGINT)

    def end(self) -> None:
        """End the process now, without its children and without what it has not finished."""
        _kill_children()
        remove_unfinished()
        with contextlib.suppress(OSError, ValueError):  # a terminal that was closed
            print(f"error: {self.sentence}", file=sys.stderr, flush=True)
        os._exit(self.code)


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
    """Handle the signals until the block ends. A signal that the parent process has set to be ignored (nohup) stays
    ignored, and in any other thread than the main one nothing changes."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {s: signal.getsignal(s) for s in STOPS}

    def handler(number: int, frame: FrameType | None) -> None:
        if not stop.number:  # a second signal does not interrupt the cleaning up
            stop.number = number
            raise KeyboardInterrupt

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watch = threading.Thread(target=_watch, args=(reading, stop), daemon=True)
    watch.start()
    previous = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)
        signal.set_wakeup_fd(previous)
        os.close(writing)
        watch.join()
        os.close(reading)


def _watch(reading: int, stop: Stop) -> None:
    """Wait for a signal, whose number the interpreter writes into a pipe; the end of the pipe ends this thread."""
    while number := os.read(reading, 1):
        if number[0] in STOPS:
            time.sleep(GRACE)
            stop.number = stop.number or number[0]
            stop.end()


def _kill_children() -> None:
    """Kill every process that this one has started; where the system does not list them, those of multiprocessing."""
    children = {child.pid for child in multiprocessing.active_children() if child.pid}
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has ended
            children.update(map(int, listed.read_text().split()))
    for pid in children:
        with contextlib.suppress(OSError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
