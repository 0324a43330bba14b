"""On an NVIDIA GPU: every mode of every engine against its reference, within its precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_deploy.engines import open_engine, unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.engines.torch_ import TorchEngine
from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.tasks.base import noise

pytestmark = pytest.mark.gpu

TORCH = [
    ("torch:cuda", 1e-4),
    ("torch:cuda,graph", 1e-4),
    ("torch:cuda,graph,streams", 1e-4),
    ("torch:cuda,compile", 1e-4),
    ("torch:cuda,precision=tf32,channels_last", 5e-3),
    ("torch:cuda,precision=fp16,channels_last,graph,streams", 2e-2),
    ("torch:cuda,precision=bf16,channels_last,graph", 1e-1),
    ("torch:cuda,fused", 1e-4),
    ("torch:cuda,precision=fp16,channels_last,fused,graph,streams", 2e-2),
]


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize(("engine", "most"), TORCH)
def test_torch_on_a_gpu_is_torch(engine: str, most: float, tiny_onnx: Path, tiny_checkpoint: Path) -> None:
    if reason := unavailable_reason(engine):
        pytest.skip(reason)
    source = Source(read_description(tiny_onnx).card, tiny_onnx, tiny_checkpoint)
    reference, made = TorchEngine(source, 1), open_engine(engine, source)
    for seed in range(2):
        feeds = noise(source.card, 2, seed)
        assert relative(made.run(feeds)["heatmaps"], reference.run(feeds)["heatmaps"]) < most
    made.bind(noise(source.card, 2, 0))()
    assert not made.info.note, made.info.note


@pytest.mark.parametrize("engine", ["ort:provider=cuda", "ort:provider=cuda,graph", "ort:provider=tensorrt-rtx"])
def test_onnxruntime_on_a_gpu_is_onnxruntime(engine: str, tiny_onnx: Path) -> None:
    if reason := unavailable_reason(engine):
        pytest.skip(reason)
    source = Source(read_description(tiny_onnx).card, tiny_onnx)
    made, feeds = open_engine(engine, source), noise(source.card, 1, 0)
    assert relative(made.run(feeds)["heatmaps"], open_engine("ort", source).run(feeds)["heatmaps"]) < 5e-3
    made.bind(feeds)()


@pytest.mark.parametrize(
    "engine", ["trt", "trt:graph=off", "trt:contexts=2", "trt-rtx", "trt-rtx:graph=off,specialization=eager"]
)
def test_tensorrt_is_onnxruntime(engine: str, tiny_onnx: Path, tmp_path: Path) -> None:
    name = engine.partition(":")[0]
    if reason := unavailable_reason(name):
        pytest.skip(reason)
    from hrnet_deploy.jobs.build import BuildRequest, build

    source, plan = Source(read_description(tiny_onnx).card, tiny_onnx), tmp_path / "tiny.plan"
    done = build(BuildRequest(tiny_onnx, plan, engine=name))
    assert done.engine_info.layer_counts
    feeds = noise(source.card, 1, 0)
    wanted = open_engine("ort", source).run(feeds)["heatmaps"]
    for file in (tiny_onnx, plan):
        made = open_engine(engine, Source(source.card, file))
        assert relative(made.run(feeds)["heatmaps"], wanted) < 1e-3
        made.bind(feeds)()
        assert made.layer_times(feeds)  # type: ignore[attr-defined]
        made.close()
