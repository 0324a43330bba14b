"""Makes the document of every kind of result, with one function per kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hrnet_deploy.results import registry
from hrnet_deploy.results.adoption import AdoptResult
from hrnet_deploy.results.base import ImagesResult, Result
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.build import BuildResult
from hrnet_deploy.results.check import CheckResult
from hrnet_deploy.results.comparison import CompareResult
from hrnet_deploy.results.cost_table import CostTableResult
from hrnet_deploy.results.document import Document
from hrnet_deploy.results.documents import (
    adopt,
    bench,
    build,
    check,
    compare,
    cost_table,
    download,
    evaluation,
    export,
    half,
    overview,
    predict,
    provenance,
    quantize,
    run,
    skipped,
    training,
    tune,
)
from hrnet_deploy.results.download import DownloadResult
from hrnet_deploy.results.evaluation import EvalResult
from hrnet_deploy.results.export import ExportResult
from hrnet_deploy.results.float16 import HalfResult
from hrnet_deploy.results.inspection import CardList, CheckpointList, Inspection
from hrnet_deploy.results.machine import Machine
from hrnet_deploy.results.prediction import PredictResult
from hrnet_deploy.results.quantization import QuantizeResult, SensitivityResult
from hrnet_deploy.results.run import RunResult
from hrnet_deploy.results.training import TrainingResult
from hrnet_deploy.results.tuning import TuneResult

R = TypeVar("R", bound=Result)
Shown = Result | Inspection | Machine | CardList | CheckpointList  # everything that has a document

_DOCUMENTS: dict[type, Callable[[Any, str], Document]] = {
    AdoptResult: adopt.document,
    BenchResult: bench.document,
    BuildResult: build.document,
    CheckResult: check.document,
    CompareResult: compare.document,
    CostTableResult: cost_table.document,
    EvalResult: evaluation.document,
    ExportResult: export.document,
    HalfResult: half.document,
    PredictResult: predict.document,
    QuantizeResult: quantize.document,
    RunResult: run.document,
    SensitivityResult: quantize.sensitivity,
    TrainingResult: training.document,
    TuneResult: tune.document,
    DownloadResult: download.document,
    Inspection: overview.inspection,
    Machine: overview.machine,
    CardList: overview.card_list,
    CheckpointList: overview.checkpoint_list,
}


def register(cls: type[R], document: Callable[[R, str], Document]) -> None:
    """Add a kind of result that `codec.read` and `report` can read, with the function that makes its document."""
    registry.register(cls)
    _DOCUMENTS[cls] = document


def document_of(result: Shown, name: str = "") -> Document:
    """The document of one result, with the machine it was measured on.

    Args:
        result: of any kind, or the output of `inspect`, `doctor` or `models`.
        name: the name of the result file in the document; empty if there is none.
    """
    made = alone(result, name)
    if not isinstance(result, Result):
        return made
    return dataclasses.replace(made, sections=[*made.sections, provenance.machines([(name, result)])])


def alone(result: Shown, name: str = "") -> Document:
    """The document without the machine, for a document of several results."""
    made = _DOCUMENTS[type(result)](result, name)
    left_out = skipped.elements(result.skipped) if isinstance(result, ImagesResult) else []
    return dataclasses.replace(made, elements=[*made.elements, *left_out])


def report(results: Sequence[tuple[str, Result]], title: str = "", comparison: CompareResult | None = None) -> Document:
    """One document of several results, in their order.

    Args:
        results: each with the name of its file in the document.
        title: of the document.
        comparison: what changed between two of the results. It comes first in the document.

    The machines on which the results were measured come last, each of them once.
    """
    made = [(name, alone(result, name)) for name, result in results]
    sections = [dataclasses.replace(d.section(), title=f"{d.title} ({name})") for name, d in made]
    if comparison is not None:
        sections.insert(0, alone(comparison).section())
    sections.append(provenance.machines(results))
    return Document(title or "Results of hrnet-deploy", sections=sections)
