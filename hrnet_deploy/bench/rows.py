"""What is measured: each row of a result before it has been measured, and the spec of the worker that measures it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from hrnet_deploy.bench.measured_model import MeasureSpec
from hrnet_deploy.engines import parse
from hrnet_deploy.engines.base import Source
from hrnet_deploy.results.bench import BenchRow
from hrnet_deploy.tasks.base import InputFormat

RowAndSpec = tuple[BenchRow, MeasureSpec | None]  # no spec if the row already says why it cannot be measured
REFERENCE = "torch"  # the engine that runs the network itself, not a file exported from it


@dataclass(frozen=True)
class Subject:
    """One model to measure.

    Attributes:
        name: the name in its rows: that of the file, or "card NAME".
        source: the file, the checkpoint and the card.
        input_format: what the file takes and gives.
        precision: of the file.
    """

    name: str
    source: Source
    input_format: InputFormat
    precision: str


def row_of(subject: Subject, engine: str, batch: int, threads: int, missing: str = "") -> RowAndSpec:
    """One row and the spec of the worker that measures it.

    Args:
        subject: the model.
        engine: with options, as on the command line.
        batch: images per inference.
        threads: for the engine.
        missing: why the engine cannot run, which marks the row as unavailable; empty if it can.
    """
    is_reference = parse(engine)[0] == REFERENCE
    source = subject.source
    chosen = source.given_card
    if is_reference:
        weights = source.weights if source.checkpoint is not None else "random"
        source = Source(chosen, None, source.checkpoint, weights, source.weights_key)
    row = BenchRow(
        engine=engine,
        model=subject.name,
        card=chosen.name if chosen else subject.name,
        precision=str(parse(engine)[1].get("precision", "fp32")) if is_reference else subject.precision,
        weights=source.weights,
        batch=batch,
        threads=threads,
        input_size=chosen.input.size if chosen else "",
    )
    if missing:
        return dataclasses.replace(row, status="unavailable", reason=missing), None
    if is_reference and chosen is None:
        reason = "PyTorch runs the network of a checkpoint, and this file has no model card that names it"
        return dataclasses.replace(row, status="failed", reason=reason), None
    if is_reference and subject.input_format.embedded:
        reason = (
            "PyTorch runs the network without the preprocessing and decoding that --embed adds — measure the plain "
            "export"
        )
        return dataclasses.replace(row, status="failed", reason=reason), None
    return row, MeasureSpec(engine, source, subject.input_format, batch, threads)


def without_repeats(rows: Iterable[RowAndSpec]) -> list[RowAndSpec]:
    """The rows, without those in which PyTorch would compute the same as in an earlier row.

    PyTorch runs the network and not the file, so the float32 and the int8 file of one network share one row. The
    remark of that row names the other files.
    """
    kept: list[RowAndSpec] = []
    others: dict[int, list[str]] = {}
    for row, spec in rows:
        first = next((i for i, (_, known) in enumerate(kept) if known is not None and known == spec), None)
        if first is None or parse(row.engine)[0] != REFERENCE:
            kept.append((row, spec))
        elif row.model != kept[first][0].model:
            others.setdefault(first, []).append(row.model)
    for index, names in others.items():
        row, spec = kept[index]
        remark = f"this row also stands for {', '.join(names)}, because PyTorch runs the same network"
        kept[index] = (dataclasses.replace(row, remark=remark), spec)
    return kept
