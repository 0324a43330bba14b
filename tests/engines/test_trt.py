"""What the TensorRT engine says to TensorRT, PyCUDA and the driver, by a recording double: see tensorrt_double.py.

Nothing here runs TensorRT. `-m gpu` tests do, where it is.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.progress import Counted
from support.surface import VERSIONS
from support.tensorrt_double import Cuda
from support.tensorrt_world import IMAGE, LAYERS, World, answers, doubled, expected, feed

from hrnet_deploy.engines import driver, open_engine, swept, unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.engines.driver import Gpu
from hrnet_deploy.engines.trt import missing, timing_cache
from hrnet_deploy.engines.trt.layers import counts, layers_of, timed
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.graph.metadata import describe, load_model, read_description, save_model
from hrnet_deploy.graph.plan import BuildOptions, manifest_path, options_of, read_manifest
from hrnet_deploy.graph.width import width_warning
from hrnet_deploy.jobs.build import BuildRequest, build
from hrnet_deploy.jobs.inspect import InspectRequest, inspect


@pytest.fixture(params=VERSIONS)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """TensorRT of one of the recorded versions on one GPU, both doubles."""
    with doubled(request.param, monkeypatch, tmp_path) as made:
        yield made


@pytest.fixture
def plan(world: World, tiny_onnx: Path) -> Path:
    path = world.folder / "tiny.plan"
    build(BuildRequest(tiny_onnx, path, BuildOptions()))
    return path


def left(folder: Path) -> set[str]:
    """Files besides the cache of timings."""
    return {p.name for p in folder.rglob("*") if p.is_file() and "timing" not in p.parts}


def test_building_says_what_it_must_in_order(world: World, tiny_onnx: Path) -> None:
    done = build(BuildRequest(tiny_onnx, world.folder / "tiny.plan", BuildOptions()))
    order = [
        "Builder.__init__", "Builder.create_network", "OnnxParser.__init__", "OnnxParser.parse_from_file", "Builder.create_builder_config",  # noqa: E501
        "IBuilderConfig.create_timing_cache", "IBuilderConfig.set_timing_cache", "Builder.build_serialized_network",
        "IBuilderConfig.get_timing_cache", "ITimingCache.serialize", "Runtime.__init__", "Runtime.deserialize_cuda_engine",  # noqa: E501
        "ICudaEngine.create_execution_context", "IExecutionContext.set_input_shape", "IExecutionContext.infer_shapes",
        "IExecutionContext.set_tensor_address", "IExecutionContext.execute_async_v3",
    ]  # fmt: skip
    names = world.trt.names()
    assert [n for n in dict.fromkeys(names) if n in order] == order
    module: Any = world.trt.module
    assert world.trt.arguments("Builder.create_network") == [
        (1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED),)
    ]
    assert world.trt.arguments("OnnxParser.parse_from_file") == [(str(tiny_onnx),)]
    assert world.trt.arguments("IBuilderConfig.clear_flag") == [(module.BuilderFlag.TF32,)]
    assert not world.trt.arguments("IBuilderConfig.set_flag")
    assert world.trt.arguments("IBuilderConfig.profiling_verbosity =") == [(module.ProfilingVerbosity.DETAILED,)]
    assert world.trt.arguments("IBuilderConfig.builder_optimization_level =") == [(3,)]
    assert not world.trt.arguments("IBuilderConfig.max_aux_streams =")
    assert "IBuilderConfig.add_optimization_profile" not in names  # its shapes are static
    assert left(world.folder) == {"tiny.plan", "tiny.plan.json"}
    assert (
        done.engine_info.layer_counts
        == read_manifest(world.folder / "tiny.plan").layers
        == {"int8": 1, "fp16": 1, "reformat": 1}
    )
    assert done.engine_info.memory == {"activations": 5_000_000, "weights": 3_000_000}
    assert world.cuda.live == 0


def test_every_option_reaches_the_builder_and_the_command_that_builds_again(world: World, tiny_onnx: Path) -> None:
    world.open_batch(8)
    options = BuildOptions(batch=(1, 4, 8), workspace=64 << 20, level=5, aux_streams=0, tf32=True)
    path = world.folder / "tiny.plan"
    build(BuildRequest(tiny_onnx, path, options))
    module: Any = world.trt.module
    assert world.trt.arguments("IBuilderConfig.set_flag") == [(module.BuilderFlag.TF32,)]
    assert world.trt.arguments("IBuilderConfig.set_memory_pool_limit") == [(module.MemoryPoolType.WORKSPACE, 64 << 20)]
    assert world.trt.arguments("IBuilderConfig.max_aux_streams =") == [(0,)]
    assert world.trt.arguments("IBuilderConfig.builder_optimization_level =") == [(5,)]
    bounds = [[b, *IMAGE[1:]] for b in (1, 4, 8)]
    assert world.trt.arguments("IOptimizationProfile.set_shape") == [("image", *bounds)]
    assert len(world.trt.arguments("IBuilderConfig.add_optimization_profile")) == 1
    found = read_manifest(path)
    assert options_of(found.options) == options
    said = found.rebuild(path)
    assert (
        "--batch 1:4:8" in said
        and "--workspace 64" in said
        and "--level 5" in said
        and "--aux-streams 0" in said
        and "--tf32" in said
    )


def test_a_plan_says_what_its_onnx_file_said(world: World, plan: Path, tiny_onnx: Path) -> None:
    assert read_description(plan) == read_description(tiny_onnx)
    found = inspect(InspectRequest(plan))
    assert world.trt.surface.version in found.file
    assert found.fits and "NVIDIA Double" in found.fits and "9.0" in found.fits
    assert found.rebuild and found.rebuild.startswith("hrnet-deploy build")


def test_an_inference_is_captured_once_and_replayed(world: World, plan: Path) -> None:
    engine = world.engine(plan)
    world.trt.calls.clear()
    world.cuda.calls.clear()
    for seed in range(3):
        given = feed(seed)
        assert np.allclose(engine.run(given)["heatmaps"], expected(given))
    assert world.cuda.calls.count("cuGraphLaunch") == 3
    assert "IExecutionContext.execute_async_v3" not in world.trt.names()
    call = engine.bind(feed(9))
    world.trt.calls.clear()
    world.cuda.calls.clear()
    call()
    assert world.cuda.calls == ["cuGraphLaunch", "synchronize"]  # nothing is copied
    assert engine.info.options["graph"] == "on"
    engine.close()
    assert world.cuda.live == 0


def test_another_shape_is_captured_anew(world: World, tiny_onnx: Path) -> None:
    world.open_batch(4)
    engine = world.engine(tiny_onnx)
    for batch in (1, 3, 3, 2):
        given = feed(batch, batch)
        assert np.allclose(engine.run(given)["heatmaps"], expected(given))
    assert world.cuda.calls.count("cuGraphInstantiateWithFlags") == 3
    with pytest.raises(
        BadInput, match=r"takes image from \[1, 3, 96, 64\] to \[4, 3, 96, 64\], got \[5, 3, 96, 64\] — build it"
    ):
        engine.run(feed(0, 5))
    assert np.allclose(engine.run(feed(1))["heatmaps"], expected(feed(1)))  # and goes on
    engine.close()


@pytest.mark.parametrize("function", ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"])
def test_it_goes_on_where_no_graph_can_be_captured(world: World, plan: Path, function: str) -> None:
    world.cuda.refuse = {function: 901}
    world.cuda.calls.clear()
    engine = world.engine(plan)
    assert engine.info.options["graph"] == f"off: {function} gave 901"
    assert np.allclose(engine.run(feed(4))["heatmaps"], expected(feed(4)))
    assert "cuGraphLaunch" not in world.cuda.calls


def test_without_graphs_shapes_and_addresses_are_set_each_time(world: World, plan: Path) -> None:
    world.cuda.calls.clear()
    engine = world.engine(plan, "graph=off")
    assert "cuStreamBeginCapture_v2" not in world.cuda.calls
    first, second = engine.bind(feed(1)), engine.bind(feed(2))
    for call in (first, second, first):
        call()
    assert np.allclose(engine.run(feed(3))["heatmaps"], expected(feed(3)))


def test_several_contexts_give_results_in_order(world: World, plan: Path) -> None:
    engine = world.engine(plan, "contexts=2")
    assert engine.info.inferences_per_call == 16 and engine.info.in_flight == 2
    feeds = [feed(seed) for seed in range(5)]
    for given, found in zip(feeds, engine.run_all(feeds), strict=True):
        assert np.allclose(found["heatmaps"], expected(given))
    assert engine.info.memory["activations"] == 10_000_000


def test_enqueueing_as_long_as_computing_is_said(world: World, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not world.engine(plan, "graph=off").info.note  # a launch of the double takes no 2 ms
    module = sys.modules["hrnet_deploy.engines.trt.engine"]
    ticks = iter(np.arange(0, 1000, 0.003))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(ticks))
    assert "launch-bound" in world.engine(plan, "graph=off").info.note


def test_what_the_parser_refuses_is_named_and_nothing_is_left(world: World, tiny_onnx: Path) -> None:
    world.answer(
        OnnxParser__parse_from_file=False,
        OnnxParser__num_errors=1,
        ParserError__node_operator="Resize",
        ParserError__node_name="/up/Resize",
        ParserError__desc="Unsupported  mode",
    )
    with pytest.raises(BadInput, match=r"cannot read .*: Resize node /up/Resize: Unsupported mode — "):
        build(BuildRequest(tiny_onnx, world.folder / "tiny.plan", BuildOptions()))
    assert left(world.folder) == set()
    assert "Builder.build_serialized_network" not in world.trt.names()


@pytest.mark.parametrize(
    ("said", "error", "sentence"),
    [
        ("no implementation for node x", BadInput, "--level 2"),
        ("OutOfMemory: requested 9 GB", Unavailable, "--workspace"),
    ],
)
def test_no_plan_is_one_sentence_and_nothing_is_left(
    world: World, tiny_onnx: Path, said: str, error: type[Exception], sentence: str
) -> None:
    def fail(builder: Any, *_: Any) -> None:
        (log,) = world.trt.arguments("Builder.__init__")[-1]
        log.log(world.trt.module.ILogger.ERROR, said)
        log.log(world.trt.module.ILogger.WARNING, "not this")

    world.answer(Builder__build_serialized_network=fail)
    with pytest.raises(error, match=sentence) as raised:
        build(BuildRequest(tiny_onnx, world.folder / "tiny.plan", BuildOptions()))
    assert said in str(raised.value) and "not this" not in str(raised.value)
    assert left(world.folder) == set()


def test_what_does_not_start_is_one_sentence(
    world: World, tiny_onnx: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(instance: Any, log: Any) -> None:
        log.log(world.trt.module.ILogger.ERROR, "SM 61 is not supported")
        raise TypeError("factory function returned nullptr")

    for kind, use in (
        ("Builder", lambda: build(BuildRequest(tiny_onnx, plan, BuildOptions(), force=True))),
        ("Runtime", lambda: world.engine(plan)),
    ):
        monkeypatch.setattr(getattr(world.trt.module, kind), "__init__", refuse)
        with pytest.raises(Unavailable, match=r"does not start on this machine \(SM 61 is not supported\) — "):
            use()


def test_an_interrupt_stops_the_builder_and_crosses_nothing_of_it(world: World, tiny_onnx: Path) -> None:
    class Interrupted(Counted):
        def advance(self, count: int = 1) -> None:
            super().advance(count)
            if self.units["building: Tactics"] == 2:
                signal.getsignal(signal.SIGINT)(signal.SIGINT, None)  # type: ignore[operator,misc]  # as Python calls it

    progress = Interrupted()

    def steps(*_: Any) -> None:
        ((monitor,),) = world.trt.arguments("IBuilderConfig.progress_monitor =")
        monitor.phase_start("Tactics", None, 3)
        assert [monitor.step_complete("Tactics", i) for i in range(3)] == [True, False, False]
        monitor.phase_finish("Tactics")

    before = signal.getsignal(signal.SIGINT)
    world.answer(Builder__build_serialized_network=steps)
    with pytest.raises(KeyboardInterrupt):
        build(BuildRequest(tiny_onnx, world.folder / "tiny.plan", BuildOptions()), progress)
    assert progress.units["building: Tactics"] == 3 and left(world.folder) == set()
    assert signal.getsignal(signal.SIGINT) is before


def test_what_fails_late_frees_all_it_took(world: World, plan: Path) -> None:
    world.answer(ICudaEngine__create_engine_inspector=lambda *_: object())  # not an inspector
    with pytest.raises(AttributeError):
        world.engine(plan)
    assert world.cuda.live == 0


def test_a_plan_that_does_not_open_leaves_nothing(world: World, tiny_onnx: Path) -> None:
    world.answer(Runtime__deserialize_cuda_engine=lambda *_: None)
    with pytest.raises(BadInput, match="cannot open"):
        build(BuildRequest(tiny_onnx, world.folder / "tiny.plan", BuildOptions()))
    assert left(world.folder) == set()


@pytest.mark.parametrize(
    ("call", "answer", "error", "sentence"),
    [
        ("set_input_shape", False, BadInput, r"TensorRT refuses \[1, 3, 96, 64\] for image.* — build the plan for it"),
        ("infer_shapes", ["heatmaps"], BadInput, "the shapes of heatmaps do not follow from the inputs"),
        ("execute_async_v3", False, Unavailable, "TensorRT could not run the plan.* — free memory of the GPU"),
    ],
)
def test_what_tensorrt_refuses_of_an_inference_is_one_sentence(
    world: World, plan: Path, call: str, answer: Any, error: type[Exception], sentence: str
) -> None:
    world.answer(**{f"IExecutionContext__{call}": answer})
    with pytest.raises(error, match=sentence):
        world.engine(plan).run(feed())


def test_weights_alone_are_no_plan_and_a_plan_is_for_this_gpu(world: World, tiny_onnx: Path) -> None:
    card = read_description(tiny_onnx).card
    with pytest.raises(BadInput, match="the trt engine opens an ONNX file or a plan — export the checkpoint first"):
        open_engine("trt", Source(card, weights="random"))
    with pytest.raises(BadInput, match="a plan of TensorRT is for the GPU of this machine — leave it out, or use"):
        build(BuildRequest(tiny_onnx, world.folder / "tiny.plan", BuildOptions(gpus=("sm89",))))
    with pytest.raises(BadInput, match="the ort engine has no plans — choose among trt, trt-rtx"):
        BuildRequest(tiny_onnx, world.folder / "tiny.plan", engine="ort")
    assert left(world.folder) == set()


def test_bounds_must_fit_the_file(world: World, tiny_onnx: Path) -> None:
    path = world.folder / "tiny.plan"
    with pytest.raises(BadInput, match="--batch is for an open batch"):
        build(BuildRequest(tiny_onnx, path, BuildOptions(batch=(1, 2, 4))))
    with pytest.raises(BadInput, match="--size is for an open height and width"):
        build(BuildRequest(tiny_onnx, path, BuildOptions(size=((96, 64),) * 3)))
    with pytest.raises(BadInput, match="--batch needs MIN:OPT:MAX in rising order"):
        build(BuildRequest(tiny_onnx, path, BuildOptions(batch=(4, 2, 8))))
    with pytest.raises(BadInput, match="the name of a plan ends in .plan"):
        build(BuildRequest(tiny_onnx, world.folder / "tiny.onnx", BuildOptions()))
    assert left(world.folder) == set()


def test_timings_are_kept_between_builds_and_begun_anew_where_they_do_not_fit(world: World, tiny_onnx: Path) -> None:
    path = world.folder / "tiny.plan"
    build(BuildRequest(tiny_onnx, path, BuildOptions()))
    (kept,) = timing_cache.folder().glob("*.cache")
    assert kept.read_bytes() == b"timings"
    assert world.trt.surface.version in kept.name and "NVIDIA_Double" in kept.name
    build(BuildRequest(tiny_onnx, path, BuildOptions(), force=True))
    assert world.trt.arguments("IBuilderConfig.create_timing_cache") == [(b"",), (b"timings",)]
    world.answer(
        IBuilderConfig__create_timing_cache=lambda config, blob: (
            None if blob else object.__new__(world.trt.module.ITimingCache)
        )
    )
    build(BuildRequest(tiny_onnx, path, BuildOptions(), force=True))
    del world.trt.answers["IBuilderConfig.create_timing_cache"]
    world.answer(IBuilderConfig__set_timing_cache=False)
    build(BuildRequest(tiny_onnx, path, BuildOptions(), force=True))
    assert world.trt.arguments("IBuilderConfig.create_timing_cache")[-2:] == [(b"timings",), (b"",)]


@pytest.mark.parametrize(
    ("field_name", "value", "sentence"),
    [
        ("tensorrt", "9.9.9", "was built for TensorRT 9.9.9, here is"),
        (
            "identity",
            {"gpu": "Tesla T4", "compute_capability": "7.5", "driver": "1"},
            "for gpu Tesla T4, here is NVIDIA Double",
        ),
    ],
)
def test_a_plan_of_another_machine_is_refused_with_the_cure(
    world: World, plan: Path, field_name: str, value: Any, sentence: str
) -> None:
    path = manifest_path(plan)
    path.write_text(json.dumps({**json.loads(path.read_text()), field_name: value}))
    world.trt.calls.clear()
    with pytest.raises(Unavailable, match=sentence) as raised:
        world.engine(plan)
    assert "build it again with: hrnet-deploy build" in str(raised.value)
    assert not world.trt.calls  # TensorRT has not seen it


def test_a_plan_without_its_manifest_or_with_another_s_is_refused(world: World, plan: Path) -> None:
    plan.write_bytes(b"another plan")
    with pytest.raises(BadInput, match="is not the plan that its manifest describes"):
        world.engine(plan)
    manifest_path(plan).write_text('{"kind": "plan", "schema": 1}')
    with pytest.raises(BadInput, match="is not the manifest of a plan"):
        read_description(plan)
    manifest_path(plan).unlink()
    with pytest.raises(BadInput, match="has no manifest next to it"):
        read_description(plan)


def test_what_is_settled_in_a_plan_cannot_be_asked_for(world: World, plan: Path) -> None:
    with pytest.raises(BadInput, match="fixed when a plan is built"):
        world.engine(plan, "level=5")


def test_memory_that_does_not_suffice_is_one_sentence(world: World, plan: Path) -> None:
    world.answer(ICudaEngine__create_execution_context=lambda *_: None)
    with pytest.raises(Unavailable, match=r"takes 5 MB.* — free some"):
        world.engine(plan)
    world.trt.answers |= answers(world)
    world.cuda.memory = world.cuda.memory[:1000]
    with pytest.raises(Unavailable, match="no 0 MB left for inputs and outputs — use a smaller batch"):
        world.engine(plan)


def test_layers_have_times_from_a_run_of_their_own(world: World, plan: Path) -> None:
    def report(context: Any, stream: int) -> bool:
        if (profiler := getattr(context, "_held_profiler", None)) is not None:
            profiler.report_layer_time("a", 3.0)
            profiler.report_layer_time("c", 5.0)
        return True

    engine = world.engine(plan, "graph=off")
    world.answer(IExecutionContext__execute_async_v3=report)
    found = engine.layer_times(feed(), runs=4)
    assert [(r.name, r.ms, r.precision) for r in found] == [("c", 5.0, "fp16"), ("a", 3.0, "int8")]


def test_layers_are_timed_on_memory_of_their_own_input(world: World, tiny_onnx: Path) -> None:
    """Whatever the context was given last: what was captured for another shape, or lies in memory that is gone."""
    world.open_batch(4)
    engine = world.engine(tiny_onnx)
    for batch in (3, 2):
        engine.run(feed(batch, batch))
    engine.bind(feed(0))
    used = []

    def look(context: Any, stream: int) -> bool:
        used.append((context._held_shape_image, context._held_address_image))
        return True

    world.answer(IExecutionContext__execute_async_v3=look)
    engine.layer_times(feed(1, 2), runs=1)
    bound = engine._contexts[0]._own
    assert set(used) == {((2, *IMAGE[1:]), bound.arena.address["image"])}


def test_shapes_that_stay_are_not_inferred_again(world: World, plan: Path) -> None:
    engine = world.engine(plan, "graph=off")
    call = engine.bind(feed(1))
    world.trt.calls.clear()
    call()
    assert set(world.trt.names()) == {"IExecutionContext.set_tensor_address", "IExecutionContext.execute_async_v3"}


def test_channels_that_cost_in_int8_are_said_by_the_engine_and_by_a_plan_of_it(
    world: World, tiny_onnx: Path, tmp_path: Path
) -> None:
    model = load_model(tiny_onnx)
    describe(model, dataclasses.replace(read_description(tiny_onnx), precision="int8"))
    save_model(model, tmp_path / "int8.onnx")
    assert not world.engine(tiny_onnx).info.note
    assert "multiples of 32" in world.engine(tmp_path / "int8.onnx").info.note
    build(BuildRequest(tmp_path / "int8.onnx", tmp_path / "int8.plan", BuildOptions()))
    assert "multiples of 32" in world.engine(tmp_path / "int8.plan").info.note


def test_layers_are_counted_by_precision() -> None:
    found = layers_of(json.dumps(LAYERS))
    assert [layer.precision for layer in found] == ["int8", "fp16", "fp16"]
    assert counts(found) == {"int8": 1, "fp16": 1, "reformat": 1}
    assert counts(layers_of(json.dumps({"Layers": ["only a name"]}))) == {}
    assert timed(found, {"unknown": 1.0})[0].precision == ""


GPU = Gpu("NVIDIA Double", (9, 0), (12, 8), "570.1", 8 << 30)
ALL = {"tensorrt": "10.16.1", "pycuda": "2026.1"}


def nobody() -> Gpu:
    raise Unavailable("this machine has no NVIDIA driver")


@pytest.mark.parametrize(
    ("gpu", "installed", "sentence"),
    [
        (nobody, ALL, "no NVIDIA driver — use --engine ort"),
        (lambda: GPU, {"pycuda": "2026.1"}, "tensorrt is not installed"),
        (lambda: GPU, {"tensorrt-lean-cu13": "10.16", "pycuda": "1"}, "tensorrt-lean is only the runtime"),
        (lambda: GPU, {**ALL, "tensorrt": "10.1.0"}, "tensorrt 10.1.0 is older than 10.4"),
        (
            lambda: GPU,
            {**ALL, "tensorrt-cu13": "10.16.1"},
            "is built for CUDA 13, the driver of the NVIDIA Double runs CUDA 12.8",
        ),
        (lambda: GPU, {"tensorrt": "11.4.0"}, "pycuda is not installed; it is compiled"),
        (lambda: GPU, {**ALL, "tensorrt-cu12": "10.16.1"}, ""),
    ],
)
def test_what_is_missing_is_said_precisely(gpu: Callable[[], Gpu], installed: dict[str, str], sentence: str) -> None:
    found = missing.unavailable_reason({}, gpu, lambda: installed)
    assert found.startswith(sentence) if not sentence else sentence in found
    assert bool(found) == bool(sentence)


def test_the_lean_runtime_is_refused_where_it_is_all_there_is() -> None:
    """The real package, where it is installed: `pip install tensorrt_lean`."""
    lean = pytest.importorskip("tensorrt_lean")
    assert not hasattr(lean, "Builder")
    if "tensorrt" not in missing._installed():
        assert "tensorrt-lean is only the runtime" in missing.unavailable_reason({}, lambda: GPU)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: gcc version 12.2.0",  # noqa: E501
            "535.104.05",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22)",
            "580.65.06",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  550.54.14  Release Build", "550.54.14"),
        ("something else", ""),
    ],
)
def test_the_driver_s_version_is_read_of_either_kernel_module(
    text: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "version").write_text(text + "\n")
    monkeypatch.setattr(driver, "KERNEL_MODULE", tmp_path / "version")
    assert driver._own_version() == version


def test_the_driver_is_asked_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(driver, "open_library", absent)
    for engine in ("trt", "torch:cuda", "ort:provider=cuda"):
        assert "this machine has no NVIDIA driver (libcuda.so.1 is not there)" in unavailable_reason(engine)
    monkeypatch.setattr(driver, "open_library", Cuda(refuse={"cuInit": 100}).library)
    assert "it sees no GPU (cuInit gave 100)" in unavailable_reason("trt")
    none = Cuda()
    none.devices = 0
    monkeypatch.setattr(driver, "open_library", none.library)
    assert "the NVIDIA driver sees no GPU" in unavailable_reason("trt")
    monkeypatch.setattr(driver, "open_library", Cuda().library)
    assert driver.probe() == Gpu("NVIDIA Double", (9, 0), (13, 1), driver.probe().driver, 8 << 30)
    assert "has no CUDA, or none that fits the driver" in unavailable_reason(
        "torch:cuda"
    )  # the driver is there, and is not what is missing


def test_options_are_swept() -> None:
    assert swept(["torch", "trt"], ["graph"]) == ["torch", "trt:graph=on", "trt:graph=off"]
    both = swept(["trt:level=5"], ["aux-streams", "graph"])
    assert len(both) == 8 and both[0] == "trt:level=5,aux_streams=0,graph=on"
    with pytest.raises(BadInput, match="none of the requested engines has the option aux-streams"):
        swept(["ort"], ["aux-streams"])
    with pytest.raises(BadInput, match="--sweep has no 'threads'"):
        swept(["trt"], ["threads"])


def test_widths_that_pay_in_int8_and_such_that_do_not() -> None:
    import onnx

    def network(width: int, blocks: int) -> Any:
        weights = onnx.numpy_helper.from_array(np.zeros((width, width, 3, 3), np.float32), "w")
        nodes = [onnx.helper.make_node("Conv", [f"x{i}", "w"], [f"x{i + 1}"], pads=[1] * 4) for i in range(blocks)]
        ends = [onnx.helper.make_tensor_value_info(n, 1, [1, width, 8, 8]) for n in ("x0", f"x{blocks}")]
        return onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights]))

    assert width_warning(network(32, 2), "int8") == ""
    assert "compute 1.78 times what it needs" in width_warning(network(48, 2), "int8")
    assert width_warning(network(48, 2), "fp32") == ""
