"""A machine with one GPU and TensorRT, both doubles, and a network of one input and one output on it."""

from __future__ import annotations

import contextlib
import importlib.machinery
import json
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_deploy.engines import driver, open_engine
from hrnet_deploy.engines.base import Source
from hrnet_deploy.engines.trt import missing
from hrnet_deploy.graph.metadata import read_description
from support.tensorrt_double import Cuda, TensorRT

FRESH = (
    "tensorrt",
    "pycuda",
    "pycuda.driver",
    *(f"hrnet_deploy.engines.trt.{m}" for m in ("engine", "rtx_engine", "execution_context", "arena")),
)
LAYERS = {
    "Layers": [
        {"Name": "a", "LayerType": "CaskConvolution", "Outputs": [{"Name": "x", "Datatype": "Int8"}]},
        {
            "Name": "b",
            "LayerType": "Reformat",
            "Outputs": [{"Name": "y", "Format/Datatype": "Row major linear FP16 format"}],
        },
        {
            "Name": "c",
            "LayerType": "CaskConvolution",
            "Outputs": [{"Name": "z", "Format/Datatype": "Channel major FP16 format"}],
        },
    ]
}
IMAGE, MAPS = (1, 3, 96, 64), (1, 17, 24, 16)


@dataclass
class World:
    """The doubles, and what a test changes of them."""

    trt: TensorRT
    cuda: Cuda
    folder: Path
    shapes: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"image": IMAGE, "heatmaps": MAPS})
    most: int = 1  # of the batch; with more than one the batch is open

    def answer(self, **answers: Any) -> None:
        self.trt.answers |= {name.replace("__", "."): value for name, value in answers.items()}

    def open_batch(self, most: int) -> None:
        self.most = most
        self.shapes = {name: (-1, *shape[1:]) for name, shape in self.shapes.items()}

    def engine(self, file: Path, options: str = "", name: str = "trt") -> Any:
        source = Source(read_description(file).card, file)
        return open_engine(f"{name}{':' if options else ''}{options}", source)


def answers(world: World) -> dict[str, Any]:
    """A network of one input and one output: each number of the output is the sum of its row of the input."""
    module: Any = world.trt.module

    def tensor(_: Any, index: int) -> Any:
        made = object.__new__(module.ITensor)
        made.name, made.shape = "image", world.shapes["image"]
        return made

    def use_shape(context: Any, name: str, shape: tuple[int, ...]) -> bool:
        object.__setattr__(context, f"_held_shape_{name}", tuple(shape))
        return True

    def shape_of(context: Any, name: str) -> tuple[int, ...]:
        given = getattr(context, "_held_shape_image", world.shapes["image"])
        return (given[0], *world.shapes[name][1:])

    def use_address(context: Any, name: str, address: int) -> bool:
        object.__setattr__(context, f"_held_address_{name}", address)
        return True

    def execute(context: Any, stream: int) -> bool:
        image = world.cuda.view(context._held_address_image, shape_of(context, "image"), "float32")
        maps = world.cuda.view(context._held_address_heatmaps, shape_of(context, "heatmaps"), "float32")

        def compute() -> None:
            maps[:] = image.reshape(len(image), -1).sum(1)[:, None, None, None]

        world.cuda.work(compute)
        return True

    names = list(world.shapes)
    return {
        "INetworkDefinition.num_inputs": 1,
        "INetworkDefinition.get_input": tensor,
        "Builder.build_serialized_network": b"a plan",
        "ITimingCache.serialize": b"timings",
        "ICudaEngine.num_io_tensors": 2,
        "ICudaEngine.get_tensor_name": lambda _, i: names[i],
        "ICudaEngine.get_tensor_mode": lambda _, n: (
            module.TensorIOMode.INPUT if n == "image" else module.TensorIOMode.OUTPUT
        ),
        "ICudaEngine.get_tensor_shape": lambda _, n: world.shapes[n],
        "ICudaEngine.get_tensor_dtype": lambda _, n: module.DataType.FLOAT,
        "ICudaEngine.get_tensor_profile_shape": lambda _, n, p: [(b, *IMAGE[1:]) for b in (1, 1, world.most)],
        "ICudaEngine.device_memory_size_v2": 5_000_000,
        "ICudaEngine.get_engine_stat": 3_000_000,
        "ICudaEngine.create_execution_context": lambda _, *__: object.__new__(module.IExecutionContext),
        "EngineInspector.get_engine_information": json.dumps(LAYERS),
        "IExecutionContext.set_input_shape": use_shape,
        "IExecutionContext.get_tensor_shape": shape_of,
        "IExecutionContext.infer_shapes": [],
        "IExecutionContext.set_tensor_address": use_address,
        "IExecutionContext.execute_async_v3": execute,
    }


@contextlib.contextmanager
def doubled(version: str, monkeypatch: pytest.MonkeyPatch, folder: Path, module: str = "tensorrt") -> Iterator[World]:
    """TensorRT of one of the recorded versions on one GPU. `module` is the name under which it is imported."""
    made = World(TensorRT(version), Cuda(), folder)
    made.trt.answers |= answers(made)
    for name in FRESH:
        monkeypatch.delitem(sys.modules, name, raising=False)
    package = types.ModuleType("pycuda")
    package.driver = made.cuda.module  # type: ignore[attr-defined]
    for name, double in ((module, made.trt.module), ("pycuda", package), ("pycuda.driver", made.cuda.module)):
        double.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, double)
    monkeypatch.setattr(driver, "open_library", made.cuda.library)
    monkeypatch.setattr(missing, "_installed", lambda: {"tensorrt": made.trt.surface.version, "pycuda": "2026.1"})
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    yield made
    assert made.cuda.depth == 0, "a context was left on the stack"
    for name in FRESH:
        sys.modules.pop(name, None)


def feed(seed: int = 0, batch: int = 1) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).random((batch, *IMAGE[1:]), dtype=np.float32)}


def expected(feeds: dict[str, np.ndarray]) -> np.ndarray:
    image = feeds["image"]
    return np.broadcast_to(image.reshape(len(image), -1).sum(1)[:, None, None, None], (len(image), *MAPS[1:]))
