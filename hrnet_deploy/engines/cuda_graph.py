"""CUDA graphs through the driver's own C interface, which PyCUDA does not wrap: capture a stream's work once, replay it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from hrnet_deploy.engines import driver

THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do is not forbidden meanwhile


class CaptureFailed(Exception):
    """The work of a stream could not be captured; the message says what the driver said."""


class Graph:
    """What a call put into a stream, ready to be replayed there with one launch."""

    def __init__(self, stream: int, enqueue: Callable[[], bool]) -> None:
        """stream: the handle of a stream with nothing in flight. enqueue: puts work into it, gives whether it could.
        Raises CaptureFailed, leaving the stream usable."""
        self._library = driver.open_library()
        self._stream = ctypes.c_void_p(stream)
        graph, self._executable = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, THREAD_LOCAL)
        try:
            done = enqueue()
        except Exception:
            self._library.cuStreamEndCapture(self._stream, ctypes.byref(graph))
            raise
        self._call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        try:
            if not done:
                raise CaptureFailed("the engine cannot be enqueued while a stream is captured")
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), graph, ctypes.c_ulonglong(0))
        finally:
            self._library.cuGraphDestroy(graph)

    def launch(self) -> None:
        self._call("cuGraphLaunch", self._executable, self._stream)

    def close(self) -> None:
        if self._executable:
            self._library.cuGraphExecDestroy(self._executable)
            self._executable = ctypes.c_void_p()

    def _call(self, name: str, *arguments: Any) -> None:
        if code := getattr(self._library, name)(*arguments):
            raise CaptureFailed(f"{name} gave {code}")
