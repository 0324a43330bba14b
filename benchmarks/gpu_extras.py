"""Two exercises of libraries on a GPU: PyCUDA, and what TensorRT for RTX says to a GPU that it may not support."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_deploy.cards import card
from hrnet_deploy.engines.cuda_graph import Graph
from hrnet_deploy.engines.driver import probe
from hrnet_deploy.engines.trt.missing import rtx_build_obstacle
from hrnet_deploy.errors import Unavailable
from hrnet_deploy.graph.fp16 import to_fp16
from hrnet_deploy.graph.metadata import describe, save_model
from hrnet_deploy.graph.plan import BuildOptions
from hrnet_deploy.workflow.network_export import ExportOptions
from hrnet_deploy.workflow.random_weights import random_model


def tensorrt_rtx_exercise(name: str, quick: bool) -> dict[str, Any]:
    """Build a plan in float16, ask whether it is valid on this GPU, and open it.

    TensorRT for RTX names no data-centre GPU among those it supports, so what it says to one is the finding.
    """
    if obstacle := rtx_build_obstacle():
        return {"unavailable_reason": obstacle}
    from hrnet_deploy.engines.trt.build import build_plan, started_by
    from hrnet_deploy.engines.trt.callbacks import Log
    from hrnet_deploy.engines.trt.flavour import RTX

    chosen = card(name).resized(64, 64) if quick else card(name)
    model, description = random_model(chosen, ExportOptions())
    half, _ = to_fp16(model)
    describe(half, description)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fp16.onnx")
        save_model(half, path)
        made = build_plan(RTX, path, description, BuildOptions(), None)
    found: dict[str, Any] = {"version": RTX.version, "build_s": round(made.seconds, 1), "plan_bytes": len(made.plan)}
    try:
        gpu = probe()
    except Unavailable as reason:
        return {**found, "opened": f"not tried: {reason}"}
    log = Log(RTX)
    runtime = started_by(log, RTX.api.Runtime)
    validity, diagnostics = runtime.get_engine_validity(made.plan)
    engine = runtime.deserialize_cuda_engine(made.plan)
    opened = "yes" if engine is not None else f"no{log.last}"
    return {**found, "gpu": gpu.name, "validity": str(validity), "diagnostics": str(diagnostics), "opened": opened}


def pycuda_exercise(wheels: Path | None) -> dict[str, Any]:
    """The engine's arena, a copy each way, events, and a captured copy replayed, without TensorRT."""
    if wheels is None:
        return _pycuda_exercise()
    with tempfile.TemporaryDirectory() as place:
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-index",
            "--find-links",
            str(wheels),
            "--target",
            place,
            "pycuda",
        ]
        done = subprocess.run(install, capture_output=True, text=True, timeout=600)
        if done.returncode:
            errors = sorted(
                (line.strip() for line in done.stderr.splitlines() if "error" in line.lower()),
                key=lambda t: "fatal" not in t,
            )
            reason = errors[0] if errors else done.stderr[-300:]
            return {"unavailable_reason": f"PyCUDA could not be built from {wheels}: {reason}"}
        sys.path.append(place)
        try:
            return {"built": True, **_pycuda_exercise()}
        finally:
            sys.path.remove(place)


def _pycuda_exercise() -> dict[str, Any]:
    try:
        import pycuda.driver as cuda

        from hrnet_deploy.engines.trt.arena import Arena
    except ImportError as error:
        return {"unavailable_reason": str(error)}
    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    try:
        layout = {"a": ((1, 3, 256, 192), "float32")}
        arena, stream = Arena(layout, {"b": layout["a"]}), cuda.Stream()
        given = np.random.default_rng(0).random(layout["a"][0], dtype=np.float32)
        arena.upload({"a": given}, stream)

        def copy() -> bool:
            cuda.memcpy_dtod_async(arena.address["b"], arena.address["a"], given.nbytes, stream)
            return True

        stream.synchronize()
        graph = Graph(stream.handle, copy)
        before, after = cuda.Event(), cuda.Event()
        before.record(stream)
        graph.launch()
        after.record(stream)
        arena.download(stream)
        stream.synchronize()
        same = bool(np.array_equal(arena.results()["b"], given))
        found = {"bytes": arena.size, "graph_copy_ms": before.time_till(after), "same": same}
        graph.close()
        arena.close()
        return found
    finally:
        cuda.Context.pop()
        context.detach()
