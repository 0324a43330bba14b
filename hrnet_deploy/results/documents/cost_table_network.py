"""One network of the cost table, as all tables of its document read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.bench import BenchResult, BenchRow, Region
from hrnet_deploy.results.cost_table import CostTableEntry, PaperFigures
from hrnet_deploy.results.document import Cell, Text
from hrnet_deploy.results.documents import bench
from hrnet_deploy.results.training import TrainingRow
from hrnet_deploy.results.wording import NONE

# What the paper's figures were measured on ("Deep High-Resolution Representation Learning for Visual Recognition",
# TPAMI, Table 13): the eager figures on PyTorch 1.0, those of a static graph on MXNet.
PAPER = {"inference": "one V100, PyTorch 1.0", "static": "one V100, MXNet 1.5.1", "training": "four V100, PyTorch 1.0"}
EAGER, STATIC, HALF, INT8 = "PyTorch eager", "static graph, float32", "half precision", "static graph, int8"
CLASSES = (EAGER, STATIC, HALF, INT8)
NOTHING = Cell(NONE, tone="note")


class Reasons:
    """Why cells are empty. Each such cell shows a number, and each reason is listed once below the table."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def cell(self, reason: str) -> Cell:
        return Cell(NONE, f"see {self._numbers.setdefault(reason, len(self._numbers) + 1)}", "warning")

    def texts(self) -> list[Text]:
        return [Text(f"{number}: {reason}", "note", detail=True) for reason, number in self._numbers.items()]


@dataclass(frozen=True)
class Network:
    """One network of the table, which is one of its columns."""

    entry: CostTableEntry
    reasons: Reasons

    @property
    def paper(self) -> PaperFigures:
        return self.entry.paper

    @property
    def result(self) -> BenchResult | None:
        return self.entry.result

    @property
    def rows(self) -> Sequence[BenchRow]:
        return self.result.rows if self.result is not None else ()

    @property
    def training(self) -> Sequence[TrainingRow]:
        return self.entry.training.rows if self.entry.training is not None else ()

    def best(self, kind: str) -> BenchRow | None:
        """The row of a class with the least time per image."""
        found = [r for r in self.rows if class_of(r) == kind and r.status == "ok" and r.regions]
        return min(found, key=lambda r: region(r).summary.p50 / r.batch, default=None)

    def unavailable_reason(self, kind: str) -> Cell:
        """Why there is no row of a class."""
        if self.result is None:
            return self.reasons.cell(self.entry.reason) if self.entry.reason else Cell(NONE, "not measured", "note")
        failed = next((r for r in self.rows if class_of(r) == kind and r.status != "ok"), None)
        if failed is None:
            return Cell(NONE, "not requested", "note")
        return self.reasons.cell(f"{failed.title} {failed.status}: {failed.reason}")


def class_of(row: BenchRow) -> str:
    """The class of a row, in the paper's terms: eager, or a static graph, and in which precision."""
    eager = row.engine.partition(":")[0] == "torch" and row.info.mode in ("", "eager")
    if eager and row.precision == "fp32":
        return EAGER
    return {"fp32": STATIC, "fp16": HALF, "bf16": HALF, "int8": INT8}.get(row.precision, row.precision)


def region(row: BenchRow) -> Region:
    """End to end, or the widest region that was measured. Raises BadInput if none was, as only in a damaged file."""
    for name in bench.REGIONS:
        if name in row.regions:
            return row.regions[name]
    raise BadInput(f"the row of {row.engine} has none of the regions {', '.join(bench.REGIONS)} — measure it again")


def peak(row: BenchRow) -> int | None:
    """Bytes of the peak of memory: on a GPU that of PyTorch there, else that of the process."""
    return row.memory.get("torch_peak_allocated") or row.memory.get("peak_rss_over_before")
