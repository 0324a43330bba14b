"""How fast each engine runs a network in each precision: `python benchmarks/int8_speed.py -o FILE [--card NAME]`.

Random weights, ranges from one random input: speed only. Every placement is run in the engine it is for, all rows in
turns, and beside them the rate of a plain int8 matrix product, which bounds what int8 can reach on the processor.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from int8_speed_result import Int8SpeedResult, document
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

from hrnet_deploy.bench.rows import RowAndSpec, Subject, row_of
from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.cards import card
from hrnet_deploy.engines.base import Source
from hrnet_deploy.graph.metadata import Description, describe, save_model
from hrnet_deploy.graph.quantize import TARGETS, place, quantize
from hrnet_deploy.results import codec
from hrnet_deploy.results.render import terminal
from hrnet_deploy.tasks.base import InputFormat
from hrnet_deploy.threads import available_threads
from hrnet_deploy.workflow.network_export import ExportOptions
from hrnet_deploy.workflow.random_weights import noise_ranges, random_model

SIDE = 2048  # of the matrix product


def matrix_rate(threads: int, seconds: float = 3.0) -> float:
    """Multiply-accumulates a second of a u8 x s8 product of two SIDE x SIDE matrices in ONNX Runtime: the best seen."""
    rng = np.random.default_rng(0)
    weights = numpy_helper.from_array(rng.integers(-127, 128, (SIDE, SIDE), np.int8), "b")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [SIDE, SIDE])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [SIDE, SIDE])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"a": rng.integers(0, 256, (SIDE, SIDE), np.uint8)}
    best, end = float("inf"), time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        session.run(None, feed)
        best = min(best, time.perf_counter() - begin)
    return SIDE**3 / best


def multiplications(model: onnx.ModelProto) -> int:
    """Multiply-accumulates of the convolutions of a static graph."""
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.value_info, *model.graph.output)
    }
    weights = {i.name: list(i.dims) for i in model.graph.initializer}
    return sum(
        int(np.prod(weights[n.input[1]]) * np.prod(shapes[n.output[0]][2:]))
        for n in model.graph.node
        if n.op_type == "Conv"
    )


def saved(made: onnx.ModelProto, description: Description, path: Path, precision: str) -> Subject:
    """A described model in a file, as a subject of a measurement."""
    describe(made, dataclasses.replace(description, precision=precision))
    save_model(made, path)
    return Subject(description.card.name, Source(description.card, path, None, "random"), InputFormat(), precision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--card", default="pose_hrnet_w48_256x192")
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    chosen, threads = card(args.card), available_threads()
    model, description = random_model(chosen, ExportOptions())
    ranges = noise_ranges(model, chosen)
    with tempfile.TemporaryDirectory() as folder:

        def subject(made: onnx.ModelProto, name: str, precision: str) -> Subject:
            return saved(made, description, Path(folder, f"{name}.onnx"), precision)

        plain = subject(model, "float", "fp32")
        integers = {
            t.name: subject(quantize(model, t, place(model, t), ranges), t.name, "int8") for t in TARGETS.values()
        }
        wanted = [
            (plain, "torch:channels_last"),
            (plain, "torch"),
            (plain, "ort"),
            (integers["ort"], "ort"),
            (plain, "openvino"),
            (plain, "openvino:precision=bf16"),
            (integers["openvino"], "openvino"),
        ]
        rows: list[RowAndSpec] = [row_of(s, e, 1, threads) for s, e in wanted]
        before = matrix_rate(threads)
        result = run(rows, Schedule(seconds=args.seconds, regions=("compute", "end_to_end")))
        rate = max(before, matrix_rate(threads))
    floor = 1e3 * multiplications(model) / rate
    reached = [r for r in result.rows if r.precision == "int8" and r.status == "ok"]
    found = Int8SpeedResult(
        command=result.command,
        started=result.started,
        environment=result.environment,
        result=result,
        int8_gmacs_per_second=rate / 1e9,
        floor_ms=floor,
        times_the_floor={r.title: r.regions["compute"].summary.p50 / floor for r in reached},
    )
    codec.write(args.output, found)
    terminal.show(Console(highlight=False, width=150), document(found, args.output.name))


if __name__ == "__main__":
    main()
