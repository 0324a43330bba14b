"""The result of `gpu.py`: a cost table, and what else a GPU shows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from hrnet_deploy.results.base import Result, Setting
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.cost_table import CostTableResult
from hrnet_deploy.results.document import Document, Element, Facts, Line, Section, Table, Text
from hrnet_deploy.results.documents import bench, cost_table, register
from hrnet_deploy.results.documents.provenance import nested
from hrnet_deploy.results.wording import NONE, said

PARTS = {  # of the measurements beside the table, in the order in which they are shown
    **{f"modes_{p}": f"HRNetV1-W48 in every mode of PyTorch, {p}" for p in ("fp32", "tf32", "fp16", "bf16")},
    **{f"compiled_{p}": f"HRNetV1-W48 compiled by PyTorch, {p}" for p in ("fp32", "fp16")},
    "fused_fp16": "HRNetV1-W48 with a convolution, its batch norm, a sum and a ReLU in one kernel, fp16",
    "throughput_fused": "Its throughput by batch, with such kernels and parallel streams",
    "throughput": "Its throughput by batch, without them",
    "onnxruntime": "ONNX Runtime on the GPU",
}


WIDTHS = {"fp16": 2, "bf16": 2, "int8": 1}  # bytes of a number, if not 4


@dataclass(frozen=True)
class GpuResult(Result):
    """Everything a bare GPU shows.

    Attributes:
        table: the networks of the paper's cost table.
        matrix_rates: 1e12 multiply-accumulates per second of a plain matrix product, by precision.
        copy_rate: bytes per second that a copy in the GPU's memory reads and writes; 0 if it was not measured.
        work: of each network, by its card and input size: multiply-accumulates of one inference (`macs`), and the
            numbers that its convolutions read and write at least (`numbers`).
        measured: further measurements, by a name of `PARTS`.
        pycuda: what the exercise of PyCUDA found.
        tensorrt_rtx: what TensorRT for RTX says to this GPU.
        missing: why a part was not measured, by its name.
    """

    kind: ClassVar[str] = "gpu"

    table: CostTableResult
    matrix_rates: Mapping[str, float] = field(default_factory=dict)
    copy_rate: float = 0.0
    work: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    measured: Mapping[str, BenchResult] = field(default_factory=dict)
    pycuda: Mapping[str, Setting] = field(default_factory=dict)
    tensorrt_rtx: Mapping[str, Setting] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


def document(result: GpuResult, name: str) -> Document:
    """The cost table, then a section for each further part."""
    made = cost_table.document(nested(result.table, result), name)
    sections = []
    if result.matrix_rates:
        rows: list[Line] = [[precision, f"{rate:.2f}"] for precision, rate in result.matrix_rates.items()]
        columns = ["precision", "1e12 multiply-accumulates per second"]
        elements: list[Element] = [Table("Rate of a plain matrix product", columns, rows)]
        if result.copy_rate:
            elements.append(Text(f"A copy reads and writes {result.copy_rate / 1e9:.0f} GB per second in all."))
        if shares := _shares(result):
            elements.append(shares)
        sections.append(Section("", elements, key="rates"))
    for key, title in PARTS.items():
        if key in result.measured:
            sections.append(Section(title, [], bench.parts(result.measured[key]), key=key))
        elif key in result.missing:
            sections.append(Section(title, [Text(f"Not measured: {result.missing[key]}.", "warning")], key=key))
    for key, title, values in (
        ("tensorrt_rtx", "TensorRT for RTX", result.tensorrt_rtx),
        ("pycuda", "PyCUDA", result.pycuda),
    ):
        if key in result.missing:
            sections.append(Section(title, [Text(f"Not measured: {result.missing[key]}.", "warning")], key=key))
        elif values:
            facts = Facts({k.replace("_", " "): said(v) for k, v in values.items()})
            sections.append(Section(title, [facts], key=key))
    return dataclasses.replace(made, sections=[*sections, *made.sections])


def _shares(result: GpuResult) -> Table | None:
    """Each row's time beside the limits that were measured in the same run.

    The matrix rate is that of the row's precision. The bytes are those of each input, output and weight of the
    convolutions once, so they are a lower bound of what is moved.
    """
    measured = [*result.measured.values(), *(c.result for c in result.table.columns if c.result is not None)]
    lines: dict[str, Line] = {}
    for row in (r for m in measured for r in m.rows if r.status == "ok" and "compute" in r.regions):
        work = result.work.get(f"{row.card} {row.input_size}")
        found = re.search(r"precision=(\w+)", row.engine)
        precision = found[1] if found else row.precision
        if work is None:
            continue
        seconds = row.regions["compute"].summary.p50 / 1e3
        rate = row.batch * work["macs"] / seconds / 1e12
        moved = row.batch * work["numbers"] * WIDTHS.get(precision, 4) / seconds
        of_rate = f"{rate / result.matrix_rates[precision]:.1%}" if precision in result.matrix_rates else NONE
        of_copy = f"{moved / result.copy_rate:.1%}" if result.copy_rate else NONE
        named = f"{row.card} {row.input_size}, {row.engine}, batch {row.batch}"
        lines.setdefault(named, [named, f"{1e3 * seconds:.3f}", f"{rate:.3f}", of_rate, of_copy])
    columns = ["row", "ms", "1e12 MAC/s", "of the matrix rate", "of the copy rate"]
    return Table("Each figure as a share of the limits", columns, list(lines.values())) if lines else None


register(GpuResult, document)
