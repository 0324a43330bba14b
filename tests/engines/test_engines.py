"""Engines: what they run, what they refuse, and what they say when they cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import SIZE, TINY

from hrnet_deploy import engines
from hrnet_deploy.cards import card_for
from hrnet_deploy.engines import on_gpu
from hrnet_deploy.engines.base import Engine, Source, batch_of, run_all, run_rows, run_samples
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.threads import available_threads, cgroup_quota

CARD = card_for(TINY).resized(*SIZE)


@pytest.fixture(scope="module")
def source(tiny_onnx: Path, tiny_checkpoint: Path) -> Source:
    return Source(CARD, tiny_onnx, tiny_checkpoint)


@pytest.mark.parametrize("name", ["ort", "ort:optimization=disabled", "openvino", "torch", "torch:channels_last"])
def test_every_engine_gives_the_network_s_output(name: str, source: Source, tiny_network: torch.nn.Module) -> None:
    engine = engines.open_engine(name, source, threads=1)
    x = np.random.default_rng(0).standard_normal((1, 3, *SIZE), dtype=np.float32)
    with torch.inference_mode():
        want = tiny_network(torch.from_numpy(x)).numpy()
    got = engine.run({"image": x})
    assert list(got) == [o.name for o in engine.outputs] == ["heatmaps"]
    assert np.abs(got["heatmaps"] - want).max() < 1e-5 * np.abs(want).max()
    assert engine.info.threads == 1
    engine.bind({"image": x})()
    engine.close()


def test_the_provider_is_the_one_reported(source: Source) -> None:
    assert engines.open_engine("ort", source).info.provider == "CPUExecutionProvider"


def test_threads_default_to_what_the_process_may_use(source: Source) -> None:
    assert engines.open_engine("ort", source).info.threads == available_threads()


@pytest.mark.parametrize("rows", [1, 3, 4, 9])
def test_any_number_of_rows_goes_through_a_fixed_batch(
    rows: int, exported: Callable[..., Path], tiny_network: torch.nn.Module
) -> None:
    engine = engines.open_engine("ort", Source(CARD, exported(batch=4)))
    assert batch_of(engine) == 4
    x = np.random.default_rng(rows).standard_normal((rows, 3, *SIZE), dtype=np.float32)
    with torch.inference_mode():
        want = tiny_network(torch.from_numpy(x)).numpy()
    assert np.abs(run_rows(engine, {"image": x})["heatmaps"] - want).max() < 1e-4


def test_samples_of_several_passes_come_back_apart(exported: Callable[..., Path]) -> None:
    engine = engines.open_engine("ort", Source(CARD, exported(dynamic=("batch",))))
    assert batch_of(engine) is None
    feeds = [
        {"image": np.random.default_rng(i).standard_normal((n, 3, *SIZE), dtype=np.float32)}
        for i, n in enumerate((1, 2, 1))
    ]
    together = run_samples(engine, feeds)
    for feed, got in zip(feeds, together, strict=True):
        assert np.abs(engine.run(feed)["heatmaps"] - got["heatmaps"]).max() < 1e-5


@pytest.mark.parametrize(
    "feed",
    [
        {"other": np.zeros((1, 3, *SIZE), np.float32)},
        {"image": np.zeros((2, 3, *SIZE), np.float32)},
        {"image": np.zeros((1, 3, *SIZE), np.float64)},
        {"image": np.zeros((3, *SIZE), np.float32)},
    ],
)
def test_a_feed_the_model_was_not_made_for_is_refused(feed: dict, source: Source) -> None:
    with pytest.raises(BadInput, match="the model (needs|takes)"):
        engines.open_engine("ort", source).run(feed)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tensorflow", "there is no engine 'tensorflow' — choose among torch, ort"),
        ("ort:fast", "has no option 'fast'"),
        ("ort:optimization=most", "it takes optimization=all|extended|basic|disabled"),
        ("torch:channels_last=1", "has no option"),
        ("openvino:streams=0", "it takes precision=f32|bf16, mode=latency|throughput, streams=N"),
        ("openvino:mode=throughput,streams=N", "has no option 'streams=N'"),
    ],
)
def test_unknown_engines_and_options_name_the_known_ones(name: str, sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        engines.parse(name)
    assert sentence in str(error.value)


def test_an_engine_that_cannot_run_says_what_is_missing(source: Source) -> None:
    with pytest.raises(
        Unavailable, match="the trt engine cannot run here: this machine has no NVIDIA driver .* — use --engine ort"
    ):
        engines.open_engine("trt", source)


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        (
            "torch:cuda",
            "has no CUDA, or none that fits the driver — leave the GPU's options out, or install a CUDA build of it",
        ),
        (
            "ort:provider=cuda",
            "has no CUDAExecutionProvider — leave the GPU's options out, or install onnxruntime-gpu in its place",
        ),
        ("ort:provider=tensorrt", "has no TensorrtExecutionProvider"),
        ("ort", ""),
        ("torch:channels_last", ""),
    ],
)
def test_with_a_driver_the_library_is_asked_next(engine: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_gpu, "probe", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    said = engines.unavailable_reason(engine)
    assert sentence in said and bool(said) == bool(sentence)


def test_an_engine_whose_library_is_missing_names_the_extra(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        Unavailable, match=r"openvino is not installed — install with: pip install 'hrnet-deploy\[openvino\]'"
    ):
        engines.open_engine("openvino", source)


def test_openvino_computes_in_what_was_asked_for(source: Source, exported: Callable[..., Path]) -> None:
    """Left alone it would take bfloat16 where the processor has it."""
    x = {"image": np.random.default_rng(0).standard_normal((1, 3, *SIZE), dtype=np.float32)}
    exact = engines.open_engine("openvino", source)
    assert exact.info.options["hint"] == "f32" and not exact.info.precision
    half = engines.open_engine("openvino:precision=bf16", source)
    assert half.info.precision == "bf16"
    want, got = exact.run(x)["heatmaps"], half.run(x)["heatmaps"]
    assert np.abs(want - got).max() < 8e-2 * np.abs(want).max()
    open_batch = engines.open_engine("openvino", Source(CARD, exported(dynamic=("batch",))))
    assert batch_of(open_batch) is None
    assert open_batch.run({"image": np.repeat(x["image"], 3, axis=0)})["heatmaps"].shape[0] == 3


@pytest.mark.cores
def test_openvino_keeps_several_inputs_in_flight_and_gives_each_its_own_output(source: Source) -> None:
    feeds = [{"image": np.random.default_rng(i).standard_normal((1, 3, *SIZE), dtype=np.float32)} for i in range(7)]
    latency = engines.open_engine("openvino", source)
    queued = engines.open_engine("openvino:mode=throughput,streams=2", source, threads=2)
    assert latency.info.inferences_per_call == latency.info.in_flight == 1
    assert queued.info.mode == "throughput" and queued.info.options["streams"] == "2" and queued.info.in_flight == 2
    assert queued.info.inferences_per_call % 2 == 0
    wanted = [latency.run(f)["heatmaps"] for f in feeds]
    for engine in (latency, queued):
        for want, got in zip(wanted, run_all(engine, feeds), strict=True):
            assert np.abs(want - got["heatmaps"]).max() < 1e-5 * np.abs(want).max()
    queued.bind(feeds[0])()
    assert np.abs(queued.run(feeds[3])["heatmaps"] - wanted[3]).max() < 1e-5 * np.abs(wanted[3]).max()
    with pytest.raises(BadInput, match="give streams with mode=throughput"):
        engines.open_engine("openvino:streams=2", source)


def test_openvino_refuses_what_is_no_onnx(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"not a protobuf at all")
    with pytest.raises(BadInput, match="OpenVINO cannot open"):
        engines.open_engine("openvino", Source(CARD, path))


def test_no_threads_is_no_number_of_threads(source: Source) -> None:
    with pytest.raises(BadInput, match="cannot run on -1 threads"):
        engines.open_engine("ort", source, threads=-1)


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"not a protobuf at all")
    with pytest.raises(BadInput, match="ONNX Runtime cannot open"):
        engines.open_engine("ort", Source(CARD, path))


def test_torch_without_weights_says_where_they_go() -> None:
    with pytest.raises(BadInput, match="needs the checkpoint"):
        engines.open_engine("torch", Source(CARD))
    assert engines.open_engine("torch", Source(CARD, weights="random")).info.options["weights"] == "random"


def test_a_cgroup_s_quota_bounds_the_threads(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("0::/a/b\n")
    root = tmp_path / "fs"
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/cpu.max").write_text("max 100000\n")
    assert cgroup_quota(root, own) is None
    (root / "a/cpu.max").write_text("150000 100000\n")  # a group above limits too
    assert cgroup_quota(root, own) == 1.5
    (root / "a/b/cpu.max").write_text("50000 100000\n")
    assert cgroup_quota(root, own) == 0.5
    old = tmp_path / "v1"
    (old / "cpu").mkdir(parents=True)
    (old / "cpu/cpu.cfs_quota_us").write_text("200000")
    (old / "cpu/cpu.cfs_period_us").write_text("100000")
    assert cgroup_quota(old, tmp_path / "none") == 2


def test_rows_are_split_where_there_are_many() -> None:
    class Counting:
        inputs = (engines.base.TensorSpec("x", ("batch", 2), "float32"),)
        calls: list[int] = []  # noqa: RUF012

        def run(self, feeds: dict) -> dict:
            self.calls.append(len(feeds["x"]))
            return {"y": feeds["x"] * 2}

    engine: Engine = Counting()  # type: ignore[assignment]
    x = np.arange(20, dtype=np.float32).reshape(10, 2)
    assert np.array_equal(run_rows(engine, {"x": x}, most=4)["y"], x * 2)
    assert engine.calls == [4, 4, 2]  # type: ignore[attr-defined]
