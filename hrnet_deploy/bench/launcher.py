"""Where a measuring process runs.

A `WorkerSpec` is plain data that says what a worker opens. A launcher starts the worker somewhere and returns a
session. Through the session, requests are sent to the worker one after the other. `LocalLauncher` starts a new process
on this machine. Another launcher, for example one that submits to a cluster, only has to implement `Launcher` and
`Session`.

The process that sends the requests never opens an engine. Threads, engines, load and environment are those of the
machine on which the worker runs, so they are requested from a worker too (see `bench.machine`).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any, Protocol

from hrnet_deploy.errors import BadInput, DeployError, Unavailable


class WorkerSpec(Protocol):
    """What a worker opens. It is data that can be pickled."""

    def open(self) -> Any:
        """Called in the worker. Returns the object whose methods are the requests. Their arguments and results can
        be pickled."""


class Session(Protocol):
    """The connection to a worker that has been started."""

    def call(self, request: str, *arguments: Any) -> Any:
        """Send a request to the worker and return its result. Raises DeployError (BadInput, Unavailable) if the
        request fails or the worker has died."""

    def close(self) -> None:
        """End the worker and free its memory. No request may follow."""


class Launcher(Protocol):
    """Starts workers."""

    def start(self, spec: WorkerSpec) -> Session:
        """Start a worker. An error while opening is raised by the first request."""


class LocalLauncher:
    """Starts each worker in a new process on this machine."""

    def start(self, spec: WorkerSpec) -> Worker:
        return Worker(spec)


LOCAL = LocalLauncher()


class Worker:
    """A worker in its own process, and the session with it. It waits on the pipe and on the process; it never polls."""

    def __init__(self, spec: WorkerSpec) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, spec), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, request: str, *arguments: Any) -> Any:
        """See `Session.call`. If the process has died, the error says how."""
        with contextlib.suppress(OSError):  # if it has died, its last answer or its exit code gives the reason
            self._pipe.send((request, *arguments))
        answer = self._answer()
        if answer is None:
            raise DeployError(self._how_it_died())
        kind, *rest = answer
        if kind == "ok":
            return rest[0]
        sentence, code = rest
        raise ERRORS.get(code, DeployError)(sentence)

    def _answer(self) -> tuple[Any, ...] | None:
        """What the worker answers; None if it has died without an answer."""
        ready = multiprocessing.connection.wait([self._pipe, self._process.sentinel])
        if self._pipe not in ready and not self._pipe.poll():
            return None
        try:
            answer: tuple[Any, ...] = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            return None
        return answer

    def _how_it_died(self) -> str:
        self._process.join(5)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"the measuring process was killed by signal {-code} (out of memory?)"
        return f"the measuring process exited unexpectedly (exit code {code})"

    def close(self) -> None:
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


ERRORS: dict[int, type[DeployError]] = {kind.exit_code: kind for kind in (BadInput, Unavailable)}


def serve(pipe: Connection, spec: WorkerSpec) -> None:
    """The main function of a worker process: open what `spec` describes and answer requests until
    the pipe closes.

    An answer is ("ok", result) or ("error", sentence, exit code).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the group; the parent handles it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        opened = spec.open()
    except BaseException as error:
        _send_error(pipe, error)
        return
    while True:
        try:
            name, *arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(("ok", getattr(opened, name)(*arguments)))
        except BaseException as error:
            _send_error(pipe, error)


def _end_with_parent() -> None:
    """End this process as soon as its parent has died, also in the middle of a request."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _send_error(pipe: Connection, error: BaseException) -> None:
    code = error.exit_code if isinstance(error, DeployError) else 1
    sentence = str(error) if isinstance(error, DeployError) else f"{type(error).__name__}: {str(error)[:200]}"
    with contextlib.suppress(OSError):  # nobody waits for the answer any more
        pipe.send(("error", sentence, code))
