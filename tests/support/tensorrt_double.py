"""Test doubles of TensorRT, made from its recorded bindings, and of the calls to PyCUDA and libcuda that the engine
makes.

The double has exactly the members of the bindings. It records every call and answers as a test wants. So tests can
check which calls are made, in which order and with which arguments, and what happens if one fails. It computes nothing,
so it cannot check results or speed.
"""

from __future__ import annotations

import ctypes
import types
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.surface import Surface

Answer = Any  # a value, or a function of the instance and the arguments
BASE = 1 << 20  # the first address of device memory


class TensorRT:
    """A double of the `tensorrt` module, in `module`.

    Args:
        version: which recorded bindings to use.
        answers: what to return, by `Class.method` or `Class.property`.

    The attribute `calls` has (name, arguments) in the order of the calls.
    """

    def __init__(self, version: str, answers: dict[str, Answer] | None = None) -> None:
        self.surface = Surface(version)
        self.answers = answers or {}
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.module = types.ModuleType("tensorrt")
        self.module.__version__ = self.surface.version  # type: ignore[attr-defined]
        self.module.nptype = lambda kind: {"FLOAT": np.float32, "UINT8": np.uint8, "INT64": np.int64}[kind.name]  # type: ignore[attr-defined]
        for name, entry in self.surface.api.items():
            if entry["kind"] == "enum":
                setattr(self.module, name, _enumeration(name, entry["members"]))
            elif entry["kind"] == "class":
                setattr(self.module, name, self._class(name, entry["members"]))

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def arguments(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for found, arguments in self.calls if found == name]

    def _class(self, name: str, members: dict[str, Any]) -> type:
        space: dict[str, Any] = {}
        for member, what in members.items():
            if isinstance(what, list):
                space[member] = self._method(name, member)
            elif what == "property":
                space[member] = self._property(name, member)
            else:
                space[member] = _Value(f"{name}.{member}", len(space))

        def only_known(instance: Any, attribute: str, value: Any) -> None:
            if (
                type(instance).__dict__.get("_double")
                and attribute not in members
                and not attribute.startswith("_held_")
            ):
                raise AttributeError(f"{name!r} object has no attribute {attribute!r}")
            object.__setattr__(instance, attribute, value)

        return type(
            name,
            (),
            {**space, "_double": True, "__setattr__": only_known, "__init__": space.get("__init__", object.__init__)},
        )

    def _method(self, name: str, member: str) -> Callable[..., Any]:
        signatures = self.surface.signatures(name, member)

        def method(instance: Any, *arguments: Any, **keywords: Any) -> Any:
            fits = [s for s in signatures if s.fits(len(arguments), set(keywords))]
            if not fits:
                raise TypeError(f"{name}.{member}(): incompatible function arguments")
            self.calls.append((f"{name}.{member}", (*arguments, *keywords.values())))
            if member == "__init__":
                return None
            if (key := f"{name}.{member}") in self.answers:
                answer = self.answers[key]
                return answer(instance, *arguments) if callable(answer) else answer
            return self._default(fits[0].returns)

        return method

    def _property(self, name: str, member: str) -> property:
        held = f"_held_{member}"

        def get(instance: Any) -> Any:
            answer = self.answers.get(f"{name}.{member}")
            return getattr(instance, held, answer(instance) if callable(answer) else answer)

        def put(instance: Any, value: Any) -> None:
            self.calls.append((f"{name}.{member} =", (value,)))
            object.__setattr__(instance, held, value)

        return property(get, put)

    def _default(self, returns: str) -> Any:
        name = {"IParserError": "ParserError"}.get(returns, returns)
        made = getattr(self.module, name, None)
        if isinstance(made, type) and made.__dict__.get("_double"):
            return object.__new__(made)
        return {"bool": True, "int": 0, "str": "", "list[str]": []}.get(returns)


class _Value(int):
    """A member of an enumeration."""

    name: str

    def __new__(cls, name: str, value: int) -> _Value:
        made = super().__new__(cls, value)
        made.name = name.rpartition(".")[2]
        return made


def _enumeration(name: str, members: list[str]) -> type:
    return type(name, (), {m: _Value(f"{name}.{m}", i) for i, m in enumerate(members)})


