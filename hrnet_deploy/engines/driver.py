"""Finds the NVIDIA driver and its GPU, through libcuda itself.

Nothing of TensorRT may be called before `probe` has found a GPU, because without a driver TensorRT's runtime ends
the process with a segmentation fault. Only the standard library is used, so that this takes no time.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import Unavailable

LIBRARY = "libcuda.so.1"
KERNEL_MODULE = Path("/proc/driver/nvidia/version")
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
WHY = {
    3: "it is not initialised",
    100: "it sees no GPU",
    803: "its parts are of different versions",
    999: "for a reason it does not know",
}


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        capability: compute capability.
        cuda: the newest CUDA version that the driver runs.
        driver: the version of the driver.
        memory: in bytes.
    """

    name: str
    capability: tuple[int, int]
    cuda: tuple[int, int]
    driver: str
    memory: int

    @property
    def identity(self) -> dict[str, str]:
        """What a plan that was built for this GPU depends on."""
        return {"gpu": self.name, "compute_capability": "{}.{}".format(*self.capability), "driver": self.driver}


def open_library() -> Any:
    """libcuda, which comes with the driver. Raises OSError if there is none."""
    return ctypes.CDLL(LIBRARY)


def probe() -> Gpu:
    """The first GPU. Raises Unavailable with the reason if there is no driver, it does not start, or it finds no
    GPU."""
    try:
        library = open_library()
    except OSError:
        raise Unavailable(f"this machine has no NVIDIA driver ({LIBRARY} is not there)") from None

    def call(name: str, *arguments: Any) -> None:
        if code := getattr(library, name)(*arguments):
            raise Unavailable(
                f"the NVIDIA driver does not work: {WHY.get(code, 'see its documentation')} ({name} gave {code})"
            )

    call("cuInit", 0)
    count, version, device = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0)
    call("cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise Unavailable("the NVIDIA driver sees no GPU")
    call("cuDriverGetVersion", ctypes.byref(version))
    call("cuDeviceGet", ctypes.byref(device), 0)
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t(0)
    call("cuDeviceGetName", name, len(name), device)
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    capability = (ctypes.c_int(0), ctypes.c_int(0))
    for value, attribute in zip(capability, (MAJOR, MINOR), strict=True):
        call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
    major, minor = (v.value for v in capability)
    cuda = (version.value // 1000, version.value % 1000 // 10)
    return Gpu(name.value.decode(), (major, minor), cuda, _own_version() or "CUDA {}.{}".format(*cuda), memory.value)


def _own_version() -> str:
    try:
        found = re.search(r"\s(\d{3,}(?:\.\d+)+)\s", KERNEL_MODULE.read_text())
    except OSError:
        return ""
    return found[1] if found else ""
