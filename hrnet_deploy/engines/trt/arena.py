"""Memory for the inputs and outputs of a plan: one allocation on the GPU, and one of pinned memory on the host."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pycuda.driver as cuda
from numpy.typing import NDArray

from hrnet_deploy.engines.base import Arrays, Feeds
from hrnet_deploy.errors import Unavailable

ALIGNMENT = 256  # bytes; cudaMalloc gives it, and TensorRT needs it for each tensor
Layout = Mapping[str, tuple[tuple[int, ...], str]]  # shape and numpy type by name


class Arena:
    """Inputs are placed before outputs, so that one copy transfers all inputs and another one all outputs.

    Raises Unavailable if the GPU does not have enough memory left.
    """

    def __init__(self, inputs: Layout, outputs: Layout) -> None:
        self._outputs = tuple(outputs)
        offsets, end = {}, 0
        for name, (shape, kind) in {**inputs, **outputs}.items():
            if name == next(iter(outputs), None):
                self._boundary = end
            offsets[name] = end
            size = int(np.prod(shape)) * np.dtype(kind).itemsize
            end += -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
        self.size = end
        try:
            self._device = cuda.mem_alloc(end)
            self._host: NDArray[np.uint8] = cuda.pagelocked_empty(end, np.uint8)
        except cuda.MemoryError as error:
            raise Unavailable(
                f"the GPU has no {end / 1e6:.0f} MB left for inputs and outputs — use a smaller batch"
            ) from error
        self.address = {name: int(self._device) + offset for name, offset in offsets.items()}
        self._views: Arrays = {}
        for name, (shape, kind) in {**inputs, **outputs}.items():
            count = int(np.prod(shape)) * np.dtype(kind).itemsize
            self._views[name] = self._host[offsets[name] : offsets[name] + count].view(kind).reshape(shape)

    def upload(self, feeds: Feeds, stream: cuda.Stream) -> None:
        """Copy inputs to the GPU, as the next work of the stream."""
        for name, array in feeds.items():
            if name in self.address:
                np.copyto(self._views[name], array)
        cuda.memcpy_htod_async(int(self._device), self._host[: self._boundary], stream)

    def download(self, stream: cuda.Stream) -> None:
        """Copy outputs to the host, as the next work of the stream. `results` has them once the stream is done."""
        cuda.memcpy_dtoh_async(self._host[self._boundary :], int(self._device) + self._boundary, stream)

    def results(self) -> Arrays:
        """Copies of the outputs that were downloaded last."""
        return {name: self._views[name].copy() for name in self._outputs}

    def close(self) -> None:
        self._views = {}
        self._device.free()
