"""Everything that can be measured on a bare NVIDIA GPU: `python benchmarks/gpu.py -o benchmarks/results/NAME.json`.

What is worth most comes first: the limits of the GPU (its matrix rates and its copy rate), HRNetV1-W48 at 256x192 in
PyTorch (eager, as a CUDA graph, as a graph with branches on parallel streams) in each precision, its throughput by
batch, ONNX Runtime's CUDA provider, what TensorRT for RTX says to this GPU, PyCUDA, the nine networks of the paper's
cost table, compiled PyTorch, and training steps. Each figure is also given as a share of the limits. ONNX Runtime,
TensorRT for RTX and PyCUDA are skipped where they are not installed; `--wheels DIR` holds what builds PyCUDA (`pip
download pycuda numpy setuptools wheel -d DIR`, with that machine's version of Python). Nothing is fetched, and nothing
stays installed.

It writes one JSON file, of the kind `gpu` (gpu_result.py), anew after each part. A part that fails says why, and the
others go on. After `--minutes` no further part is begun; the same command goes on with what is missing. `--quick` takes
small inputs, and the CPU where there is no GPU, to see that everything works.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gpu_limits import COPIED, SIDE, copy_rate, matrix_rates, work_of
from gpu_result import GpuResult

from hrnet_deploy.bench.run import Schedule
from hrnet_deploy.cards import card
from hrnet_deploy.engines import unavailable_reason
from hrnet_deploy.errors import DeployError
from hrnet_deploy.files import read_json, write_json
from hrnet_deploy.jobs.bench import BenchRequest, bench
from hrnet_deploy.jobs.cost_table import CostTableRequest, cost_table
from hrnet_deploy.progress import Progress
from hrnet_deploy.results import codec
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.cost_table import CostTableResult, CostTableSettings
from hrnet_deploy.workflow.paper_networks import paper_networks

CARD = "pose_hrnet_w48_256x192"
TABLE = (  # few, because most of the time goes into opening a network, which happens once per row
    "torch:cuda",
    "torch:cuda,precision=fp16,channels_last,graph",
    "torch:cuda,precision=fp16,channels_last,fused,graph",
    "torch:cuda,precision=fp16,channels_last,fused,graph,streams",
)
GRAPHS = ("", ",graph", ",graph,streams")
FUSED = (",fused,graph", ",fused,graph,streams")
COMPILED = (",compile", ",compile,graph")
PRECISIONS = ("fp16", "fp32", "bf16", "tf32")  # in the order of their worth
BATCHES = (1, 8, 32, 128)
PLAIN_GRAPH = "torch:cuda,precision=fp16,channels_last,graph"
BEST = "torch:cuda,precision=fp16,channels_last,fused,graph,streams"
SCHEDULE = Schedule(seconds=0.5, rounds=6, warm_up=0.1, warm_up_most=1.0, regions=("compute",))
QUICK = Schedule(seconds=0.2, rounds=6, warm_up=0.1, warm_up_most=0.3, regions=("compute",))
RESUMES = "no time was left before its turn; run the same command again"
PLAIN = ("matrix_rates", "copy_rate", "pycuda", "tensorrt_rtx", "work")  # parts that are not results of `bench`


class Printed(Progress):
    """Prints the name of each stage."""

    def stage(self, name: str, total: int | None = None) -> None:
        print(name, flush=True)


class Run:
    """The parts of a run, each of which is kept as it is found."""

    def __init__(self, args: argparse.Namespace, has_gpu: bool) -> None:
        self.output: Path = args.output
        self.quick: bool = args.quick
        self.wheels: Path | None = args.wheels
        self.device = "cuda" if has_gpu else "cpu"
        self.command = shlex.join(["python", *sys.argv])
        self.progress = Printed()
        self.deadline = time.monotonic() + 60 * args.minutes
        self._parts = self.output.with_suffix(".part.json")
        self._table = self.output.with_suffix(".table.json")
        self.found: dict[str, Any] = read_json(self._parts, "what this script left") if self._parts.exists() else {}
        self.late: dict[str, Any] = {}  # parts that had no time, which a later run makes up for

    def part(self, name: str, make: Callable[[], dict[str, Any]]) -> None:
        """Find a part, unless an earlier run has or no time is left. Whatever it dies of, the others go on."""
        if name in self.found:
            return
        if time.monotonic() > self.deadline:
            self.late[name] = {"unavailable_reason": RESUMES}
        else:
            self.progress.stage(name)
            try:
                self.found[name] = make()
            except Exception as error:
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                self.found[name] = {"unavailable_reason": reason}
        self.save()

    def bench(self, engines: Sequence[str], batches: tuple[int, ...] = (1,)) -> dict[str, Any]:
        """Rows of HRNetV1-W48, in turns."""
        if reason := unavailable_reason(engines[-1]):
            return {"unavailable_reason": reason}
        size, schedule = ((64, 64), QUICK) if self.quick else (None, SCHEDULE)
        request = BenchRequest(card=CARD, engines=list(engines), batches=batches, size=size, schedule=schedule)
        return codec.to_dict(dataclasses.replace(bench(request, self.progress), command=self.command))

    def modes(self, precisions: Sequence[str], ways: Sequence[str], part: str) -> None:
        """Rows of PyTorch in some modes, a part per precision. Eager float32 is in each, to compare with."""
        for name in precisions:
            rows = ["torch:cuda", *(f"torch:cuda,precision={name},channels_last{way}" for way in ways)]
            self.part(f"{part}_{name}", lambda rows=rows: self.bench(rows))  # type: ignore[misc]

    def table(self, engines: Sequence[str], training: bool) -> None:
        """The networks of the cost table, with training steps or without. Its file is continued."""
        minutes = max(0.0, self.deadline - time.monotonic()) / 60
        request = CostTableRequest(
            self._table,
            engines,
            quick=self.quick,
            minutes=minutes,
            training=training,
            command=self.command,
            timing=QUICK if self.quick else SCHEDULE,
        )
        try:
            cost_table(request, self.progress)
        except Exception as error:
            print(f"cost table: {type(error).__name__}: {error}", flush=True)
        self.save()

    def save(self) -> None:
        """Write what there is."""
        write_json(self._parts, self.found)
        codec.write(self.output, self.result())

    def result(self) -> GpuResult:
        """The cost table and the parts beside it as one result."""
        settings = CostTableSettings([], self.quick, "", "", SCHEDULE.seconds, SCHEDULE.rounds, 1)
        empty = CostTableResult(settings=settings, columns=[], command=self.command)
        table = codec.read_as(self._table, CostTableResult) if self._table.exists() else empty
        parts = {**self.late, **self.found}
        missing = {n: p["unavailable_reason"] for n, p in parts.items() if "unavailable_reason" in p}
        found = {n: p for n, p in parts.items() if n not in missing}
        measured = {n: codec.from_dict(p, n) for n, p in found.items() if n not in PLAIN}
        return GpuResult(
            command=table.command,
            started=table.started,
            environment=table.environment,
            table=table,
            matrix_rates=found.get("matrix_rates", {}),
            copy_rate=found.get("copy_rate", {}).get("bytes_per_second", 0.0),
            work=found.get("work", {}),
            measured={n: r for n, r in measured.items() if isinstance(r, BenchResult)},
            pycuda=found.get("pycuda", {}),
            tensorrt_rtx=found.get("tensorrt_rtx", {}),
            missing=missing,
        )

    def finish(self) -> None:
        """Remove the files of parts, unless a later run is to go on with them."""
        if not self.late:
            self._parts.unlink(missing_ok=True)
            self._table.unlink(missing_ok=True)


def works(quick: bool) -> dict[str, Any]:
    """The work of each network that is measured, by its card and input size."""
    chosen = [n.card for n in paper_networks(quick)]
    chosen.append(card(CARD).resized(64, 64) if quick else card(CARD))
    found = {}
    for each in chosen:
        try:
            found[f"{each.name} {each.input.size}"] = work_of(each)
        except Exception as error:  # an operator of a detector that cannot be traced without values
            print(f"the work of {each.name} is not counted: {type(error).__name__}", flush=True)
    return found


def measure(run: Run) -> None:
    """All parts, the most valuable first."""
    from gpu_extras import pycuda_exercise, tensorrt_rtx_exercise  # here: workers import this file again

    side, size = (512, 1 << 24) if run.quick else (SIDE, COPIED)
    run.part("matrix_rates", lambda: matrix_rates(run.device, side))
    run.part("copy_rate", lambda: {"bytes_per_second": copy_rate(run.device, size)})
    if run.device == "cpu":
        run.part("modes_fp32", lambda: run.bench(["torch", "torch:channels_last"]))
        run.part("throughput", lambda: run.bench(["torch:channels_last"], BATCHES[:2]))
        columns = ["torch"]
    else:
        columns = list(TABLE)
        run.modes(PRECISIONS[:1], FUSED, "fused")
        run.part("throughput_fused", lambda: run.bench([BEST], BATCHES[:2] if run.quick else BATCHES))
        run.modes(PRECISIONS[:1], GRAPHS, "modes")
        run.part("throughput", lambda: run.bench([PLAIN_GRAPH], BATCHES[:2] if run.quick else BATCHES))
    run.part("onnxruntime", lambda: run.bench(["ort:provider=cuda", "ort:provider=cuda,graph"]))
    run.part("tensorrt_rtx", lambda: tensorrt_rtx_exercise(CARD, run.quick))
    run.part("pycuda", lambda: pycuda_exercise(run.wheels))
    run.table(columns, training=False)
    run.part("work", lambda: works(run.quick))
    if run.device == "cuda":
        run.modes(PRECISIONS[1:], GRAPHS, "modes")
        run.modes(PRECISIONS[:1], COMPILED, "compiled")
    run.table(columns, training=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=13.0, help="after which no further part is begun")
    parser.add_argument("--quick", action="store_true", help="small inputs, on the CPU where there is no GPU")
    parser.add_argument("--wheels", type=Path, help="a folder to build PyCUDA of, where it is not installed")
    args = parser.parse_args()
    has_gpu = not unavailable_reason("torch:cuda")
    if not has_gpu and not args.quick:
        sys.exit(f"error: {unavailable_reason('torch:cuda')}; or see that the script works with --quick")
    run = Run(args, has_gpu)
    measure(run)
    run.finish()


if __name__ == "__main__":
    try:
        main()
    except DeployError as error:
        sys.exit(f"error: {error}")
