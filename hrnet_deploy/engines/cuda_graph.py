"""CUDA graphs: the work of a stream is captured once and replayed. They use the driver's C interface, because PyCUDA
does not wrap it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from hrnet_deploy.engines import driver

THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads are not restricted


class CaptureFailed(Exception):
    """The work of a stream could not be captured. The message says which call failed and with which code."""


class Graph:
    """The work that a function adds to a stream, which can be replayed there with one launch."""

    def __init__(self, stream: int, enqueue: Callable[[], bool]) -> None:
        """Capture the work. Raises CaptureFailed, after which the stream can still be used.

        Args:
            stream: the handle of a stream with nothing in flight.
            enqueue: adds work to the stream; returns False if it could not.
        """
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
