"""The engine names only what TensorRT 10.16 and 11.4 and TensorRT for RTX all have, apart from one module."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.surface import RTX_VERSION, VERSIONS, check

import hrnet_deploy.engines.trt

LEAST = {"build": 35, "callbacks": 8, "engine": 20, "execution_context": 5, "rtx": 8, "rtx_engine": 1}
FILES = sorted(p for p in Path(hrnet_deploy.engines.trt.__file__).parent.glob("*.py") if " as trt\n" in p.read_text())
CASES = [(p, v) for p in FILES for v in (*VERSIONS, RTX_VERSION) if v == RTX_VERSION or not p.stem.startswith("rtx")]
BUILDER = "builder = trt.Builder(log)\nconfig = builder.create_builder_config()\n"
ENGINE = "engine: trt.ICudaEngine = made\n"


def test_there_is_code_to_check() -> None:
    assert [p.stem for p in FILES] == list(LEAST)


@pytest.mark.parametrize(("path", "version"), CASES, ids=lambda x: x.stem if isinstance(x, Path) else x)
def test_every_name_and_call_is_of_the_bindings(path: Path, version: str) -> None:
    found = check(path.read_text(), version)
    assert not found.problems
    assert found.checked >= LEAST[path.stem], "the checker follows too few types to say anything"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("config.num_compute_capabilities", "config.compute_capabilities"),
        ("config.set_compute_capability(", "config.add_compute_capability("),
        ("engine.create_runtime_config()", "engine.create_config()"),
        ("config.cuda_graph_strategy", "config.graph_strategy"),
        ("cache.deserialize(", "cache.load("),
        ("config.set_runtime_cache(cache)", "config.set_runtime_cache(cache, 1)"),
    ],
)
def test_a_wrong_name_of_tensorrt_for_rtx_is_found(ours: str, theirs: str) -> None:
    (source,) = (p.read_text() for p in FILES if p.stem == "rtx")
    assert ours in source
    assert check(source.replace(ours, theirs), RTX_VERSION).problems


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("file", "ours", "theirs"),
    [
        ("build", "builder.create_network(", "builder.create_network_v2("),
        ("build", "builder.build_serialized_network(", "builder.build_engine("),
        ("build", "parser.parse_from_file(", "parser.parse_file("),
        ("build", "profile.set_shape(", "profile.set_shapes("),
        ("build", "config.set_timing_cache(known, False)", "config.set_timing_cache(known)"),
        ("build", "trt.BuilderFlag.TF32", "trt.BuilderFlag.TF16"),
        ("build", "network.num_inputs", "network.inputs"),
        ("engine", "self._runtime.deserialize_cuda_engine(", "self._runtime.open("),
        ("engine", "self._engine.device_memory_size_v2", "self._engine.device_memory"),
        ("engine", "self._engine.get_tensor_profile_shape(", "self._engine.get_profile_shape("),
        ("execution_context", "context.execute_async_v3(", "context.execute_async_v2("),
        ("execution_context", "context.set_tensor_address(", "context.set_address("),
        ("engine", "context.profiler =", "context.profile ="),
        ("engine", "inspector.get_engine_information(", "inspector.get_information("),
    ],
)
def test_a_wrong_name_in_the_engine_itself_is_found(file: str, ours: str, theirs: str, version: str) -> None:
    (source,) = (p.read_text() for p in FILES if p.stem == file)
    assert ours in source
    assert check(source.replace(ours, theirs), version).problems


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (BUILDER + "config.set_flag(trt.BuilderFlag.FP16)", "no BuilderFlag.FP16"),
        (BUILDER + "config.set_flag(trt.BuilderFlag.INT8)", "no BuilderFlag.INT8"),
        (BUILDER + "config.int8_calibrator = calibrator", "no IBuilderConfig.int8_calibrator"),
        (BUILDER + "builder.platform_has_fast_int8", "no Builder.platform_has_fast_int8"),
        (
            BUILDER + "builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))",
            "EXPLICIT_BATCH",
        ),
        (ENGINE + "size = engine.device_memory_size", "no ICudaEngine.device_memory_size"),
        ("class A(trt.IInt8EntropyCalibrator2):\n    pass", "no IInt8EntropyCalibrator2"),
        (
            "def f(context: trt.IExecutionContext) -> None:\n    context.execute_async_v2(bindings, stream)",
            "no IExecutionContext.execute_async_v2",
        ),
    ],
)
def test_a_name_that_was_removed_is_found(code: str, problem: str) -> None:
    assert any(problem in p for p in check(code, "11.4").problems)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (BUILDER + "config.set_timing_cache(cache)", "IBuilderConfig.set_timing_cache is called with 1"),
        (
            BUILDER + "config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size=1)",
            "set_memory_pool_limit is called",
        ),
        (
            "class P(trt.IProfiler):\n    def report_layer_time(self, name, ms): ...",
            "IProfiler.report_layer_time takes layer_name, ms",
        ),
        (
            "class A:\n    def __init__(self):\n        self.r = trt.Runtime(log)\n    def f(self):\n        self.r.open(plan)",  # noqa: E501
            "no Runtime.open",
        ),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_call_that_does_not_fit_is_found(code: str, problem: str, version: str) -> None:
    assert any(problem in p for p in check(code, version).problems)
