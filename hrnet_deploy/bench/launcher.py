"""Where a measuring process runs.

A job is plain data that says what to open. A launcher starts it somewhere and gives a session, through which the job's
requests are asked one after the other. `LocalLauncher` starts a fresh process on this machine. Another launcher, for
example one that submits to a cluster, needs nothing but the two protocols below.

The process that asks never opens an engine: threads, engines, load and environment belong to the place where a job
runs, and are asked there (see `bench.machine`).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
from multiprocessing.connection import Connection
from typing import Any, Protocol

from hrnet_deploy.errors import BadInput, DeployError, Unavailable


class Job(Protocol):
    """What a launcher starts. A job can be pickled."""

    def open(self) -> Any:
        """Called where the job runs. Gives the object whose methods are the requests; their arguments and results
        can be pickled."""


class Session(Protocol):
    """A job that has been started."""

    def ask(self, request: str, *arguments: Any) -> Any:
        """The result of one request. Raises DeployError (BadInput, Unavailable) where the job fails or has died."""

    def close(self) -> None:
        """End the job and free what it held. No request may follow."""


class Launcher(Protocol):
    """Starts jobs in one place."""

    def start(self, job: Job) -> Session:
        """Start a job. What its opening raises, the first request raises."""


class LocalLauncher:
    """Starts each job in a fresh process of this machine."""

    def start(self, job: Job) -> Worker:
        return Worker(job)


LOCAL = LocalLauncher()


class Worker:
    """A job in a process of its own. It waits on the pipe and on the process itself; it never polls."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, request: str, *arguments: Any) -> Any:
        """See `Session.ask`. Where the process has died, the sentence says how."""
        with contextlib.suppress(OSError):  # it may have died: then its last answer or its exit code gives the reason
            self._pipe.send((request, *arguments))
        ready = multiprocessing.connection.wait([self._pipe, self._process.sentinel])
        if self._pipe not in ready and not self._pipe.poll():
            raise DeployError(self._how_it_died())
        try:
            kind, *answer = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise DeployError(self._how_it_died()) from None
        if kind == "ok":
            return answer[0]
        sentence, code = answer
        raise ERRORS.get(code, DeployError)(sentence)

    def _how_it_died(self) -> str:
        self._process.join(5)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"the measuring process was killed by signal {-code} (out of memory?)"
        return f"the measuring process ended before it was told to (exit code {code})"

    def close(self) -> None:
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


ERRORS: dict[int, type[DeployError]] = {kind.exit_code: kind for kind in (BadInput, Unavailable)}


def serve(pipe: Connection, job: Job) -> None:
    """The main function of a worker process: open the job and answer requests until the pipe closes.

    An answer is ("ok", result) or ("error", sentence, exit code).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the group; the parent handles it
    try:
        opened = job.open()
    except BaseException as error:
        _send_error(pipe, error)
        return
    while True:
        try:
            name, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("ok", getattr(opened, name)(*arguments)))
        except BaseException as error:
            _send_error(pipe, error)


def _send_error(pipe: Connection, error: BaseException) -> None:
    code = error.exit_code if isinstance(error, DeployError) else 1
    sentence = str(error) if isinstance(error, DeployError) else f"{type(error).__name__}: {str(error)[:200]}"
    pipe.send(("error", sentence, code))
