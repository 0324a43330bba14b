"""What is measured: each row of a result before it has been measured, and the job that measures it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from hrnet_deploy.bench.measured_model import MeasureJob
from hrnet_deploy.engines import parse
from hrnet_deploy.engines.base import Source
from hrnet_deploy.results.bench import BenchRow
from hrnet_deploy.tasks.base import Contract

RowAndJob = tuple[BenchRow, MeasureJob | None]  # no job where the row already says why it cannot be measured
REFERENCE = "torch"  # the engine that runs the network itself, whatever file was made of it


@dataclass(frozen=True)
class Subject:
    """One model to measure.

    Attributes:
        name: what its rows are called: the file's name, or "card NAME".
        source: the file, the checkpoint and the card.
        contract: how the file is fed.
        precision: of the file.
    """

    name: str
    source: Source
    contract: Contract
    precision: str


def row_of(subject: Subject, engine: str, batch: int, threads: int, missing: str = "") -> RowAndJob:
    """One row and the job that measures it.

    Args:
        subject: the model.
        engine: with options, as on the command line.
        batch: images per inference.
        threads: for the engine.
        missing: why the engine cannot run; empty where it can. The row is then marked unavailable.
    """
    is_reference = parse(engine)[0] == REFERENCE
    source = subject.source
    chosen = source.card
    if is_reference:
        weights = source.weights if source.checkpoint is not None else "random"
        source = Source(chosen, None, source.checkpoint, weights, source.weights_key)
    row = BenchRow(
        engine=engine,
        model=subject.name,
        card=chosen.name,
        precision="fp32" if is_reference else subject.precision,
        weights=source.weights,
        batch=batch,
        threads=threads,
        input_size=chosen.input.size,
    )
    if missing:
        return dataclasses.replace(row, status="unavailable", reason=missing), None
    if is_reference and subject.contract.embedded:
        reason = "PyTorch runs the network without what --embed puts around it — measure the plain export"
        return dataclasses.replace(row, status="failed", reason=reason), None
    return row, MeasureJob(engine, source, subject.contract, batch, threads)


def without_repeats(rows: Iterable[RowAndJob]) -> list[RowAndJob]:
    """The rows without those in which PyTorch would compute again what an earlier row computes.

    PyTorch runs the network and not the file, so that the float32 and the int8 file of one network are one row. Its
    remark names the other files.
    """
    kept: list[RowAndJob] = []
    others: dict[int, list[str]] = {}
    for row, job in rows:
        first = next((i for i, (_, known) in enumerate(kept) if known is not None and known == job), None)
        if first is None or parse(row.engine)[0] != REFERENCE:
            kept.append((row, job))
        elif row.model != kept[first][0].model:
            others.setdefault(first, []).append(row.model)
    for index, names in others.items():
        row, job = kept[index]
        remark = f"also the row of {', '.join(names)}: PyTorch runs the same network for it"
        kept[index] = (dataclasses.replace(row, remark=remark), job)
    return kept