class Cuda:
    """A double of the parts of `pycuda.driver` and libcuda that the engine uses.

    Device memory is an array. A stream runs its work immediately, or records it while it is captured; a launch of the
    captured graph runs it again.
    """

    def __init__(
        self, memory: int = 8 << 20, refuse: dict[str, int] | None = None, capability: tuple[int, int] = (9, 0)
    ) -> None:
        self.capability = capability  # of the GPU
        self.devices = 1
        self.memory = np.zeros(memory, np.uint8)
        self.used, self.live, self.depth = 0, 0, 0
        self.refuse = refuse or {}  # error codes of libcuda's functions
        self.calls: list[str] = []
        self.capturing: list[Callable[[], None]] | None = None
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.module = self._module()

    def view(self, address: int, shape: tuple[int, ...], kind: str) -> NDArray:
        start, size = address - BASE, int(np.prod(shape)) * np.dtype(kind).itemsize
        return self.memory[start : start + size].view(kind).reshape(shape)

    def work(self, what: Callable[[], None]) -> None:
        """Run what an engine puts into a stream, or record it while the stream is captured."""
        if self.capturing is not None:
            self.capturing.append(what)
        else:
            what()

    def _module(self) -> types.ModuleType:
        cuda = self

        class Full(Exception):
            pass

        class Allocation:
            def __init__(self, size: int) -> None:
                if cuda.used + size > len(cuda.memory):
                    raise Full
                self.at, self.size = BASE + cuda.used, size
                cuda.used += size
                cuda.live += 1

            def __int__(self) -> int:
                return self.at

            def free(self) -> None:
                cuda.live -= 1

        class Stream:
            handle = 7

            def synchronize(self) -> None:
                assert cuda.capturing is None, "a stream that is captured cannot be waited for"
                cuda.calls.append("synchronize")

        class Event:
            def record(self, stream: Stream) -> None: ...
            def synchronize(self) -> None: ...
            def time_till(self, other: Event) -> float:
                return 2.0

        class Context:
            @staticmethod
            def pop() -> None:
                cuda.depth -= 1

            def push(self) -> None:
                cuda.depth += 1

            def detach(self) -> None: ...

        class Device:
            def __init__(self, number: int) -> None: ...
            def retain_primary_context(self) -> Context:
                return Context()

        def upload(to: int, given: NDArray, stream: Stream) -> None:
            cuda.calls.append("upload")
            cuda.view(to, given.shape, "uint8")[:] = given

        def download(to: NDArray, given: int, stream: Stream) -> None:
            cuda.calls.append("download")
            to[:] = cuda.view(given, to.shape, "uint8")

        module = types.ModuleType("pycuda.driver")
        for name, what in {
            "init": lambda: None,
            "Device": Device,
            "Context": Context,
            "Stream": Stream,
            "Event": Event,
            "MemoryError": Full,
            "mem_alloc": Allocation,
            "pagelocked_empty": lambda size, kind: np.empty(size, kind),
            "memcpy_htod_async": upload,
            "memcpy_dtoh_async": download,
        }.items():
            setattr(module, name, what)
        return module

    def library(self) -> Library:
        return Library(self)


class Library:
    """A double of libcuda. Each function returns 0, or the error code that `Cuda.refuse` has for it."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda

    def __getattr__(self, name: str) -> Callable[..., int]:
        def function(*arguments: Any) -> int:
            cuda = self._cuda
            cuda.calls.append(name)
            if name == "cuStreamBeginCapture_v2" and name not in cuda.refuse:
                cuda.capturing = []
            if name == "cuStreamEndCapture":
                cuda.graphs[1], cuda.capturing = cuda.capturing or [], None
            if name == "cuGraphInstantiateWithFlags":
                number = len(cuda.graphs) + 1
                cuda.graphs[number] = cuda.graphs[1]
                _at(arguments[0]).value = number
            if name == "cuGraphLaunch":
                for what in cuda.graphs[arguments[0].value]:
                    what()
            if name == "cuDeviceGetCount":
                _at(arguments[0]).value = cuda.devices
            if name == "cuDriverGetVersion":
                _at(arguments[0]).value = 13010
            if name == "cuDeviceGetName":
                arguments[0].value = b"NVIDIA Double"
            if name == "cuDeviceTotalMem_v2":
                _at(arguments[0]).value = 8 << 30
            if name == "cuDeviceGetAttribute":
                _at(arguments[0]).value = cuda.capability[arguments[1] - 75]
            return cuda.refuse.get(name, 0)

        return function


def _at(reference: Any) -> Any:
    """The object that a `ctypes.byref` or a pointer refers to."""
    return reference._obj if hasattr(reference, "_obj") else ctypes.cast(reference, ctypes.c_void_p)
