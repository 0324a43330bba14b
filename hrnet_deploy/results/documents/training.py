"""The document of a training measurement: the cost of a step for each batch size."""

from __future__ import annotations

from hrnet_deploy.results.document import Cell, Document, Line, Table
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.training import TrainingResult
from hrnet_deploy.results.wording import NONE, gigabytes


def document(result: TrainingResult, name: str) -> Document:
    """One line for each batch size."""
    title = f"{result.card or 'A network'}: training on {result.device}"
    return Document(title, [table(result)], [origin(result, name)])


def table(result: TrainingResult) -> Table:
    """Memory and time of an iteration, by batch."""
    rows: list[Line] = []
    for r in result.rows:
        if r.status == "ok":
            per_image = f"{r.seconds / r.batch:.3f}"
            rows.append([str(r.batch), r.input_size, gigabytes(r.peak_bytes), f"{r.seconds:.3f}", per_image, ""])
        else:
            nothing = Cell(NONE, tone="note")
            rows.append([str(r.batch), r.input_size, *[nothing] * 3, Cell(r.status, r.reason, "warning")])
    columns = ["batch", "input", "peak GB", "seconds", "seconds per image", "remarks"]
    return Table("Training: one iteration", columns, rows, "llrrrl")
