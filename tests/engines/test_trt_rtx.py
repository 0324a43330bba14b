"""TensorRT for RTX: NVIDIA's own parser and compiler, where they are installed, and the runtime by a double.

Nothing here runs a plan. Its compiler needs no GPU, so `build` is executed for real.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from support.demo import NAME
from support.interpreter import ROOT
from support.placing import RANGE
from support.surface import RTX_VERSION
from support.tensorrt_double import Cuda
from support.tensorrt_world import World, doubled, expected, feed

from hrnet_deploy.engines import driver, unavailable_reason
from hrnet_deploy.engines.base import Source
from hrnet_deploy.engines.on_gpu import RTX_PACKAGE
from hrnet_deploy.engines.ort import OrtEngine
from hrnet_deploy.engines.trt.compiled import WIDTHS, read_compiled
from hrnet_deploy.engines.trt.flavour import RTX
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.graph.fp16 import to_fp16
from hrnet_deploy.graph.metadata import describe, description_of, load_model, read_description, save_model
from hrnet_deploy.graph.plan import BuildOptions, manifest_path, read_manifest
from hrnet_deploy.graph.quantize import TARGETS, place, quantize
from hrnet_deploy.graph.unquantize import unquantized
from hrnet_deploy.jobs.build import BuildRequest, build
from hrnet_deploy.results import codec
from hrnet_deploy.results.compiled import CompiledGraph, verdict

PARSER = "seg_hrnetv2_w16_demo_256x256"
WHY = "tensorrt_rtx is not installed: pip install 'hrnet-deploy[trt-rtx]'"
real = pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason=WHY)
LINE = (
    "Name: {name}, LayerType: {type}, Inputs: [ {{ Name: x, Dimensions: [{dims}], Strides: [1], Datatype: {given}, "
    "Format: (NHWC) }}], Constants: [ {{ Name: w, Dimensions: [8,8,3,3], Datatype: Half, Format: (NHWC) }}], Outputs: "
    "[ {{ Name: y, Dimensions: [{dims}], Strides: [1], Datatype: {gives}, Format: (NHWC) }}], TacticName: {tactic}, "
    "StreamId: {stream}, Metadata: {origin}"
)


def in_precision(file: Path, precision: str, path: Path) -> Path:
    """The network of a float32 file as a file in another precision, with made-up ranges."""
    model = load_model(file)
    description = description_of(model, file)
    if target := {"int8": "trt", "int8 + fp16": "trt", "sparing": "trt-rtx", "ort": "ort", "openvino": "openvino"}.get(
        precision
    ):
        placement = place(model, TARGETS[target])
        model = quantize(model, TARGETS[target], placement, dict.fromkeys(placement.ranged, RANGE))
        description = dataclasses.replace(description, precision="int8").with_step("quantize", target=target)
    if precision in ("fp16", "int8 + fp16", "sparing"):
        model, kept = to_fp16(model)
        precision = "fp16" if precision == "fp16" else "int8"
        description = dataclasses.replace(description, precision=precision).with_step("half", kept=kept)
    describe(model, description)
    save_model(model, path)
    return path


def counted(lines: tuple[str, ...]) -> dict[str, Any]:
    """Totals of a log, counted another way than by `compiled`: by splitting each line at its brackets."""
    totals: dict[str, Any] = {"kernels": 0, "bytes": 0, "joins": 0, "streams": set(), "convolutions": 0}
    for line in lines:
        if ", LayerType: " not in line:
            continue
        kind = line.split(", LayerType: ")[1].split(",")[0]
        totals["streams"].add(line.split("StreamId: ")[1].split(",")[0])
        totals["joins"] += kind == "wait"
        if kind in ("signal", "wait", "shape_call"):
            continue
        totals["kernels"] += 1
        totals["convolutions"] += kind == "correlation" or "__myl_Corr" in line.split(",")[0]
        before, _, after = line.partition("Constants: [")
        for tensor in (before + after.partition("Outputs: [")[2]).split("{ Name: ")[1:]:
            shape = [int(d) for d in tensor.split("Dimensions: [")[1].split("]")[0].split(",") if d]
            kind = tensor.split("Datatype: ")[1].split(",")[0].split(" ")[0]
            totals["bytes"] += int(np.prod(shape)) * {"Float": 4, "Half": 2, "Int8": 1}[kind]
    return totals


@real
def test_a_plan_is_built_without_a_gpu(
    tiny_onnx: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    plan = tmp_path / "tiny.plan"
    code, out, err = run(
        "build", tiny_onnx, "--engine", "trt-rtx", "-o", plan, "--layers", "--report", tmp_path / "a.json"
    )
    assert code == 0 and not err
    assert "Kernels of each block" in out and "stage4.0 fusion" in out and "final_layer" in out
    manifest = read_manifest(plan)
    assert manifest.engine == "trt-rtx" and "8.9" in manifest.identity["compute_capabilities"]
    assert "--engine trt-rtx" in manifest.rebuild(plan)
    found = codec.convert(manifest.compiled, CompiledGraph, "the manifest")
    assert {(c.computes, c.gives) for c in found.convolutions} == {("fp32", "fp32")}
    assert sum(b.kernels for b in found.blocks) == found.count and found.traffic == sum(
        b.bytes or 0 for b in found.blocks
    )
    code, out, err = run("inspect", plan)
    assert code == 0 and f"kernels {found.count}: " in out and "TensorRT for RTX" in out
    code, out, err = run("bench", plan, "--engine", "trt-rtx")
    assert code == 3 and err.count("\n") == 1 and "no NVIDIA driver" in err, err


@real
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8 + fp16"])
def test_totals_are_those_of_the_compiler_s_log(precision: str, tiny_onnx: Path, tmp_path: Path) -> None:
    from hrnet_deploy.engines.trt.build import build_plan

    file = tiny_onnx if precision == "fp32" else in_precision(tiny_onnx, precision, tmp_path / "a.onnx")
    made = build_plan(RTX, file, description_of(load_model(file), file), BuildOptions(), None)
    found, totals = read_compiled(made.compiled), counted(made.compiled)
    assert found is not None and found.count == totals["kernels"] > 50
    assert found.traffic == totals["bytes"] > 10_000
    assert found.joins == totals["joins"] and found.streams == len(totals["streams"])
    assert sum(c.count for c in found.convolutions) == totals["convolutions"]
    convolutions = sum(n.op_type == "Conv" for n in load_model(file).graph.node)
    assert totals["convolutions"] == convolutions
    computed = {c.computes for c in found.convolutions}
    assert computed == {"int8" if "int8" in precision else precision}
    assert found.weights > 0 and found.activations > 0


@real
def test_int8_is_compared_with_fp16(tiny_onnx: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    """The verdict of `build --layers` is that of `compare` on the two builds."""
    reports = []
    for precision in ("fp16", "int8"):
        file = in_precision(tiny_onnx, precision, tmp_path / f"{precision}.onnx")
        reports.append(tmp_path / f"{precision}.json")
        plan = tmp_path / f"{precision}.plan"
        code, out, _ = run("build", file, "--engine", "trt-rtx", "-o", plan, "--layers", "--report", reports[-1])
        assert code == 0
    fp16, int8 = (codec.read(r) for r in reports)
    assert int8.in_fp16.count == fp16.compiled.count  # type: ignore[attr-defined]
    assert int8.in_fp16.traffic == fp16.compiled.traffic  # type: ignore[attr-defined]
    said = " ".join(out.split())
    assert f"int8 becomes {int8.compiled.count} kernels" in said and "expect no gain from int8" in said  # type: ignore[attr-defined]
    code, out, _ = run("compare", *reports)
    assert code == 0 and "expect no gain from int8 at batch 1" in " ".join(out.split())


@real
def test_the_sparing_placement_adds_no_kernel_and_moves_fewer_bytes(tiny_onnx: Path, tmp_path: Path) -> None:
    found = {}
    for precision in ("fp16", "sparing"):
        file = in_precision(tiny_onnx, precision, tmp_path / f"{precision}.onnx")
        done = build(BuildRequest(file, tmp_path / f"{precision}.plan", engine="trt-rtx"))
        assert done.compiled is not None and done.compiled.traffic is not None
        found[precision] = done.compiled
    fp16, sparing = found["fp16"], found["sparing"]
    assert sparing.count <= fp16.count
    assert (sparing.traffic or 0) + sparing.weights < (fp16.traffic or 0) + fp16.weights
    assert any(c.computes == "int8" for c in sparing.convolutions)
    assert "costs less than fp16" in verdict(sparing, fp16)


@real
def test_open_axes_become_profiles_and_bytes_are_those_of_the_tuned_batch(
    exported: Callable[..., Path], tiny_onnx: Path, tmp_path: Path
) -> None:
    options = BuildOptions(batch=(1, 4, 8), gpus=("sm86", "sm89"))
    done = build(BuildRequest(exported(dynamic=("batch",)), tmp_path / "a.plan", options, engine="trt-rtx"))
    assert [b[0] for b in done.profiles["image"]] == [1, 4, 8]
    assert done.identity == {"compute_capabilities": "8.6, 8.9"}
    assert "--gpu sm86,sm89" in read_manifest(tmp_path / "a.plan").rebuild(tmp_path / "a.plan")
    one = build(BuildRequest(tiny_onnx, tmp_path / "b.plan", engine="trt-rtx"))
    assert done.compiled and one.compiled and done.compiled.traffic and one.compiled.traffic
    assert done.compiled.batch == 4 and done.compiled.traffic == pytest.approx(4 * one.compiled.traffic, rel=0.1)
    with pytest.raises(BadInput, match="--gpu sm90 is no GPU of TensorRT for RTX — choose among any, sm75"):
        build(BuildRequest(tiny_onnx, tmp_path / "c.plan", BuildOptions(gpus=("sm90",)), engine="trt-rtx"))
    assert not (tmp_path / "c.plan").exists()


@real
@pytest.mark.parametrize("target", ["ort", "openvino"])
def test_a_file_for_another_engine_is_one_sentence(
    target: str, tiny_onnx: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    file = in_precision(tiny_onnx, target, tmp_path / "a.onnx")
    code, _, err = run("build", file, "--engine", "trt-rtx", "-o", tmp_path / "a.plan")
    assert code == 2 and err.count("\n") == 1, err
    assert re.search(
        r"refuses the (Quantize|Dequantize)Linear node \S+ — quantize the fp32 file with --target trt", err
    )
    assert f"quantized for {target}" in err
    assert not (tmp_path / "a.plan").exists()


@real
def test_a_detector_is_one_sentence(
    detector_onnx: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = run("build", detector_onnx, "--engine", "trt-rtx", "-o", tmp_path / "a.plan")
    assert code == 3 and err.count("\n") == 1, err
    assert "RoiAlign" in err and "needs a GPU" in err
    assert not list(tmp_path.iterdir())


@real
@pytest.mark.parametrize(
    ("name", "precisions"),
    [
        pytest.param(NAME, ("fp32", "fp16", "int8", "int8 + fp16"), marks=pytest.mark.slow),
        pytest.param(PARSER, ("fp16", "int8"), marks=pytest.mark.slow),
        pytest.param(PARSER, ("fp32", "int8 + fp16"), marks=[pytest.mark.slow, pytest.mark.paper]),
    ],
)
def test_the_demo_models_are_built_in_every_precision(name: str, precisions: tuple[str, ...], tmp_path: Path) -> None:
    from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export

    plain = tmp_path / "fp32.onnx"
    assert export(ExportRequest(name, plain, ExportOptions())).passed
    for precision in precisions:
        file = plain if precision == "fp32" else in_precision(plain, precision, tmp_path / "a.onnx")
        done = build(BuildRequest(file, tmp_path / "a.plan", force=True, engine="trt-rtx"))
        assert manifest_path(tmp_path / "a.plan").exists() and done.compiled is not None and done.compiled.blocks
        assert {c.computes for c in done.compiled.convolutions} == {precision.partition(" ")[0]}


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["pose_hrnet_w32_256x192", pytest.param("seg_hrnetv2_w18_cityscapes_512x1024", marks=pytest.mark.paper)],
)
def test_networks_of_the_paper_are_built(name: str, tmp_path: Path) -> None:
    from hrnet_deploy.cards import card
    from hrnet_deploy.workflow.network_export import ExportOptions
    from hrnet_deploy.workflow.random_weights import random_model

    model, description = random_model(card(name).resized(64, 64), ExportOptions(exporter="torchscript"))
    half, _ = to_fp16(model)
    describe(half, dataclasses.replace(description, precision="fp16"))
    save_model(half, tmp_path / "a.onnx")
    done = build(BuildRequest(tmp_path / "a.onnx", tmp_path / "a.plan", engine="trt-rtx"))
    assert done.compiled is not None and {c.computes for c in done.compiled.convolutions} == {"fp16"}


@real
def test_a_detector_is_built_with_stand_ins(
    detector_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from compiler_stand_ins import with_stand_ins

    made, replaced = with_stand_ins(load_model(detector_onnx))
    assert sorted(replaced) == ["NonMaxSuppression", "RoiAlign"]
    save_model(made, tmp_path / "a.onnx")
    before, after = (onnxruntime.InferenceSession(str(p)) for p in (detector_onnx, tmp_path / "a.onnx"))
    assert [o.shape for o in after.get_outputs()] == [o.shape for o in before.get_outputs()]
    done = build(BuildRequest(tmp_path / "a.onnx", tmp_path / "a.plan", engine="trt-rtx"))
    convolutions = sum(n.op_type == "Conv" for n in made.graph.node)
    assert done.compiled is not None and sum(c.count for c in done.compiled.convolutions) == convolutions


def test_a_network_without_its_pairs_is_the_network(tiny_onnx: Path, tmp_path: Path) -> None:
    import onnxruntime

    outputs = []
    for model in (load_model(tiny_onnx), unquantized(load_model(in_precision(tiny_onnx, "int8", tmp_path / "a.onnx")))):
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        outputs.append(session.run(None, {"image": np.random.default_rng(0).random((1, 3, 96, 64), np.float32)})[0])
    assert not any(n.op_type in ("QuantizeLinear", "DequantizeLinear") for n in model.graph.node)
    assert [n.op_type for n in model.graph.node] == [n.op_type for n in load_model(tiny_onnx).graph.node]
    assert np.abs(outputs[0] - outputs[1]).max() < 0.1 * np.abs(outputs[0]).max()  # weights are rounded to 8 bits


def test_the_log_is_read(tmp_path: Path) -> None:
    def line(name: str, kind: str, given: str = "Half", gives: str = "Half", **more: Any) -> str:
        filled = {"dims": "2,8,4,4", "tactic": "", "stream": 0, "origin": "", **more}
        return LINE.format(name=name, type=kind, given=given, gives=gives, **filled)

    lines = [
        line("layer1.0.conv1_myl0_1", "correlation", "Int8", "Float", origin="[ONNX Layer: layer1.0.conv1]"),
        line(
            "__myl_CorrAddRelu_myl0_2", "runtime_fusion", origin="[ONNX Layer: stage3.0.fuse_layers.1.0.0.0]", stream=1
        ),
        line("__myl_MulMinMaxRounCast_myl0_3", "kgen", "Float", "Int8", tactic="__myl_MulMinMaxRounCast_0xab"),
        line("__myl_Tran_myl0_4", "kgen", tactic="__myl_Tran_0xcd", dims="-1,8,4,4"),
        "Name: w, LayerType: wait, Inputs: [], Constants: [], Outputs: [], TacticName: , StreamId: 2, Metadata: ",
        "Total Weights Memory: 12 bytes",
        "Total Activation Memory: 34 bytes",
        "something else",
    ]
    found = read_compiled(lines, batch=2)
    assert found is not None
    assert found.kernels == {"convolution": 1, "convolution with sums": 1, "pointwise, to int8": 1, "reformat": 1}
    assert [(c.computes, c.gives, c.count) for c in found.convolutions] == [("int8", "fp32", 1), ("fp16", "fp16", 1)]
    assert (found.streams, found.joins, found.weights, found.activations) == (3, 1, 12, 34)
    assert found.traffic == 256 * (1 + 4 + 2 + 2 + 4 + 1 + 2 + 2)
    assert [(b.name, b.kernels) for b in found.blocks] == [
        ("layer1.0", 1),
        ("stage3.0 fusion", 1),
        ("input and output", 2),
    ]
    assert read_compiled(lines[5:]) is None
    open_size = read_compiled([line("a", "kgen", dims="1,8,-1,-1")])
    assert open_size is not None and open_size.traffic is None
    assert set(WIDTHS) >= {"Float", "Half", "Int8"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """TensorRT for RTX on one GPU of compute capability 8.9, both doubles."""
    with doubled(RTX_VERSION, monkeypatch, tmp_path, "tensorrt_rtx") as made:
        made.cuda.capability = (8, 9)
        made.answer(
            IRuntimeConfig__create_runtime_cache=lambda _: object.__new__(made.trt.module.IRuntimeCache),
            IRuntimeCache__serialize=b"kernels",
        )
        yield made


def test_a_plan_is_run_with_the_runtime_s_own_graphs_and_cache(world: World, tiny_onnx: Path) -> None:
    plan = world.folder / "tiny.plan"
    done = build(BuildRequest(tiny_onnx, plan, engine="trt-rtx"))
    assert "IBuilderConfig.set_timing_cache" not in world.trt.names()
    assert done.compiled is None and done.engine_info.gpu == "NVIDIA Double"
    engine = world.engine(plan, "specialization=eager", "trt-rtx")
    given = feed(1)
    assert np.allclose(engine.run(given)["heatmaps"], expected(given))
    module: Any = world.trt.module
    assert world.trt.arguments("IRuntimeConfig.cuda_graph_strategy =")[-1] == (
        module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE,
    )
    strategy = world.trt.arguments("IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy =")[-1]
    assert strategy == (module.DynamicShapesKernelSpecializationStrategy.EAGER,)
    assert "cuGraphLaunch" not in world.cuda.calls  # the library captures
    cache = world.folder / "tiny.plan.cache"
    assert cache.read_bytes() == b"kernels"
    assert engine.info.timings["first_inference_ms"] > 0 and "the first inference took" in engine.info.note
    engine.close()
    world.engine(plan, "graph=off", "trt-rtx").close()
    assert world.trt.arguments("IRuntimeCache.deserialize") == [(b"kernels",)]
    assert world.trt.arguments("IRuntimeConfig.cuda_graph_strategy =")[-1] == (module.CudaGraphStrategy.DISABLED,)


def test_a_plan_is_opened_by_its_engine_on_its_gpus(world: World, tiny_onnx: Path) -> None:
    plan = world.folder / "tiny.plan"
    build(BuildRequest(tiny_onnx, plan, BuildOptions(gpus=("sm86",)), engine="trt-rtx"))
    with pytest.raises(Unavailable, match=r"built for the compute capabilities 8.6, here is 8.9 — build it again with"):
        world.engine(plan, "", "trt-rtx")
    path = manifest_path(plan)
    path.write_text(json.dumps({**json.loads(path.read_text()), "engine": "trt"}))
    with pytest.raises(BadInput, match="is a plan of the engine trt, not of trt-rtx — use --engine trt"):
        world.engine(plan, "", "trt-rtx")
    world.cuda.capability = (9, 0)
    assert (
        "is for GPUs of compute capability 7.5, 8.6, 8.9, 12.0, 12.1, and the NVIDIA Double has 9.0"
        in unavailable_reason("trt-rtx")
    )


def test_without_the_library_building_says_how_to_install_it(
    tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "tensorrt_rtx" else found(name, *a)
    )
    with pytest.raises(
        Unavailable, match=r"cannot build here: tensorrt_rtx is not installed — install with: pip install"
    ):
        build(BuildRequest(tiny_onnx, tmp_path / "a.plan", engine="trt-rtx"))
    assert Cuda().capability == (9, 0)


def test_the_provider_of_onnxruntime_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "ort:provider=tensorrt-rtx"
    monkeypatch.setattr(driver, "open_library", Cuda(capability=(9, 0)).library)
    assert "compute capability 8.6, 8.9, 12.0, 12.1, and the NVIDIA Double has 9.0" in unavailable_reason(name)
    monkeypatch.setattr(driver, "open_library", Cuda(capability=(8, 9)).library)
    if importlib.util.find_spec("onnxruntime_ep_nv_tensorrt_rtx") is None:
        assert "pip install onnxruntime-ep-nv-tensorrt-rtx-cu13" in unavailable_reason(name)


class Plugin(types.ModuleType):
    """A double of the package of the execution provider, whose library is another one."""

    def get_ep_name(self) -> str:
        return "NvTensorRTRTXExecutionProvider"

    def get_library_path(self) -> str:
        return onnxruntime.capi.onnxruntime_pybind11_state.__file__


def test_a_plugin_that_does_not_load_or_finds_no_gpu_is_one_sentence(
    tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, RTX_PACKAGE, Plugin(RTX_PACKAGE))
    source = Source(read_description(tiny_onnx).card, tiny_onnx)
    with pytest.raises(Unavailable, match=r"the provider tensorrt-rtx does not load \(.*\) — use provider=cuda"):
        OrtEngine(source, 1, provider="tensorrt-rtx")
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", lambda name, path: None)
    with pytest.raises(Unavailable, match="the provider tensorrt-rtx finds no GPU that it can use"):
        OrtEngine(source, 1, provider="tensorrt-rtx")
