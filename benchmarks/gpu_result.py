"""The result of `gpu.py`: a cost table, and what else a GPU shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from hrnet_deploy.results.base import Result, Setting
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.cost_table import CostTableResult
from hrnet_deploy.results.document import Document, Facts, Line, Section, Table, Text
from hrnet_deploy.results.documents import bench, cost_table, register
from hrnet_deploy.results.documents.provenance import nested
from hrnet_deploy.results.wording import said

PARTS = {  # of the measurements beside the table, in the order in which they are shown
    **{f"modes_{p}": f"HRNetV1-W48 in every mode of PyTorch, {p}" for p in ("fp32", "tf32", "fp16", "bf16")},
    "throughput": "Its throughput by batch",
    "onnxruntime": "ONNX Runtime on the GPU",
}


@dataclass(frozen=True)
class GpuResult(Result):
    """Everything a bare GPU shows.

    Attributes:
        table: the networks of the paper's cost table.
        matrix_rates: 1e12 multiply-accumulates per second of a plain matrix product, by precision.
        measured: further measurements, by a name of `PARTS`.
        pycuda: what the exercise of PyCUDA found.
        missing: why a part was not measured, by its name.
    """

    kind: ClassVar[str] = "gpu"

    table: CostTableResult
    matrix_rates: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, BenchResult] = field(default_factory=dict)
    pycuda: Mapping[str, Setting] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


def document(result: GpuResult, name: str) -> Document:
    """The cost table, then a section for each further part."""
    made = cost_table.document(nested(result.table, result), name)
    sections = []
    if result.matrix_rates:
        rows: list[Line] = [[precision, f"{rate:.2f}"] for precision, rate in result.matrix_rates.items()]
        columns = ["precision", "1e12 multiply-accumulates per second"]
        sections.append(Section("", [Table("Rate of a plain matrix product", columns, rows)], key="rates"))
    for key, title in PARTS.items():
        if key in result.measured:
            sections.append(Section(title, [], bench.parts(result.measured[key]), key=key))
        elif key in result.missing:
            sections.append(Section(title, [Text(f"Not measured: {result.missing[key]}.", "warning")], key=key))
    if "pycuda" in result.missing:
        why = Text(f"Not measured: {result.missing['pycuda']}.", "warning")
        sections.append(Section("PyCUDA", [why], key="pycuda"))
    elif result.pycuda:
        facts = Facts({k.replace("_", " "): said(v) for k, v in result.pycuda.items()})
        sections.append(Section("PyCUDA", [facts], key="pycuda"))
    return dataclasses.replace(made, sections=[*sections, *made.sections])


register(GpuResult, document)
