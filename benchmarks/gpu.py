"""Everything that can be measured on a bare NVIDIA GPU: `python benchmarks/gpu.py -o benchmarks/results/NAME.json`.

One call measures the nine networks of the paper's cost table in PyTorch (float32, TF32, float16; eager, as a CUDA
graph, as a graph with HRNet's branches on parallel streams), with training; HRNetV1-W48 at 256x192 in every mode there
is, compiled too; its throughput by batch beside the matrix rate of the same GPU; ONNX Runtime's CUDA provider where it
is installed; and PyCUDA's memory, events and graph capture where it is installed, or where `--wheels DIR` holds what
builds it (`pip download pycuda numpy setuptools wheel -d DIR`, with that machine's version of Python). Nothing is
fetched, and nothing stays installed.

It writes one JSON file, of the kind `gpu` (gpu_result.py). Each part is kept as it is found, and the same command goes
on after an interrupt. `--quick` takes small inputs, and the CPU where there is no GPU, to see that everything works.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gpu_result import GpuResult

from hrnet_deploy.bench.run import Schedule
from hrnet_deploy.engines import unavailable_reason
from hrnet_deploy.engines.cuda_graph import Graph
from hrnet_deploy.errors import DeployError
from hrnet_deploy.files import read_json, write_json
from hrnet_deploy.jobs.bench import BenchRequest, bench
from hrnet_deploy.jobs.cost_table import CostTableRequest, cost_table
from hrnet_deploy.progress import Progress
from hrnet_deploy.results import codec
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.cost_table import CostTableResult

CARD = "pose_hrnet_w48_256x192"
TABLE = (
    "torch:cuda",
    "torch:cuda,precision=tf32",
    "torch:cuda,precision=fp16,channels_last",
    "torch:cuda,precision=fp16,channels_last,graph",
    "torch:cuda,precision=fp16,channels_last,graph,streams",
)
WAYS = ("", ",graph", ",graph,streams", ",compile", ",compile,graph")
PRECISIONS = ("fp32", "tf32", "fp16", "bf16")
BATCHES = (1, 8, 32, 128)
BEST = "torch:cuda,precision=fp16,channels_last,graph"
SCHEDULE = Schedule(seconds=1.0, rounds=6, warm_up=0.2, warm_up_most=2.0, regions=("compute",))
SIDE = 8192  # of the matrices whose product gives the rate


class Printed(Progress):
    """Prints the name of each stage."""

    def stage(self, name: str, total: int | None = None) -> None:
        print(name, flush=True)


def matrix_rates(device: str, side: int) -> dict[str, float]:
    """Multiply-accumulates a second (in 1e12) of a plain product of square matrices, by precision."""
    import torch  # here: the workers of a benchmark import this file again, and what that takes is measured

    kinds = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    rates = {}
    for name, kind in kinds.items():
        if device == "cpu" and name in ("tf32", "fp16"):
            continue
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
        times = []
        for _ in range(8):
            begin = time.perf_counter()
            torch.mm(a, b)
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
        rates[name] = side**3 / statistics.median(times[2:]) / 1e12
    return rates


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


def gathered(table: CostTableResult, parts: dict[str, Any]) -> GpuResult:
    """The cost table and the parts beside it as one result."""
    missing = {n: p["unavailable_reason"] for n, p in parts.items() if "unavailable_reason" in p}
    found = {n: p for n, p in parts.items() if n not in missing}
    measured = {n: codec.from_dict(p, n) for n, p in found.items() if n not in ("matrix_rates", "pycuda")}
    return GpuResult(
        command=table.command,
        started=table.started,
        environment=table.environment,
        table=table,
        matrix_rates=found.get("matrix_rates", {}),
        measured={n: r for n, r in measured.items() if isinstance(r, BenchResult)},
        pycuda=found.get("pycuda", {}),
        missing=missing,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=25.0, help="after which no further column is begun")
    parser.add_argument("--quick", action="store_true", help="small inputs, on the CPU where there is no GPU")
    parser.add_argument("--wheels", type=Path, help="a folder to build PyCUDA of, where it is not installed")
    args = parser.parse_args()
    has_gpu = not unavailable_reason("torch:cuda")
    if not has_gpu and not args.quick:
        sys.exit(f"error: {unavailable_reason('torch:cuda')}; or see that the script works with --quick")
    command, device = shlex.join(["python", *sys.argv]), "cuda" if has_gpu else "cpu"
    progress = Printed()
    schedule = (
        Schedule(seconds=0.2, rounds=6, warm_up=0.1, warm_up_most=0.3, regions=("compute",)) if args.quick else SCHEDULE
    )
    size = (64, 64) if args.quick else None
    began = time.monotonic()
    beside = args.output.with_suffix(".part.json")  # the parts that are not of the cost table, as they come
    columns_file = args.output.with_suffix(".table.json")  # the cost table, which continues where it was interrupted
    extra: dict[str, Any] = read_json(beside, "what this script left") if beside.exists() else {}

    def kept(name: str, make: Callable[[], dict[str, Any]]) -> None:
        """What is found once and not measured again. Whatever a part dies of, the others go on."""
        if name not in extra:
            progress.stage(name)
            try:
                extra[name] = make()
            except Exception as error:
                extra[name] = {"unavailable_reason": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        write_json(beside, extra)

    def table(engines: Sequence[str], batches: tuple[int, ...] = (1,)) -> dict[str, Any]:
        request = BenchRequest(card=CARD, engines=list(engines), batches=batches, size=size, schedule=schedule)
        return codec.to_dict(dataclasses.replace(bench(request, progress), command=command))

    kept("matrix_rates", lambda: matrix_rates(device, 512 if args.quick else SIDE))
    if has_gpu:
        # One run for each precision, so that an interrupt costs one of them. Eager float32 is in each, to compare with.
        for precision in PRECISIONS:
            modes = [f"torch:cuda,precision={precision},channels_last{way}" for way in WAYS]
            kept(f"modes_{precision}", lambda modes=modes: table(["torch:cuda", *modes]))  # type: ignore[misc]
        best, columns = [BEST], list(TABLE)
    else:
        kept("modes_fp32", lambda: table(["torch", "torch:channels_last"]))
        best, columns = ["torch:channels_last"], ["torch"]
    kept("throughput", lambda: table(best, BATCHES[:2] if args.quick else BATCHES))
    left = max(0.0, args.minutes - (time.monotonic() - began) / 60)
    request = CostTableRequest(columns_file, columns, quick=args.quick, minutes=left, training=True, command=command)
    cost_table(request, progress)
    rows = ["ort:provider=cuda", "ort:provider=cuda,graph"]
    kept(
        "onnxruntime",
        lambda: {"unavailable_reason": reason} if (reason := unavailable_reason(rows[0])) else table(rows),
    )
    kept("pycuda", lambda: pycuda_exercise(args.wheels))
    codec.write(args.output, gathered(codec.read_as(columns_file, CostTableResult), extra))
    beside.unlink()
    columns_file.unlink()


if __name__ == "__main__":
    try:
        main()
    except DeployError as error:
        sys.exit(f"error: {error}")
